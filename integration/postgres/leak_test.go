package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

var probes atomic.Uint64

// pristine is a query for what a session finds on its connection that is not as the server made it: settings that somebody
// set (but those of the transaction, whose source the server forgets to put back), advisory locks, temporary tables, prepared
// statements, cursors, channels, the role. It leaves nothing itself. Its text is another one each time, so that the server's
// list of activity shows whose locks are meant.
func pristine() string {
	return fmt.Sprintf(`/* probe %d of %d */ select coalesce((select string_agg(name || '=' || setting, ',' order by name)
		from pg_settings where source = 'session' and name not like 'transaction%%' and name <> 'application_name'), 'no settings'),
	current_setting('transaction_isolation') = current_setting('default_transaction_isolation')
		and current_setting('transaction_read_only') = current_setting('default_transaction_read_only'),
	(select count(*) from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory' and query = current_query()),
	(select count(*) from pg_class where relnamespace = pg_my_temp_schema()), (select count(*) from pg_prepared_statements),
	(select count(*) from pg_cursors where name <> ''), (select count(*) from pg_listening_channels()),
	current_user, session_user`, probes.Add(1), os.Getpid())
}

const pristineAnswer = "no settings t 0 0 0 0 0 app app"

// settings is a query for what a client gets by its start-up packet.
const settings = `select string_agg(name || '=' || setting, ',' order by name) from pg_settings
	where source in ('client', 'session') and name not like 'transaction%' or name in ('search_path', 'TimeZone', 'application_name', 'work_mem', 'DateStyle')`

// startups are clients that ask for different things when they log in.
var startups = []map[string]string{
	{},
	{"application_name": "leaks"},
	{"search_path": "pg_catalog", "timezone": "Asia/Tokyo"},
	{"options": "-c work_mem=5MB --search_path=information_schema"},
	{"options": `-c application_name=a\ b`, "datestyle": "German"},
	{"default_transaction_isolation": "serializable", "extra_float_digits": "0"},
}

// change is something a client does to its session. FN, SEQ and ROLE stand for objects that are there.
type change struct {
	name  string
	do    []string // simple queries; one that begins with ! fails
	probe string   // finds it,
	want  string   // with this answer
}

// pinning leaves something behind that only its connection has: the session must be pinned afterwards.
var pinning = []change{
	{"a function in COPY that sets", []string{"create temp table c (n text)", "insert into c select FN()"}, "show work_mem", "9MB"},
	{"CREATE TEMP TABLE", []string{"create temp table tmp as select 7 as n"}, "select n from tmp", "7"},
	{"SET of a custom setting with other letters", []string{"set my.É = 'x'"}, "show my.É", "x"},
	{"set_config of a custom setting with other letters", []string{"select set_config('my.É', 'x', false)"}, "show my.É", "x"},
	{"set_config in DO of a custom setting with other letters", []string{"do $$ begin perform set_config('my.É', 'x', false); end $$"}, "show my.É", "x"},
	{"CREATE TABLE pg_temp", []string{"create table pg_temp.tmp as select 7 as n"}, "select n from pg_temp.tmp", "7"},
	{"SELECT INTO TEMP", []string{"select 7 as n into temp tmp"}, "select n from tmp", "7"},
	{"CREATE TEMP VIEW", []string{"create temporary view tmp as select 7 as n"}, "select n from tmp", "7"},
	{"CREATE TEMP SEQUENCE", []string{"create temp sequence tmp start 7"}, "select last_value from tmp", "7"},
	{"a function in pg_temp", []string{"create function pg_temp.f() returns int language sql as 'select 7'"}, "select pg_temp.f()", "7"},
	{"PREPARE", []string{"prepare p as select 7"}, "execute p", "7"},
	{"PREPARE in a transaction that is rolled back", []string{"begin", "prepare p as select 7", "rollback"}, "execute p", "7"},
	{"an advisory lock", []string{"select pg_advisory_lock(4712, 1)"}, advisory, "1"},
	{"a tried advisory lock", []string{"select pg_try_advisory_lock(4712, 1)"}, advisory, "1"},
	{"an advisory lock in a transaction that is rolled back", []string{"begin", "select pg_advisory_lock(4712, 1)", "!select 1/0", "rollback"}, advisory, "1"},
	{"a shared advisory lock", []string{"select pg_advisory_lock_shared(4712)"}, advisory, "1"},
	{"LISTEN", []string{"listen leaks"}, "select pg_listening_channels()", "leaks"},
	{"LISTEN in a transaction", []string{"begin", "listen leaks", "commit"}, "select pg_listening_channels()", "leaks"},
	{"DECLARE WITH HOLD", []string{"declare held scroll cursor with hold for select generate_series(7, 9)"}, "fetch absolute 1 held", "7"},
	{"nextval", []string{"select nextval('SEQ')"}, "select currval('SEQ') = lastval()", "t"},
	{"setval", []string{"select setval('SEQ', 100)"}, "select currval('SEQ') >= 100", "t"},
}

