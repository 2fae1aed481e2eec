package mysql

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// answering is a server that answers the first command after the login with packets, and passes commands on.
func answering(t *testing.T, s serverInfo, seen chan<- string, answer ...string) engine.Target {
	return fakeServer(t, func(p *peer) {
		_ = p.write(greeting(&s, 7, s.capabilities&^protocol.CLIENT_SSL, fakeSalt))
		_, _ = p.read()
		p.succeed()
		p.sequence = 0
		c, _ := p.read()
		seen <- string(c)
		for _, packet := range answer {
			_ = p.write([]byte(packet))
		}
		p.commands(seen)
	})
}

const (
	column = "\x03def\x00\x00\x00\x01a\x00\x0c\x3f\x00\x01\x00\x00\x00\x08\x81\x00\x00\x00\x00"
	end    = "\xfe\x00\x00\x02\x00\x00\x00"
	fine   = "\x00\x00\x00\x02\x00\x00\x00"
)

func TestAProbeFindsOutTheFacts(t *testing.T) {
	for name, c := range map[string]struct {
		server serverInfo
		row    string
		want   engine.Facts
	}{
		"mysql":             {mysqlServer, "\x03151\x010\x010\x010", engine.Facts{Version: "9.7.4", MaxConnections: 151}},
		"read only":         {mysqlServer, "\x03151\x011\x010\x010", engine.Facts{Version: "9.7.4", MaxConnections: 151, ReadOnly: true}},
		"super read only":   {mysqlServer, "\x03151\x010\x011\x010", engine.Facts{Version: "9.7.4", MaxConnections: 151, ReadOnly: true}},
		"an aurora reader":  {mysqlServer, "\x0216\x010\x010\x011", engine.Facts{Version: "9.7.4", MaxConnections: 16, ReadOnly: true}},
		"mariadb":           {mariaServer, "\x03100\x010", engine.Facts{Version: "10.11.18-MariaDB", MaxConnections: 100}},
		"mariadb off":       {mariaServer, "\x03100\x03OFF", engine.Facts{Version: "10.11.18-MariaDB", MaxConnections: 100}},
		"mariadb read only": {mariaServer, "\x03100\x07NO_LOCK", engine.Facts{Version: "10.11.18-MariaDB", MaxConnections: 100, ReadOnly: true}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(chan string, 4)
			columns := 4
			if c.server.mariaDB {
				columns = 2
			}
			answer := append([]string{string(rune(columns))}, strings.Split(strings.Repeat(column+"|", columns-1)+column, "|")...)
			e := New(Config{Credentials: users("")})
			facts, err := engine.Probe(context.Background(), e, answering(t, c.server, seen, append(answer, c.row, end)...))
			if err != nil || facts != c.want {
				t.Errorf("%+v, %v", facts, err)
			}
			if q := within(t, seen); strings.Contains(q, "super") == c.server.mariaDB || !strings.Contains(q, "max_connections") {
				t.Errorf("asked %q", q)
			}
			if c.want.ReadOnly {
				if q := within(t, seen); q != "\x03SHOW REPLICA STATUS" {
					t.Errorf("then asked %q", q)
				}
			}
			if q := within(t, seen); q != "\x01" {
				t.Errorf("left with %q", q)
			}
			if got := e.server.Load(); got.version != c.server.version || got.mariaDB != c.server.mariaDB || got.charset != c.server.charset {
				t.Errorf("clients would be greeted with %+v", got)
			}
		})
	}
}

