package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

func TestEveryKindOfLoginWorks(t *testing.T) {
	route := harness.Route{MaxConnections: 3, Users: []harness.Account{
		{User: "app", Password: "secret"}, {User: "app_md5", Password: "secret", AuthType: "postgres_md5"}, {User: "app_plain", Password: "secret"},
	}}
	each(t, route, func(t *testing.T, r *rig) {
		for _, user := range []string{"app", "app_md5", "app_plain"} {
			for transport, l := range map[string]harness.Login{"tls": {User: user, Password: "secret", Database: "app"}, "plain": {User: user, Password: "secret", Database: "app", Plain: true}} {
				t.Run(user+" "+transport, func(t *testing.T) {
					if got := ask(t, conn(t, r.Endpoint, l), "select current_user"); got != user {
						t.Errorf("logged in as %q", got)
					}
					if got := psql(t, r, l, "select current_user"); got != user {
						t.Errorf("psql logged in as %q", got)
					}
				})
			}
		}
		app := harness.App()
		for name, more := range map[string]string{
			"channel binding":            " channel_binding=require",
			"direct TLS":                 " sslnegotiation=direct",
			"protocol 3.2":               " min_protocol_version=3.2",
			"protocol 3.0":               " max_protocol_version=3.0",
			"the newest protocol":        " max_protocol_version=latest",
			"direct TLS and all of that": " sslnegotiation=direct channel_binding=require min_protocol_version=3.2",
		} {
			t.Run("psql with "+name, func(t *testing.T) {
				out, err := psqlWith(t, r.PsqlArgs(app)+more, app, "select 'in'")
				if err != nil || out != "in" {
					t.Errorf("psql: %v: %s", err, out)
				}
			})
		}
		t.Run("psql does not verify another name", func(t *testing.T) {
			out, err := psqlWith(t, strings.Replace(r.PsqlArgs(app), "host=localhost", "host=elsewhere.example", 1), app, "select 1")
			if err == nil || !strings.Contains(out, "does not match host name") {
				t.Errorf("psql: %v: %s", err, out)
			}
		})
		t.Run("pgx requires channel binding", func(t *testing.T) {
			c, err := dial(t.Context(), r.Endpoint, app, func(c *pgconn.Config) { c.ChannelBinding = "require" })
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close(t.Context())
		})
	})
}

func TestARefusalSaysNothingAboutWhoIsKnown(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		refusal := func(user, password string) string {
			_, err := dial(t.Context(), r.Endpoint, harness.Login{User: user, Password: password, Database: "app"})
			var e *pgconn.PgError
			if !errors.As(err, &e) {
				t.Fatalf("%s: %v", user, err)
			}
			return e.Severity + " " + e.Code + " " + strings.ReplaceAll(e.Message, user, "USER")
		}
		wrong, unknown := refusal("app", "guess"), refusal("stranger", "guess")
		if wrong != unknown {
			t.Errorf("a wrong password: %s; an unknown user: %s", wrong, unknown)
		}
		if want := "FATAL 28P01 The password that was provided for the role USER is wrong."; wrong != want {
			t.Errorf("a wrong password: %s, not %s", wrong, want)
		}
	})
}

func TestWhatTheServerRefusesAtALoginIsRefusedInItsWords(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for name, change := range map[string]func(*pgconn.Config){
			"unknown database":  func(c *pgconn.Config) { c.Database = "nowhere" },
			"unknown parameter": func(c *pgconn.Config) { c.RuntimeParams["no_such_parameter"] = "1" },
			"bad value":         func(c *pgconn.Config) { c.RuntimeParams["statement_timeout"] = "soon" },
			"forbidden":         func(c *pgconn.Config) { c.RuntimeParams["log_statement"] = "all" },
			"bad option":        func(c *pgconn.Config) { c.RuntimeParams["options"] = "-c work_mem=much" },
			"bad encoding":      func(c *pgconn.Config) { c.RuntimeParams["client_encoding"] = "klingon" },
		} {
			t.Run(name, func(t *testing.T) {
				text := func(e harness.Endpoint) string {
					_, err := dial(t.Context(), e, harness.App(), change)
					var refused *pgconn.PgError
					if !errors.As(err, &refused) {
						t.Fatalf("%v", err)
					}
					return refused.Severity + " " + refused.Code + " " + refused.Message
				}
				if got, want := text(r.Endpoint), text(r.server.Endpoint); got != want {
					t.Errorf("refused with %s, by the server with %s", got, want)
				}
			})
		}
		if got := ask(t, conn(t, r.Endpoint, harness.App()), "select 'alive'"); got != "alive" {
			t.Errorf("afterwards %q", got)
		}
	})
}