// restored is changed on whatever connection the session has: the session must not be pinned.
var restored = []change{
	{"SET", []string{"set work_mem = '9MB'"}, "show work_mem", "9MB"},
	{"SET behind a comment", []string{"/* app */ -- x\n SeT\twork_mem to '9MB'"}, "show work_mem", "9MB"},
	{"SET SESSION", []string{"set session work_mem = '9MB'"}, "show work_mem", "9MB"},
	{"SET of a custom setting", []string{"set my.own = 'x'"}, "show my.own", "x"},
	{"SET of a quoted custom setting", []string{`set "My"."Own" = 'x'`}, "show my.own", "x"},
	{"SET TIME ZONE", []string{"set time zone 'America/Lima'"}, "show timezone", "America/Lima"},
	{"SET NAMES", []string{"set names 'LATIN1'"}, "show client_encoding", "LATIN1"},
	{"SET in a transaction", []string{"begin", "set work_mem = '9MB'", "commit"}, "show work_mem", "9MB"},
	{"SET before an error in a later statement", []string{"!begin; set work_mem = '9MB'; commit; select 1/0"}, "show work_mem", "9MB"},
	{"SET before a savepoint that is rolled back", []string{"begin", "set work_mem = '9MB'", "savepoint s", "!select 1/0", "rollback to s", "commit"}, "show work_mem", "9MB"},
	{"several SETs at once", []string{"set work_mem = '9MB'; set my.own = 'y'"}, "select current_setting('my.own') || current_setting('work_mem')", "y9MB"},
	{"SET SESSION CHARACTERISTICS", []string{"set session characteristics as transaction read only"}, "show transaction_read_only", "on"},
	{"set_config", []string{"select set_config('work_mem', '9MB', false)"}, "show work_mem", "9MB"},
	{"set_config by a quoted name", []string{`select pg_catalog."set_config"('work_mem', '9MB', false)`}, "show work_mem", "9MB"},
	{"set_config in a WITH", []string{"with x as (select set_config('work_mem', '9MB', false)) select * from x"}, "show work_mem", "9MB"},
	{"set_config before an error", []string{"!begin; select set_config('work_mem', '9MB', false); commit; select 1/0"}, "show work_mem", "9MB"},
	{"set_config by UPDATE of pg_settings", []string{"update pg_settings set setting = '9216' where name = 'work_mem'"}, "show work_mem", "9MB"},
	{"set_config in EXPLAIN ANALYZE", []string{"explain analyze select set_config('work_mem', '9MB', false)"}, "show work_mem", "9MB"},
	{"set_config in DO", []string{"do $$ begin perform set_config('work_mem', '9MB', false); end $$"}, "show work_mem", "9MB"},
	{"a function that sets", []string{"select FN()"}, "show work_mem", "9MB"},
	{"a function in FROM that sets", []string{"select * from FN()"}, "show work_mem", "9MB"},
	{"SET ROLE", []string{"set role ROLE"}, "select current_user = 'ROLE'", "t"},
	{"SET SESSION AUTHORIZATION", []string{"set session authorization app", "set my.own = 'z'"}, "show my.own", "z"},
}