func TestAProbeThatIsAnsweredWithNonsenseFails(t *testing.T) {
	for name, answer := range map[string][]string{
		"an error":             {"\xff\x15\x04#28000denied"},
		"no result":            {fine},
		"no row":               {"\x01", column, end},
		"one column":           {"\x01", column, "\x03151", end},
		"no number":            {"\x02", column, column, "\x03abc\x010", end},
		"a negative number":    {"\x02", column, column, "\x02-1\x010", end},
		"NULL":                 {"\x02", column, column, "\xfb\x010", end},
		"a row cut off":        {"\x02", column, column, "\x0315", end},
		"a row of 2^64-1":      {"\x02", column, column, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff", end},
		"a row of no length":   {"\x02", column, column, "\xff\x01", end},
		"a bad column count":   {"\xfc\x01"},
		"an empty packet":      {""},
		"an empty row":         {"\x02", column, column, ""},
		"an error among rows":  {"\x02", column, column, "\xff\x15\x04#28000denied"},
		"a truncated terminal": {"\x02", column, column, "\x03151\x010", "\xfe"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			target := answering(t, mysqlServer, make(chan string, 4), answer...)
			_, err := engine.Probe(ctx, New(Config{Credentials: users("")}), target)
			var dial *engine.DialError
			if !errors.As(err, &dial) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAProbeWithoutCredentialsFails(t *testing.T) {
	if _, err := engine.Probe(context.Background(), New(Config{Credentials: accounts{}}), engine.Target{}); !errors.Is(err, engine.ErrNoCredential) {
		t.Errorf("%v", err)
	}
}

func TestEveryResultOfAQueryIsReadToItsEnd(t *testing.T) {
	const more = "\xfe\x00\x00\x0a\x00\x00\x00"
	seen := make(chan string, 8)
	target := answering(t, mysqlServer, seen, "\x01", column, "\x01a", "\x01b", more, "\x00\x00\x00\x0a\x00\x00\x00", "\x01", column, "\x01c", end)
	e := New(Config{Credentials: users("")})
	u, err := e.open(context.Background(), target, keyOf("app", "", 0, 45))
	if err != nil {
		t.Fatal(err)
	}
	defer u.leave()
	row, err := u.ask("CALL p()")
	if err != nil || !reflect.DeepEqual(row, []string{"c"}) {
		t.Errorf("%q, %v", row, err)
	}
	if err := u.run("DO 1"); err != nil {
		t.Errorf("the next command: %v", err)
	}
}

func TestACancelKillsTheQueryOnASideConnection(t *testing.T) {
	seen := make(chan string, 4)
	b := &engine.Backend{State: &backendState{id: 4294967295, user: "app", server: "7 7"}}
	who := []string{"\x02", column, column, "\x017\x017", end}
	killing := func(s serverInfo, answer string) engine.Target {
		return fakeServer(t, func(p *peer) {
			_ = p.write(greeting(&s, 7, s.capabilities&^protocol.CLIENT_SSL, fakeSalt))
			_, _ = p.read()
			p.succeed()
			for _, packets := range [][]string{who, {answer}} {
				p.sequence = 0
				c, err := p.read()
				if err != nil {
					return
				}
				seen <- string(c)
				for _, packet := range packets {
					_ = p.write([]byte(packet))
				}
			}
		})
	}
	asked := func(want ...string) {
		t.Helper()
		for _, w := range want {
			if q := within(t, seen); q != "\x03"+w {
				t.Errorf("asked %q, not %q", q, w)
			}
		}
	}
	target := killing(mysqlServer, fine)
	if err := New(Config{Credentials: users("")}).Cancel(context.Background(), target, b); err != nil {
		t.Fatal(err)
	}
	asked("SELECT "+identity, "KILL QUERY 4294967295")
	target = killing(mariaServer, "\xff\x46\x04#HY000Unknown thread id: 1")
	if err := New(Config{Credentials: users("")}).Cancel(context.Background(), target, b); err != nil {
		t.Errorf("a connection that has ended: %v", err)
	}
	asked("SELECT "+identity, "KILL QUERY 4294967295")
	target = killing(mariaServer, "\xff\x47\x04#HY000You are not owner of thread 1")
	if err := New(Config{Credentials: users("")}).Cancel(context.Background(), target, b); err == nil {
		t.Error("somebody else's thread was killed")
	}
	asked("SELECT "+identity, "KILL QUERY 4294967295")
	for _, stranger := range []string{"\x018\x017", "\x017\x018", "\xfb\xfb"} {
		who[3] = stranger
		if err := New(Config{Credentials: users("")}).Cancel(context.Background(), killing(mysqlServer, fine), b); !errors.Is(err, errElsewhere) {
			t.Errorf("at %q: %v", stranger, err)
		}
		asked("SELECT " + identity)
		if q := within(t, seen); q != "\x01" { // COM_QUIT
			t.Errorf("another server is told %q", q)
		}
	}
	if err := New(Config{Credentials: users("")}).Cancel(context.Background(), target, &engine.Backend{}); err == nil {
		t.Error("nobody was killed")
	}
}

func TestAnIdleBackendThatSpeaksIsLost(t *testing.T) {
	e := New(Config{})
	in := appendERR(nil, 0, clientCaps, 4031, "HY000", "inactivity")
	n, err := e.Idle(&engine.Backend{}, in)
	var server *engine.ServerError
	if n != len(in) || !errors.As(err, &server) || server.Number != 4031 || server.Message != "inactivity" {
		t.Errorf("%d, %v", n, err)
	}
	for _, in := range []string{"\x01", "\x01\x00\x00\x00", "\x01\x00\x00\x00\x00", "\x01\x00\x00\x00\xff"} {
		if n, err := e.Idle(&engine.Backend{}, []byte(in)); n != len(in) || err == nil {
			t.Errorf("%q: %d, %v", in, n, err)
		}
	}
}

func TestGoodbyeIsCOM_QUIT(t *testing.T) {
	if g := New(Config{}).Goodbye(); !bytes.Equal(g, []byte{1, 0, 0, 0, protocol.COM_QUIT}) {
		t.Errorf("%x", g)
	}
	if New(Config{}).Name() != "mysql" {
		t.Error("name")
	}
}

func TestADatabaseIsVerifiedForOneUserAndCharacterSetUntilItIsForgotten(t *testing.T) {
	e := New(Config{})
	app := userDatabase{"app", "sh\xf6p", 8}
	if _, ok := e.databaseVerified(app); ok {
		t.Error("verified by nobody")
	}
	e.verifyDatabase(app, "shöp")
	if name, ok := e.databaseVerified(app); !ok || name != "shöp" {
		t.Error("not verified")
	}
	for _, other := range []userDatabase{{"other", "sh\xf6p", 8}, {"app", "other", 8}, {"app", "sh\xf6p", 45}} {
		if _, ok := e.databaseVerified(other); ok {
			t.Errorf("%+v: not verified for exactly that user and database", other)
		}
	}
	e.forgetDatabase("app", "shöp")
	if _, ok := e.databaseVerified(app); ok {
		t.Error("not forgotten")
	}
	for i := range 3 * maxDatabases {
		e.verifyDatabase(userDatabase{"app", string(rune(i)), 8}, "")
	}
	if n := len(e.databases.verified); n > maxDatabases {
		t.Errorf("%d databases are remembered", n)
	}
}

// FuzzCommand feeds arbitrary packets as the answer to a query.
func FuzzCommand(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x01\x01"), byte(0))
	f.Add([]byte("\x07\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"), byte(0))
	f.Add([]byte("\x02\x00\x00\x01\xfb/\x00\x00\x00\x03"), byte(0))
	f.Fuzz(func(t *testing.T, answer []byte, _ byte) {
		conn := &scripted{in: bytes.NewReader(answer)}
		u := &upstream{packets: packets{conn: conn, peer: engine.SideBackend}}
		if row, err := u.ask("SELECT 1"); err == nil && len(row) > maxRow {
			t.Fatalf("%d columns", len(row))
		}
	})
}

// scripted is a peer that has said all that it will.
type scripted struct{ in *bytes.Reader }

func (s *scripted) Read(p []byte) (int, error)  { return s.in.Read(p) }
func (s *scripted) Write(p []byte) (int, error) { return len(p), nil }

func TestACancelSticksToOldServersOnly(t *testing.T) {
	for version, sticks := range map[string]bool{"5.7.29": true, "8.0.36": true, "8.4.0": true, "9.7.4-2": false, "10.1": false, "odd": true} {
		if got := testEngine(Config{}, serverInfo{version: version}).CancelSticks(); got != sticks {
			t.Errorf("%s: %v", version, got)
		}
	}
	if testEngine(Config{}, mariaServer).CancelSticks() {
		t.Error("MariaDB")
	}
	if !New(Config{}).CancelSticks() {
		t.Error("a server that is not known yet is trusted")
	}
}
