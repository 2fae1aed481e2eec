package pin

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
)

func lock(digest string) Cause {
	return Cause{Reason: engine.KindNamedLock, Rule: "GET_LOCK", Engine: "mysql", TargetGroup: "g", User: "u", Digest: digest}
}

func TestPinsOfOneCauseAreOneRow(t *testing.T) {
	l := NewLedger(10)
	first, second := l.Begin(lock("a")), l.Begin(lock("a"))
	l.Begin(lock("b"))
	l.End(first)
	rows := l.Rows()
	if len(rows) != 2 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	if a := rows[0]; a.Cause != lock("a") || a.Count != 2 || a.Now != 1 || a.First.After(a.Last) || a.Pinned <= 0 {
		t.Errorf("%+v", a)
	}
	l.End(second)
	if b := l.Rows()[0]; b.Cause != lock("b") || b.Now != 1 || b.Count != 1 {
		t.Errorf("what pins now is not first: %+v", b)
	}
}

func TestAStayCountsWhileItLastsAndNotAfter(t *testing.T) {
	l := NewLedger(10)
	s := l.Begin(lock("a"))
	before := l.Rows()[0].Pinned
	time.Sleep(time.Millisecond)
	during := l.Rows()[0].Pinned
	if during-before < time.Millisecond {
		t.Errorf("%s, then %s", before, during)
	}
	l.End(s)
	after := l.Rows()[0].Pinned
	time.Sleep(time.Millisecond)
	if again := l.Rows()[0].Pinned; again != after || after < during {
		t.Errorf("%s, %s, %s", during, after, again)
	}
}

func TestCausesWithoutRoomAreSummedUpByReason(t *testing.T) {
	l := NewLedger(2)
	old := l.Begin(lock("old"))
	l.Begin(lock("a"))
	l.Begin(lock("b"))
	again := l.Begin(lock("old")) // a row of its own again, beside what went to the others
	l.End(old)
	var other, own Row
	rows := l.Rows()
	for _, r := range rows {
		switch {
		case r.Other:
			other = r
		case r.Digest == "old":
			own = r
		}
	}
	if len(rows) != 3 || other.Count != 2 || other.Now != 1 || own.Count != 1 || own.Now != 1 || other.User != "" || other.Reason != engine.KindNamedLock {
		t.Errorf("%+v", rows)
	}
	l.End(again)
}

func TestALedgerKeepsNoMoreOfATextThanItsLimit(t *testing.T) {
	l := NewLedger(2)
	c := lock(strings.Repeat("x", 10*maxText))
	c.Application = c.Digest
	l.Begin(c)
	if r := l.Rows()[0]; len(r.Digest) != maxText || len(r.Application) != maxText {
		t.Errorf("%d and %d bytes", len(r.Digest), len(r.Application))
	}
}

func TestWhateverComesAndGoesNothingIsLostFromALedger(t *testing.T) {
	const loops, steps = 4, 3000
	l := NewLedger(5)
	var all sync.WaitGroup
	for id := range uint64(loops) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(id, 1))
			var stays []Stay
			for range steps {
				if len(stays) > 0 && r.IntN(2) == 0 {
					l.End(pick(r, &stays))
				} else {
					stays = append(stays, l.Begin(lock(fmt.Sprint(r.IntN(20)))))
				}
				if r.IntN(100) == 0 && len(l.Rows()) > 6 {
					t.Error("more rows than allowed")
				}
			}
			for len(stays) > 0 {
				l.End(pick(r, &stays))
			}
		})
	}
	all.Wait()
	var count uint64
	for _, r := range l.Rows() {
		count += r.Count
		if r.Now != 0 || r.Pinned < 0 || r.Pinned > loops*steps*time.Minute {
			t.Errorf("%+v", r)
		}
	}
	if count < loops*steps/2 {
		t.Errorf("%d pins of %d steps", count, loops*steps)
	}
}

// pick takes a random element out of s, which is not empty.
func pick(r *rand.Rand, s *[]Stay) Stay {
	i := r.IntN(len(*s))
	x := (*s)[i]
	*s = append((*s)[:i], (*s)[i+1:]...)
	return x
}