func TestMoreClientsThanAllowedAreToldSo(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"max_client_connections": 3}}, func(t *testing.T, r *rig) {
		var in []*pgconn.PgConn
		for range 3 {
			in = append(in, conn(t, r.Endpoint, harness.App()))
		}
		_, err := dial(t.Context(), r.Endpoint, harness.App())
		wantCode(t, err, "53300")
		_ = in[0].Close(t.Context())
		harness.Eventually(t, settleWithin, "there is room again", func() bool {
			c, err := dial(t.Context(), r.Endpoint, harness.App())
			if err == nil {
				hangUp(c)
			}
			return err == nil
		})
		ask(t, in[1], "select 1")
	})
}

// startupPacket is a StartupMessage of protocol 3.0.
func startupPacket(params ...string) []byte {
	body := binary.BigEndian.AppendUint32(nil, 3<<16)
	for _, p := range params {
		body = append(append(body, p...), 0)
	}
	body = append(body, 0)
	return append(binary.BigEndian.AppendUint32(nil, uint32(4+len(body))), body...)
}

// bad are things that no client says.
var bad = map[string][]byte{
	"nothing":                 {},
	"HTTP":                    []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	"a length of 0":           {0, 0, 0, 0, 0, 0, 0, 0},
	"a length of 4 GiB":       {255, 255, 255, 255, 0, 3, 0, 0},
	"an oversized start-up":   append([]byte{0, 0, 0x40, 0, 0, 3, 0, 0}, bytes.Repeat([]byte{'x'}, 0x4000)...),
	"protocol 2":              {0, 0, 0, 8, 0, 2, 0, 0},
	"protocol 4":              {0, 0, 0, 8, 0, 4, 0, 0},
	"no user":                 startupPacket("database", "app"),
	"no terminator":           {0, 0, 0, 12, 0, 3, 0, 0, 'u', 's', 'e', 'r'},
	"a query at once":         []byte("Q\x00\x00\x00\x0dselect 1\x00"),
	"TLS that breaks off":     {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc},
	"SSLRequest without end":  bytes.Repeat([]byte{0, 0, 0, 8, 4, 210, 22, 47}, 50),
	"data behind SSLRequest":  append([]byte{0, 0, 0, 8, 4, 210, 22, 47}, startupPacket("user", "app")...),
	"GSSENCRequest again":     bytes.Repeat([]byte{0, 0, 0, 8, 4, 210, 22, 48}, 50),
	"an empty SASL answer":    append(startupPacket("user", "app"), 'p', 0, 0, 0, 4),
	"a SASL answer too long":  append(startupPacket("user", "app"), 'p', 0x7f, 255, 255, 255),
	"no such mechanism":       append(startupPacket("user", "app"), "p\x00\x00\x00\x0dPLAIN\x00\x00\x00"...),
	"a cancel without a key":  {0, 0, 0, 8, 4, 210, 22, 46},
	"a cancel of nobody":      {0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 1},
	"half a start-up message": startupPacket("user", "app")[:9],
}

