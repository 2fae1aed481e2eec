package mysql

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

func TestASurveyIsReadAndBounded(t *testing.T) {
	cell := func(values ...string) string {
		row := ""
		for _, v := range values {
			if v == "NULL" {
				row += "\xfb"
				continue
			}
			row += string(rune(len(v))) + v
		}
		return row
	}
	six := append([]string{"\x06"}, column, column, column, column, column, column)
	rows := func(all ...string) []string { return append(append(append([]string{}, six...), all...), end) }
	many := make([]string, engine.MaxInstances+1)
	for i := range many {
		many[i] = cell("a", "", "", "0", "0", "0")
	}
	var protocolError *engine.ProtocolError
	var refused *engine.ServerError
	for name, c := range map[string]struct {
		answer []string
		want   []engine.Instance
		err    any
	}{
		"aurora": {rows(cell("w", "", "", "1", "1500", "NULL"), cell("r", "", "", "0", "NULL", "17.5")), []engine.Instance{
			{ID: "w", Writer: true, Age: 1500 * time.Millisecond}, {ID: "r", Lag: 17500 * time.Microsecond, LagKnown: true},
		}, nil},
		"multi-AZ":  {rows(cell("a", "a.b.c", "3307", "0", "0", "0")), []engine.Instance{{ID: "a", Address: "a.b.c:3307", LagKnown: true}}, nil},
		"no lag":    {rows(cell("a", "", "", "0", "0", "NULL"), cell("b", "", "", "0", "NaN", "NaN"), cell("c", "", "", "0", "0", "-1")), []engine.Instance{{ID: "a"}, {ID: "b"}, {ID: "c"}}, nil},
		"clocks":    {rows(cell("a", "", "", "0", "-1", "99999999999999999999")), []engine.Instance{{ID: "a"}}, nil},
		"empty":     {rows(), nil, nil},
		"short":     {rows(cell("a", "", "")), nil, &protocolError},
		"malformed": {rows("\xfe\xff\xff\xff\xff\xff\xff\xff\xffa"), nil, &protocolError},
		"endless":   {rows(many...), nil, &protocolError},
		"refused":   {[]string{"\xff\x7a\x04#42S02Table 'mysql.rds_topology' doesn't exist"}, nil, &refused},
	} {
		t.Run(name, func(t *testing.T) {
			target := fakeServer(t, func(p *peer) {
				_ = p.write(greeting(&mysqlServer, 7, mysqlServer.capabilities&^protocol.CLIENT_SSL, fakeSalt))
				_, _ = p.read()
				p.succeed()
				p.sequence = 0
				if q, err := p.read(); err != nil || !strings.Contains(string(q), "replica_host_status LIMIT 100") {
					t.Errorf("asked %q, %v", q, err)
				}
				for _, packet := range c.answer {
					_ = p.write([]byte(packet))
				}
			})
			w, err := New(Config{Credentials: users("")}).Watch(context.Background(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			got, err := w.(engine.Surveyor).Survey(context.Background(), engine.TopologyAurora)
			if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.err == nil) || c.err != nil && !errors.As(err, c.err) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
