package change

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

func TestAServerIsExchangedInAPauseAndNobodyNotices(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Own(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 3}}})
			c := gather(t, p.Endpoint(name), s, 6, 2)
			c.goesOn()
			if code, out := berth(t, p, "pause", name); code != 0 {
				t.Fatalf("pause: %d, %s", code, out)
			}
			if pool, err := p.Pool(t.Context(), name); err != nil || pool.Open != 0 {
				t.Errorf("while it is paused: %+v, %v", pool, err)
			}
			if _, out := berth(t, p, "status"); !strings.Contains(out, "target group "+name+" is paused") {
				t.Errorf("status says %s", out)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			if code, out := berth(t, p, "resume", name); code != 0 {
				t.Fatalf("resume: %d, %s", code, out)
			}
			c.goesOn()
			c.unharmed(s)
		})
	}
}

func TestAPauseThatDoesNotComeAboutSaysWhoHoldsWhatAndIsTakenBack(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 3}}})
			busy, pinned, other := dial(t, p.Endpoint(name)), dial(t, p.Endpoint(name)), dial(t, p.Endpoint(name))
			busy.must(t, "begin", "select 1")
			pinned.must(t, "create temporary table mine (n int)")
			code, out := berth(t, p, "pause", "--timeout", "100ms", name)
			if code != 1 || !strings.Contains(out, "2 sessions") || !strings.Contains(out, "true") || !strings.Contains(out, "temporary_table") {
				t.Errorf("pause: %d, %s", code, out)
			}
			other.must(t, "select 1")
			busy.must(t, "select 1", "rollback")
			pinned.must(t, "drop table mine")
			if code, out := berth(t, p, "pause", name); code != 0 {
				t.Errorf("pause: %d, %s", code, out)
			}
			if code, out := berth(t, p, "pause", "--timeout", "10s", name); code != 0 {
				t.Errorf("pause of what is paused: %d, %s", code, out)
			}
			done := make(chan error, 1)
			go func() { done <- other.exec(t.Context(), "select 1") }()
			harness.Eventually(t, patience, "it waits", func() bool {
				l, err := p.Listener(t.Context(), name)
				return err == nil && l.WaitingClients == 1
			})
			if code, out := berth(t, p, "resume", name); code != 0 {
				t.Errorf("resume: %d, %s", code, out)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if code, out := berth(t, p, "pause", "nobody"); code != 1 || !strings.Contains(out, "no such target group") {
				t.Errorf("pause of nothing: %d, %s", code, out)
			}
		})
	}
}
