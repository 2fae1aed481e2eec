package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// busy is a statement that runs until it is killed, or fails the test by its length.
const busy = "select sleep(50) + count(*) from (select 1) t"

// inBusy waits until the server executes a busy statement of user app, and returns how many.
func inBusy(t *testing.T, f front, n int) {
	t.Helper()
	look := dial(t, f.server.Endpoint, superuser(), modern)
	waitFor(t, fmt.Sprintf("%d busy statements", n), func() bool {
		return look.outcome("select count(*) from information_schema.processlist where user = 'app' and info like 'select sleep(50)%'") ==
			fmt.Sprintf("[%d]", n)
	})
	look.quit()
}

func TestKillQueryStopsTheStatementOfTheSessionWithThatID(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		victim, killer := f.client(t), f.client(t)
		for range 3 {
			if err := victim.ask(busy); err != nil {
				t.Fatal(err)
			}
			inBusy(t, f, 1)
			killer.sees(t, fmt.Sprintf("KILL /* it */ QUERY %d", victim.id), "ok 0")
			got, err := victim.results(false)
			// SLEEP() that is interrupted returns 1 on both servers, or the statement fails.
			if s := show(got, err); s != "error 1317" && s != "[2]" {
				t.Errorf("a killed query: %s", s)
			}
			victim.sees(t, "select 5", "[5]")
			inBusy(t, f, 0)
		}
		// Who has nothing under way, and no backend, loses nothing; nor does whoever has its backend now.
		killer.sees(t, fmt.Sprintf("kill query %d", victim.id), "ok 0")
		for range 20 {
			victim.sees(t, "select 6", "[6]")
			killer.sees(t, "select 7", "[7]")
		}
	})
}

func TestKillEndsTheSessionWithThatID(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		name := table(t, f.server, "killed", "(n int)")
		for what, kill := range map[string]func(killer *wire, id uint32) error{
			"KILL": func(w *wire, id uint32) error { return firstError(w, fmt.Sprintf("kill %d", id)) },
			"KILL CONNECTION": func(w *wire, id uint32) error {
				return firstError(w, fmt.Sprintf("kill connection %d;", id))
			},
			"COM_PROCESS_KILL": func(w *wire, id uint32) error {
				_, err := w.one(protocol.COM_PROCESS_KILL, binary.LittleEndian.AppendUint32(nil, id)...)
				return err
			},
		} {
			t.Run(what, func(t *testing.T) {
				killer := f.client(t)
				idle, working, writing := f.client(t), f.client(t), f.client(t)
				writing.do(t, "begin", "insert into "+name+" values (1)")
				if err := kill(killer, writing.id); err != nil {
					t.Error(err)
				}
				if err := working.ask(busy); err != nil {
					t.Fatal(err)
				}
				inBusy(t, f, 1)
				for _, victim := range []*wire{idle, working} {
					if err := kill(killer, victim.id); err != nil {
						t.Error(err)
					}
				}
				for _, victim := range []*wire{idle, working, writing} {
					for range 3 { // it may be told first
						if victim.seq = 0; victim.ask("select 1") != nil {
							break
						}
						if _, err := victim.results(false); err != nil {
							break
						}
					}
					if victim.ask("select 1") == nil {
						if got, err := victim.results(false); err == nil {
							t.Errorf("a killed session goes on: %s", show(got, err))
						}
					}
				}
				killer.sees(t, "select count(*) from "+name, "[0]")
				if err := kill(killer, idle.id); numberOf(err) != 1094 {
					t.Errorf("killing twice: %v, want 1094", err)
				}
			})
		}
	})
}

func firstError(w *wire, text string) error {
	all, err := w.query(text)
	if err != nil {
		return err
	}
	return all[len(all)-1].err
}