const advisory = "select count(*) from pg_locks join pg_stat_activity using (pid) where locktype = 'advisory' and query = current_query() and usename = current_user and state = 'active'"

// harmless leaves nothing behind: the session must not be pinned by it.
var harmless = []change{
	{"SET LOCAL", []string{"begin", "set local work_mem = '9MB'", "commit"}, "", ""},
	{"SET TRANSACTION", []string{"begin", "set transaction isolation level serializable", "select 1", "commit"}, "", ""},
	{"a failed transaction", []string{"begin", "!select 1/0", "rollback"}, "", ""},
	{"a failed transaction that is committed", []string{"begin", "!select 1/0", "commit"}, "", ""},
	{"savepoints", []string{"begin", "savepoint a", "!select 1/0", "rollback to a", "release a", "commit"}, "", ""},
	{"a transaction's lock", []string{"begin", "select pg_advisory_xact_lock(4712, 2)", "commit"}, "", ""},
	{"a cursor", []string{"begin", "declare c cursor for select 1", "fetch c", "commit"}, "", ""},
	{"NOTIFY", []string{"notify leaks, 'x'"}, "", ""},
	{"several statements", []string{"select 1; select 2; select 3"}, "", ""},
	// Its text does not say so: the value is not for others, but may be lost to the session itself.
	{"an INSERT's default from a sequence", []string{"insert into SEQT values (default)"}, "", ""},
	{"nothing", []string{"", ";", "/* nothing */"}, "", ""},
	{"an implicit transaction that fails", []string{"!select 1; select 1/0; select 2"}, "", ""},
}

// player is one of the sessions that are interleaved.
type player struct {
	conn     *pgconn.PgConn
	startup  map[string]string
	settings string  // what a client with this start-up packet finds at the server
	changed  *change // what it did to its session, nil if nothing
	pins     bool    // and that it pins
	valued   bool    // it may have made a sequence give a value
}

// game is sessions that are interleaved over few connections. Never more than one of them is pinned, so that there is
// always a connection for the others.
type game struct {
	*rig
	random  *rand.Rand
	names   *strings.Replacer
	players []*player
}

func TestNoSessionSeesWhatAnotherDidToItsConnection(t *testing.T) {
	const players, steps, most = 8, 300, 5000
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		g := &game{rig: r, random: rand.New(rand.NewPCG(seed, 0)), names: objects(t, r.server)}
		for range players {
			g.players = append(g.players, nil)
		}
		undone := g.random.Perm(len(pinning) + len(restored)) // every change at least once, in any order
		for step := 0; (step < steps || step < most && len(undone) > 0) && !t.Failed(); step++ {
			g.step(t, &undone)
		}
		if len(undone) > 0 && !t.Failed() {
			t.Errorf("%d changes were not tried: there are too few steps", len(undone))
		}
		for _, p := range g.players {
			if p != nil {
				hangUp(p.conn)
			}
		}
		r.whole(t)
	})
}

// objects makes what changes need.
func objects(t *testing.T, s *harness.Server) *strings.Replacer {
	t.Helper()
	id := fmt.Sprintf("leak_%d_%d", os.Getpid(), time.Now().UnixNano())
	seqt := table(t, s, "(n bigserial)")
	harness.Exec(t, s,
		"create function public."+id+"() returns text language sql as $$ select set_config('work_mem', '9MB', false) $$",
		"create role "+id, "grant "+id+" to app", "grant all on sequence "+seqt+"_n_seq to app")
	t.Cleanup(func() {
		if err := s.Exec(context.Background(), "drop function public."+id+"()", "drop role "+id); err != nil {
			t.Error(err)
		}
	})
	return strings.NewReplacer("FN()", "public."+id+"()", "ROLE", id, "SEQT", "public."+seqt, "SEQ", "public."+seqt+"_n_seq")
}

