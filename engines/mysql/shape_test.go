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

func TestAStringThatIsNoIntegerWidensItsParameter(t *testing.T) {
	word := func(v string) string { return string([]byte{byte(len(v))}) + v }
	for _, c := range []struct {
		name, types, nulls, values string
		want                       bool
	}{
		{"an integer", "\xfd\x00\xfd\x00", "\x00", word("7") + word("1.5"), false},
		{"no number", "\xfd\x00\xfd\x00", "\x00", word("x7") + word("-1"), false},
		{"nothing", "\xfd\x00\xfd\x00", "\x00", word("") + word("-1"), false},
		{"blanks", "\xfd\x00\xfd\x00", "\x00", word(" \t7") + word("-1"), false},
		{"a negative one", "\xfd\x00\xfd\x00", "\x00", word("-7") + word(""), true},
		{"a fraction", "\xfd\x00\xfd\x00", "\x00", word(".5") + word(""), true},
		{"an exponent", "\xfd\x00\xfd\x00", "\x00", word(" 1e1") + word(""), true},
		{"a great one", "\xfd\x00\xfd\x00", "\x00", word("1234567890123456789") + word(""), true},
		{"a blob", "\xfc\x00\xfd\x00", "\x00", word("-7") + word(""), true},
		{"a DECIMAL", "\xf6\x00\xfd\x00", "\x00", word("-7") + word(""), false},
		{"a number", "\x03\x00\xfd\x00", "\x00", "\x07\x00\x00\x00" + word("-7"), false},
		{"NULL", "\xfd\x00\xfd\x00", "\x01", word("-7"), false},
		{"NULL by its type", "\x06\x00\xfd\x00", "\x00", word("-7"), false},
		{"values that are cut off", "\xfd\x00\xfd\x00", "\x00", "\x05-", true},
		{"too few types", "\xfd\x00", "\x00", word("7"), true},
	} {
		s := statement{params: 2, types: []byte(c.types)}
		h := heldStatement{integers: []byte{1}}
		e := execution{params: 2, nulls: []byte(c.nulls), values: []byte(c.values)}
		if got := h.widened(&e, &s, false); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		h.integers = nil
		if h.widened(&e, &s, false) {
			t.Errorf("%s: where no parameter is an integer", c.name)
		}
	}
	s := statement{params: 2, types: []byte("\xfd\x00\x01a\xfd\x00\x00"), long: true}
	h := heldStatement{integers: []byte{2}}
	e := execution{params: 2, nulls: []byte{0}, values: []byte(word("-7") + word("7"))}
	if !h.widened(&e, &s, true) {
		t.Error("long data may be anything")
	}
	if s.long = false; h.widened(&e, &s, true) {
		t.Error("names are taken for types")
	}
	if n := testing.AllocsPerRun(100, func() { h.widened(&e, &s, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