// sayBad connects, says something and waits for the end, which must come. A client that leaves does not wait.
func sayBad(r *rig, what []byte, leaves bool) error {
	c, err := net.DialTimeout("tcp", r.Address(), answerWithin)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_, _ = c.Write(what) // the proxy may have closed already
	if leaves {
		return nil
	}
	_ = c.SetReadDeadline(time.Now().Add(answerWithin))
	var timeout net.Error
	if n, err := io.Copy(io.Discard, c); errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("the connection is still open after %d bytes", n)
	}
	return nil
}

// node-postgres sends a Terminate, and nothing before, if it is ended before it has connected; an answer would be an error that nobody
// handles.
func TestWhoEndsBeforeTheLoginIsToldNothingAsByTheServer(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, e := range []harness.Endpoint{r.server.Endpoint, r.Endpoint} {
			c, err := net.DialTimeout("tcp", e.Address(), answerWithin)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetDeadline(time.Now().Add(answerWithin)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write([]byte{'X', 0, 0, 0, 4}); err != nil {
				t.Fatal(err)
			}
			if told, err := io.ReadAll(c); err != nil || len(told) > 0 {
				t.Errorf("%s says %q, %v", e.Address(), told, err)
			}
			_ = c.Close()
		}
	})
}

func TestABadClientIsClosedWithinTheLoginTimeout(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"login_timeout": "1s"}}, func(t *testing.T, r *rig) {
		var all sync.WaitGroup
		for name, what := range bad {
			all.Go(func() {
				if err := sayBad(r, what, false); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		all.Wait()
		harness.Eventually(t, settleWithin, "no connection is left", func() bool {
			l, err := r.proxy.Listener(t.Context(), r.server.Name)
			return err == nil && l.ClientConnections == 0 && l.ClientConnectionsInSetup == 0
		})
	})
}

func TestAStormOfGarbageDisturbsNobody(t *testing.T) {
	const stormers, each1 = 8, 250
	each(t, harness.Route{MaxConnections: 2, Listener: harness.Keys{"login_timeout": "10s"}}, func(t *testing.T, r *rig) {
		before := descriptors(t, r)
		good := make(chan error, 4)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		for range cap(good) {
			go func() { good <- probe(ctx, r) }()
		}
		var kinds [][]byte
		for _, what := range bad {
			kinds = append(kinds, what)
		}
		var storm sync.WaitGroup
		for i := range stormers {
			storm.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), 7))
				for range each1 {
					what := kinds[random.IntN(len(kinds))]
					if random.IntN(3) == 0 {
						what = make([]byte, random.IntN(200))
						for j := range what {
							what[j] = byte(random.Uint32())
						}
					}
					if err := sayBad(r, what, true); err != nil {
						t.Error(err)
					}
				}
			})
		}
		storm.Wait()
		stop()
		for range cap(good) {
			if err := <-good; err != nil {
				t.Error(err)
			}
		}
		r.whole(t)
		harness.Eventually(t, settleWithin, "no connection is left", func() bool {
			return descriptors(t, r) <= before+8
		})
	})
}

func TestEveryTLSModeTowardsTheServerWorksForEveryKindOfUser(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		s := harness.Shared(t, name)
		for _, mode := range []string{"disable", "prefer", "require", "verify-ca", "verify-full"} {
			for _, user := range []string{"app", "app_md5", "app_plain"} {
				if user == "app_plain" && mode == "disable" {
					continue // a password is not sent in clear
				}
				t.Run(name+" "+mode+" "+user, func(t *testing.T) {
					keys := harness.Keys{"mode": mode}
					if strings.HasPrefix(mode, "verify") {
						keys["ca_file"] = s.CAFile
					}
					r := start(t, name, harness.Route{
						Server: s, MaxConnections: 1, Plain: true, Group: harness.Keys{"tls": keys},
						Users: []harness.Account{{User: user, Password: "secret"}},
					})
					c := conn(t, r.Endpoint, harness.Login{User: user, Password: "secret", Database: "app"})
					want := "t"
					if mode == "disable" {
						want = "f"
					}
					if got := ask(t, c, "select ssl from pg_stat_ssl where pid in (select pid from pg_stat_activity where query = current_query())"); got != want {
						t.Errorf("TLS to the server: %s", got)
					}
				})
			}
		}
	}
}