// step lets one session do something.
func (g *game) step(t *testing.T, undone *[]int) {
	t.Helper()
	i := g.random.IntN(len(g.players))
	p := g.players[i]
	switch {
	case p == nil:
		p = g.login(t)
		g.players[i] = p
	case g.random.IntN(10) == 0: // leaves without a word; who comes next begins anew
		hangUp(p.conn)
		g.players[i] = nil
		harness.Eventually(t, settleWithin, "the session that left is gone", func() bool {
			for _, s := range g.sessions(t) {
				if s.ID == p.conn.PID() {
					return false
				}
			}
			return true
		})
		return
	case p.changed != nil && g.random.IntN(2) == 0:
		ask(t, p.conn, "discard all")
		p.changed, p.valued, p.pins = nil, false, false
	case p.changed == nil && g.pinned() == nil && len(p.startup) == 0 && g.random.IntN(3) > 0:
		n := g.random.IntN(len(pinning) + len(restored))
		if len(*undone) > 0 {
			n, *undone = (*undone)[0], (*undone)[1:]
		}
		if p.pins = n < len(pinning); p.pins {
			p.changed = &pinning[n]
		} else {
			p.changed = &restored[n-len(pinning)]
		}
		g.play(t, p, p.changed)
	case p.changed == nil:
		g.play(t, p, &harmless[g.random.IntN(len(harmless))])
	}
	g.verify(t, p)
}

func (g *game) pinned() *player {
	for _, p := range g.players {
		if p != nil && p.pins {
			return p
		}
	}
	return nil
}

func (g *game) login(t *testing.T) *player {
	t.Helper()
	p := &player{startup: startups[0]}
	if g.random.IntN(3) == 0 {
		p.startup = startups[g.random.IntN(len(startups))]
	}
	with := func(c *pgconn.Config) {
		for name, value := range p.startup {
			c.RuntimeParams[name] = value
		}
	}
	direct := conn(t, g.server.Endpoint, harness.App().InClear(), with)
	p.settings = ask(t, direct, settings)
	_ = direct.Close(t.Context())
	p.conn = conn(t, g.Endpoint, harness.App().InClear(), with)
	return p
}

// play does what c says.
func (g *game) play(t *testing.T, p *player, c *change) {
	t.Helper()
	for _, sql := range c.do {
		p.valued = p.valued || strings.Contains(sql, "SEQ")
		sql, fails := strings.CutPrefix(g.names.Replace(sql), "!")
		var err error
		if g.random.IntN(2) == 0 && !strings.Contains(sql, ";") {
			_, err = askedExtended(t.Context(), p.conn, sql)
		} else {
			_, err = asked(t.Context(), p.conn, sql)
		}
		if (err != nil) != fails {
			t.Fatalf("%s: %s: %v", c.name, sql, err)
		}
	}
}

// verify looks at what p finds on its connection.
func (g *game) verify(t *testing.T, p *player) {
	t.Helper()
	if c := p.changed; c != nil {
		if got := ask(t, p.conn, g.names.Replace(c.probe)); got != c.want {
			t.Errorf("%s: the session finds %q afterwards, not %q", c.name, got, c.want)
		}
		if s := g.session(t, p.conn.PID()); (s.Pinned != "") != p.pins || p.pins && s.Backend == 0 {
			t.Errorf("%s: %+v", c.name, s)
		}
		return
	}
	if got := ask(t, p.conn, pristine()); got != pristineAnswer {
		t.Errorf("with start-up %v a session found %s", p.startup, got)
	}
	if got := ask(t, p.conn, settings); got != p.settings {
		t.Errorf("with start-up %v a session found\n%s, not\n%s", p.startup, got, p.settings)
	}
	if _, err := asked(t.Context(), p.conn, "select lastval()"); code(err) != "55000" && !p.valued {
		t.Errorf("a session that used no sequence found a last value: %v", err)
	}
	harness.Eventually(t, settleWithin, "a session that changed nothing gives its connection back", func() bool {
		s := g.session(t, p.conn.PID())
		if s.Pinned != "" {
			t.Errorf("a session that changed nothing is pinned: %+v", s)
		}
		return s.Backend == 0
	})
}

