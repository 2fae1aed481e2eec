package mysql

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// definition is a column's.
func definition(name string) string {
	return "\x03def\x00\x00\x00" + string(rune(len(name))) + name + "\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00"
}

func TestAReplicaIsAskedHowFarItIsBehindAsItCanBeAsked(t *testing.T) {
	const (
		syntax = "\xff\x28\x04#42000You have an error in your SQL syntax"
		denied = "\xff\xcb\x04#42000Access denied; you need the REPLICATION CLIENT privilege"
	)
	status := func(name string, rows ...string) []string {
		answer := append([]string{"\x02", definition("Source_Host"), definition(name)}, rows...)
		return append(answer, end)
	}
	for name, c := range map[string]struct {
		answers [][]string // to each question about the lag; there are no others
		lag     time.Duration
		known   bool
	}{
		"up to date":        {[][]string{status("Seconds_Behind_Source", "\x01h\x010")}, 0, true},
		"late":              {[][]string{status("Seconds_Behind_Source", "\x01h\x0290")}, 90 * time.Second, true},
		"mariadb's name":    {[][]string{status("Seconds_Behind_Master", "\x01h\x013")}, 3 * time.Second, true},
		"an old server":     {[][]string{{syntax}, status("Seconds_Behind_Master", "\x01h\x013")}, 3 * time.Second, true},
		"it does not know":  {[][]string{status("Seconds_Behind_Source", "\x01h\xfb")}, 0, false},
		"of two sources":    {[][]string{status("Seconds_Behind_Source", "\x01h\x012", "\x01i\x019", "\x01j\x011")}, 9 * time.Second, true},
		"one does not know": {[][]string{status("Seconds_Behind_Source", "\x01h\x012", "\x01i\xfb", "\x01j\x011")}, 0, false},
		"no replica":        {[][]string{status("Seconds_Behind_Source")}, 0, false},
		"another column":    {[][]string{status("Seconds_Behind", "\x01h\x012")}, 0, false},
		"nonsense":          {[][]string{status("Seconds_Behind_Source", "\x01h\x02-1")}, 0, false},
		"too much":          {[][]string{status("Seconds_Behind_Source", "\x01h\x0a9999999999")}, 0, false},
		"a short row":       {[][]string{status("Seconds_Behind_Source", "\x01h")}, 0, false},
		"not allowed":       {[][]string{{denied}}, 0, false},
		"neither":           {[][]string{{syntax}, {syntax}}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			target := fakeServer(t, func(p *peer) {
				_ = p.write(greeting(&mysqlServer, 7, mysqlServer.capabilities&^protocol.CLIENT_SSL, fakeSalt))
				_, _ = p.read()
				p.succeed()
				facts := append(append([]string{"\x04"}, column, column, column, column), "\x03151\x011\x010\x010", end)
				answers := c.answers
				for {
					p.sequence = 0
					q, err := p.read()
					if err != nil || q[0] != protocol.COM_QUERY {
						return
					}
					answer := facts
					if strings.HasPrefix(string(q[1:]), "SHOW ") {
						if len(answers) == 0 {
							t.Errorf("asked %q", q)
							return
						}
						answer, answers = answers[0], answers[1:]
					}
					for _, packet := range answer {
						_ = p.write([]byte(packet))
					}
				}
			})
			w, err := New(Config{Credentials: users("")}).Watch(context.Background(), target)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			want := engine.Facts{Version: mysqlServer.version, MaxConnections: 151, ReadOnly: true, Lag: c.lag, LagKnown: c.known}
			if got, err := w.Ask(context.Background()); err != nil || got != want {
				t.Errorf("%+v, %v", got, err)
			}
			if w := w.(*watch); w.lag == lagNone {
				if _, err := w.Ask(context.Background()); err != nil {
					t.Errorf("it is asked again: %v", err)
				}
				w.unlagged = w.unlagged.Add(-2 * privilegesFor)
				if _, err := w.Ask(context.Background()); !errors.Is(err, errPrivileges) {
					t.Errorf("it stays without looking for new privileges: %v", err)
				}
			}
		})
	}
}