func TestKillSparesOthers(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		a, super := f.client(t), dial(t, f.Endpoint, superuser(), modern)
		a.sees(t, fmt.Sprintf("kill %d", super.id), "error 1095")
		a.sees(t, fmt.Sprintf("kill query %d", super.id), "error 1095")
		if _, err := a.one(protocol.COM_PROCESS_KILL, binary.LittleEndian.AppendUint32(nil, super.id)...); numberOf(err) != 1095 {
			t.Errorf("COM_PROCESS_KILL of another user's session: %v, want 1095", err)
		}
		for _, q := range []string{"kill 4294967295", "kill query 0", "kill 99999999999999999999", "kill connection 1"} {
			a.sees(t, q, "error 1094")
		}
		// The ids that the server knows are no ids of the proxy.
		id := strings.Trim(super.outcome("select connection_id() + 0"), "[]")
		if got := a.outcome("kill " + id); got != "error 1094" {
			t.Errorf("killing a backend by the server's id: %s", got)
		}
		for _, q := range []string{"kill user 'app'", "kill 1 + 1", "select 1; kill 5"} {
			if got := a.outcome(q); !strings.Contains(got, "error") {
				t.Errorf("%s: %s", q, got)
			}
		}
		super.sees(t, "select 1", "[1]")
		a.sees(t, fmt.Sprintf("kill query %d", a.id), "error 1317")
		a.sees(t, "select 1", "[1]")
		want := "error 1317"
		if f.mariaDB() {
			want = "error 1927"
		}
		a.sees(t, fmt.Sprintf("kill %d", a.id), want)
		if _, err := a.query("select 1"); err == nil {
			t.Error("a session goes on after killing itself")
		}
	})
}

// TestAKillWithinAnotherStatementReachesNoConnection: its number is the proxy's to its client, and somebody else's to the server.
func TestAKillWithinAnotherStatementReachesNoConnection(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for _, text := range []string{
			"kill\xa0%d", "\xa0kill %d", "select 1; kill\xa0%d", "prepare p from 'kill %d'; execute p", "execute immediate 'kill %d'", "execute immediate \"kill %d\"",
			"prepare p from concat('kill ', %d); execute p", "execute immediate concat('kill ', %d)", "execute immediate concat('', 'kill ', %d)", "execute immediate ('kill ' '%d')",
			"set statement max_statement_time = 10 for kill %d", "begin not atomic kill %d; end", "if 1 then kill %d; end if", "case 1 when 1 then kill %d; end case",
			"repeat kill %d; until 1 end repeat", "for i in 1..1 do kill %d; end for", "set statement sql_mode = '' for begin not atomic kill %d; end",
		} {
			victim, killer := f.direct(t), f.client(t, multi)
			killer.do(t, "set names latin1")
			killer.sees(t, fmt.Sprintf(text, victim.id), "error 1235")
			victim.sees(t, "select 1", "[1]")
			victim.quit()
			killer.quit()
		}
	})
}

func TestKillOfItsOwnConnectionIDStopsTheSessionAsTheServerDoes(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for _, text := range []string{"kill connection_id()", "KILL CONNECTION CONNECTION_ID ( );"} {
			direct, through := dial(t, f.server.Endpoint, superuser(), modern), f.client(t)
			other := f.client(t)
			for _, quick := range []string{"kill query connection_id()", "select 1"} {
				if want, got := direct.outcome(quick), through.outcome(quick); got != want {
					t.Errorf("%s: %s, want %s", quick, got, want)
				}
			}
			if want, got := direct.outcome(text), through.outcome(text); got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
			for name, w := range map[string]*wire{"the server": direct, "the proxy": through} {
				if _, err := w.query("select 1"); err == nil {
					t.Errorf("%s: %s goes on with a session that has killed itself", text, name)
				}
			}
			other.sees(t, "select 1", "[1]")
		}
	})
}

func TestAnInterruptOfTheCommandLineClientStopsItsStatement(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		l := harness.App()
		for client, args := range map[string][]string{"mysql97": f.MySQLArgs(l), "mariadb1011": f.MariaDBArgs(l)} {
			t.Run(client, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), patience)
				defer stop()
				cmd := exec.CommandContext(ctx, harness.Program(t, client, "MYSQL"), append(args, "--sigint-ignore=0", "--force", "-v", "-n")...)
				cmd.Env = append(os.Environ(), "MYSQL_PWD="+l.Password)
				stdin, err := cmd.StdinPipe()
				if err != nil {
					t.Fatal(err)
				}
				out := &output{}
				cmd.Stdout, cmd.Stderr = out, out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := stdin.Write([]byte(busy + ";\nselect concat('still ', 'here');\n")); err != nil {
					t.Fatal(err)
				}
				inBusy(t, f, 1)
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
				inBusy(t, f, 0)
				waitFor(t, "the next statement's answer", func() bool { return strings.Contains(out.String(), "still here") })
				_ = stdin.Close()
				if err := cmd.Wait(); err != nil && ctx.Err() != nil {
					t.Errorf("%v: %s", err, out.String())
				}
			})
		}
	})
}

// output collects what a process says while others read it.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