func TestSessionsDoNotMixUpTheirStatements(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		first, second := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App().InClear())
		both := []*pgconn.PgConn{first, second}
		t.Run("unnamed", func(t *testing.T) {
			for round := range 20 {
				for i, c := range both {
					if _, err := c.Prepare(ctx, "", fmt.Sprintf("select %d + $1::int", 1000*i+round), nil); err != nil {
						t.Fatal(err)
					}
				}
				for i, c := range both {
					result := c.ExecPrepared(ctx, "", [][]byte{[]byte("5")}, nil, nil).Read()
					if got, want := joined(result), fmt.Sprint(1000*i+round+5); got != want || result.Err != nil {
						t.Errorf("session %d got %q, not %s: %v", i, got, want, result.Err)
					}
				}
			}
			for _, c := range both {
				if s := r.session(t, c.PID()); s.Pinned != "" {
					t.Errorf("pinned by an unnamed statement: %+v", s)
				}
			}
		})
		t.Run("named", func(t *testing.T) {
			for i, c := range both {
				if _, err := c.Prepare(ctx, "same", fmt.Sprintf("select '%d' || $1::text", i), nil); err != nil {
					t.Fatal(err)
				}
				if s := r.session(t, c.PID()); s.Pinned != "" {
					t.Errorf("pinned by a named statement: %+v", s)
				}
			}
			for i, c := range both {
				result := c.ExecPrepared(ctx, "same", [][]byte{[]byte("x")}, nil, nil).Read()
				if got := joined(result); got != fmt.Sprintf("%dx", i) || result.Err != nil {
					t.Errorf("session %d got %q: %v", i, got, result.Err)
				}
				ask(t, c, "discard all")
				result = c.ExecPrepared(ctx, "same", [][]byte{[]byte("x")}, nil, nil).Read()
				wantCode(t, result.Err, "26000")
				if s := r.session(t, c.PID()); s.Pinned != "" || s.Backend != 0 {
					t.Errorf("after DISCARD ALL: %+v", s)
				}
			}
		})
	})
}

func TestNotificationsReachWhoListensAndNobodyElse(t *testing.T) {
	each(t, harness.Route{MaxConnections: 3}, func(t *testing.T, r *rig) {
		var heard [2][]string
		listener := func(i int) *pgconn.PgConn {
			return conn(t, r.Endpoint, harness.App(), func(c *pgconn.Config) {
				c.OnNotification = func(self *pgconn.PgConn, n *pgconn.Notification) {
					heard[i] = append(heard[i], n.Channel+":"+n.Payload)
					if own := n.PID == self.PID(); i == 0 && own != (n.Payload == "self") {
						t.Errorf("%s seems to come from the session itself: %t", n.Payload, own)
					}
				}
			})
		}
		a, b := listener(0), listener(1)
		ask(t, a, "listen news")
		ask(t, a, "notify news, 'self'")
		for i := range 3 {
			ask(t, b, fmt.Sprintf("notify news, '%d'", i))
		}
		for len(heard[0]) < 4 { // they arrive while the client is idle
			ctx, stop := context.WithTimeout(t.Context(), settleWithin)
			err := a.WaitForNotification(ctx)
			stop()
			if err != nil {
				t.Fatalf("after %v: %v", heard[0], err)
			}
		}
		if got := strings.Join(heard[0], " "); got != "news:self news:0 news:1 news:2" {
			t.Errorf("the listener heard %s", got)
		}
		ask(t, a, "discard all")
		for range 4 {
			ask(t, b, "notify news, 'late'")
			ask(t, b, "select 1")
			ask(t, a, "select 1")
		}
		if len(heard[0]) != 4 || len(heard[1]) != 0 {
			t.Errorf("after DISCARD ALL %v and %v were heard", heard[0], heard[1])
		}
	})
}
