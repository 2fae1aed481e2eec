package mysql

import (
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

func TestTheShapeOfExecutions(t *testing.T) {
	const null, long, text = protocol.MYSQL_TYPE_NULL, protocol.MYSQL_TYPE_LONGLONG, protocol.MYSQL_TYPE_VAR_STRING
	const unsigned = 0x80
	for _, c := range []struct {
		name  string
		sent  [][]byte
		named bool
		want  []byte
	}{
		{"none", nil, false, nil},
		{"once", [][]byte{{long, 0, text, 0}}, false, []byte{long, 0, text, 0}},
		{"another type", [][]byte{{long, 0, text, 0}, {text, 0, text, 0}}, false, []byte{text, 0, text, 0}},
		{"another sign", [][]byte{{long, 0, text, 0}, {long, unsigned, text, 0}}, false, []byte{long, unsigned, text, 0}},
		{"NULL behind a type", [][]byte{{long, 0, text, 0}, {null, 0, null, 0}}, false, []byte{long, 0, text, 0}},
		{"NULL before a type", [][]byte{{null, 0, text, 0}, {long, 0, null, 0}}, false, []byte{long, 0, text, 0}},
		{"NULL only", [][]byte{{null, 0, null, 0}}, false, []byte{null, 0, null, 0}},
		{"cut off", [][]byte{{long, 0, text, 0}, {text, 0, text}}, false, []byte{long, 0, text, 0}},
		{"with names, and an attribute", [][]byte{{long, 0, 1, 'a', text, 0, 0, text, 0, 1, 'b'}}, true, []byte{long, 0, text, 0}},
	} {
		s := statement{params: 2}
		for _, types := range c.sent {
			s.reshape(types, c.named)
		}
		if s.shape != string(c.want) {
			t.Errorf("%s: %x, want %x", c.name, s.shape, c.want)
		}
	}
	s := statement{params: 2}
	types := []byte{long, 0, null, 0}
	s.reshape(types, false)
	if n := testing.AllocsPerRun(100, func() { s.reshape(types, false) }); n != 0 {
		t.Errorf("%v allocations for the same types", n)
	}
}