func TestResetGoesBackToWhatTheClientAskedForAtItsLogin(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		with := func(c *pgconn.Config) {
			c.RuntimeParams["statement_timeout"] = "777s"
			c.RuntimeParams["options"] = "-c work_mem=7MB -c search_path=pg_catalog"
			c.RuntimeParams["application_name"] = "Reset Me"
		}
		const show = `select current_setting('statement_timeout') || ' ' || current_setting('work_mem') || ' ' ||
			current_setting('search_path') || ' ' || current_setting('application_name')`
		const want = "777s 7MB pg_catalog Reset Me"
		other := conn(t, r.Endpoint, harness.App())
		c := conn(t, r.Endpoint, harness.App(), with)
		for round := range 3 {
			if got := ask(t, c, show); got != want {
				t.Errorf("round %d: %s", round, got)
			}
			ask(t, c, "set statement_timeout = '1s'; set work_mem = '1MB'; set search_path = public; set application_name = ''")
			for _, reset := range []string{"reset statement_timeout", "set work_mem to default", "reset all"} {
				ask(t, c, reset)
			}
			if got := ask(t, c, show); got != want {
				t.Errorf("after RESET: %s", got)
			}
			ask(t, c, "discard all")
			if got := ask(t, other, "show statement_timeout"); got == "777s" {
				t.Error("another session has the first one's setting")
			}
		}
	})
}

func TestVersionsOfTheProtocolAreIndependentOnBothSides(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		for _, version := range []string{"3.0", "3.2"} {
			t.Run(version, func(t *testing.T) {
				c := conn(t, r.Endpoint, harness.App(), func(c *pgconn.Config) {
					c.MinProtocolVersion, c.MaxProtocolVersion = version, version
				})
				if n := len(c.SecretKey()); version == "3.0" && n != 4 || n < 4 {
					t.Errorf("the cancel key has %d bytes", n)
				}
				mark := fmt.Sprintf("version_%s_%d", version, time.Now().UnixNano())
				ended := make(chan error, 1)
				go func() {
					_, err := asked(t.Context(), c, "select pg_sleep(600) /* "+mark+" */")
					ended <- err
				}()
				running(t, r.server, mark)
				if err := c.CancelRequest(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantCode(t, <-ended, "57014")
			})
		}
	})
}

func TestOddPasswordsWorkOnBothSides(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
			var users []harness.Account
			for i, password := range []string{
				"with blank and 'quote'", `back\slash"and"quotes`, "pässwörd", "\u00a0no-break\u00a0space", "Ⅸ compatibility", strings.Repeat("long", 200), "=,n=a,r=b",
			} {
				user := fmt.Sprintf("odd_%d", i)
				harness.Exec(t, s, "create role "+user+" login password '"+strings.ReplaceAll(password, "'", "''")+"'")
				users = append(users, harness.Account{User: user, Password: password})
			}
			r := start(t, name, harness.Route{Server: s, MaxConnections: 3, Users: users})
			for _, u := range users {
				l := harness.Login{User: u.User, Password: u.Password, Database: "app"}
				if got := psql(t, r, l, "select current_user"); got != u.User {
					t.Errorf("%q: psql logged in as %q", u.Password, got)
				}
				// pgx normalises by other rules than the server, and cannot log in there either with some of them.
				direct, refused := dial(t.Context(), s.Endpoint, l)
				c, err := dial(t.Context(), r.Endpoint, l)
				if code(err) != code(refused) || (err == nil) != (refused == nil) {
					t.Errorf("%q: pgx was told %v by the proxy, %v by the server", u.Password, err, refused)
				}
				for _, open := range []*pgconn.PgConn{direct, c} {
					if open != nil {
						_ = open.Close(t.Context())
					}
				}
			}
		})
	}
}
