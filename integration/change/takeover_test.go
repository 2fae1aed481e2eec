package change

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

func TestFiveTakeOversUnderLoadHarmNobody(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 4}}})
			c := gather(t, p.Endpoint(name), s, 4, 3)
			for range 5 {
				c.goesOn()
				p.TakeOver(t)
				c.goesOn()
				dial(t, p.Endpoint(name)).must(t, "select 1")
				if l, err := p.Listener(t.Context(), name); err != nil || l.ClientConnections == 0 {
					t.Errorf("the new process does not answer for itself: %+v, %v", l, err)
				}
			}
			c.unharmed(s)
		})
	}
}

func TestSessionsStayWithTheProcessThatHasThemUntilTheirTimeIsUp(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{
				Routes: []harness.Route{{Server: s, MaxConnections: 4}},
				Top:    harness.Keys{"runtime": harness.Keys{"hand_over_timeout": "3s"}},
			})
			stays, leaves := dial(t, p.Endpoint(name)), dial(t, p.Endpoint(name))
			stays.must(t, "create temporary table mine (n int)")
			leaves.must(t, "select 1")
			began := time.Now()
			ended := p.TakeOver(t)
			stays.must(t, "insert into mine values (1)")
			dial(t, p.Endpoint(name)).must(t, "select 1")
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatal("the process that handed over does not end")
			}
			if time.Since(began) < 3*time.Second {
				t.Error("it ended before its time was up")
			}
			if err := leaves.exec(t.Context(), "select 1"); err == nil {
				t.Error("a session of the old process goes on")
			}
			dial(t, p.Endpoint(name)).must(t, "select 1")
		})
	}
}

func TestAReloadThatComesDuringATakeOverIsDoneByTheNewProcess(t *testing.T) {
	name := names()[0]
	s := harness.Shared(t, name)
	p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 4}}})
	dial(t, p.Endpoint(name)).must(t, "select 1") // keeps the old process
	old, told := p.PID(), make(chan error, 1)
	go func() {
		for !strings.Contains(p.Log(), "a new process takes over") && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		told <- syscall.Kill(old, syscall.SIGHUP)
	}()
	p.TakeOver(t)
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, patience, "the configuration is reloaded", func() bool { return strings.Contains(p.Log(), "configuration reloaded") })
	if strings.Contains(p.Log(), "not reloaded") {
		t.Error(p.Log())
	}
}
