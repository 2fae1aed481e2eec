package relay

import (
	"errors"
	"sync"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// counted fails unless user has n sessions, and m are there with database.
func counted(t *testing.T, h *Headcount, user string, n int, database string, m int) {
	t.Helper()
	if gotN, gotM := h.Count(user, database); gotN != n || gotM != m {
		t.Errorf("%s has %d sessions, %s %d; expected %d and %d", user, gotN, database, gotM, n, m)
	}
}

// kept fails unless err says that there are too many of name.
func kept(t *testing.T, err, kind error, name string, limit int) {
	t.Helper()
	var l *engine.LimitError
	if !errors.As(err, &l) || !errors.Is(err, kind) || l.Name != name || l.Limit != limit {
		t.Errorf("%v", err)
	}
}

func TestAUserAndADatabaseHaveAsManySessionsAsTheyMay(t *testing.T) {
	h := &Headcount{}
	h.SetLimits(&HeadLimits{
		PerUser: 2, PerDatabase: 3, Users: map[string]int{"batch": 1, "root": 0}, Databases: map[string]int{"big": 0, "small": 1},
	})
	enter := func(user, database string) {
		t.Helper()
		if err := h.Enter(user, database); err != nil {
			t.Errorf("%s, %s: %v", user, database, err)
		}
	}
	enter("app", "shop")
	enter("app", "shop")
	kept(t, h.Enter("app", "big"), engine.ErrUserConnections, "app", 2)
	enter("batch", "shop")
	kept(t, h.Enter("batch", "big"), engine.ErrUserConnections, "batch", 1)
	kept(t, h.Enter("root", "shop"), engine.ErrDatabaseConnections, "shop", 3)
	kept(t, h.Enter("app", "shop"), engine.ErrUserConnections, "app", 2) // both: the user's
	enter("root", "small")
	kept(t, h.Enter("root", "small"), engine.ErrDatabaseConnections, "small", 1)
	for range 10 {
		enter("root", "big")
		enter("root", "") // no database
	}
	counted(t, h, "root", 21, "shop", 3)
	h.Leave("app", "shop")
	enter("app", "shop")
	counted(t, h, "app", 2, "shop", 3)
}

func TestWhoIsThereBeforeALimitCounts(t *testing.T) {
	h := &Headcount{}
	for range 3 {
		if err := h.Enter("app", "shop"); err != nil {
			t.Fatal(err)
		}
	}
	h.SetLimits(&HeadLimits{PerUser: 2})
	kept(t, h.Enter("app", "shop"), engine.ErrUserConnections, "app", 2)
	h.Leave("app", "shop")
	kept(t, h.Enter("app", "shop"), engine.ErrUserConnections, "app", 2)
	h.Leave("app", "shop")
	if err := h.Enter("app", "shop"); err != nil {
		t.Error(err)
	}
	h.SetLimits(nil)
	if err := h.Enter("app", "shop"); err != nil {
		t.Error(err)
	}
}

func TestASessionMovesToAnotherUserOrStays(t *testing.T) {
	h := &Headcount{}
	h.SetLimits(&HeadLimits{PerUser: 1})
	_ = h.Enter("a", "x")
	_ = h.Enter("b", "")
	kept(t, h.Move("a", "x", "b", "y"), engine.ErrUserConnections, "b", 1)
	counted(t, h, "a", 1, "x", 1)
	counted(t, h, "b", 1, "y", 0)
	if err := h.Move("a", "x", "a", "y"); err != nil { // it does not stand in its own way
		t.Error(err)
	}
	counted(t, h, "a", 1, "x", 0)
	if err := h.Move("a", "y", "c", ""); err != nil {
		t.Error(err)
	}
	counted(t, h, "a", 0, "y", 0)
	counted(t, h, "c", 1, "", 2)
	h.Leave("b", "")
	h.Leave("c", "")
	if len(h.users) != 0 || len(h.databases) != 0 {
		t.Errorf("left: %v, %v", h.users, h.databases)
	}
}

func TestNoCrowdGetsBeyondALimit(t *testing.T) {
	h := &Headcount{}
	h.SetLimits(&HeadLimits{PerUser: 3})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 200 {
				if h.Enter("app", "shop") != nil {
					continue
				}
				if n, m := h.Count("app", "shop"); n > 3 || m > 3 {
					t.Errorf("%d and %d", n, m)
				}
				h.Leave("app", "shop")
			}
		})
	}
	wg.Wait()
	counted(t, h, "app", 0, "shop", 0)
}
