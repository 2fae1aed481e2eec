package pin

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// maxText bounds each text of a cause, in bytes: clients choose most of them.
const maxText = 512

// Cause is what pins are counted by.
type Cause struct {
	Reason      engine.Kind
	Rule        string // as in engine.Event
	Engine      string
	TargetGroup string
	User        string
	Database    string
	Application string
	Digest      string // of the statement, "" if unknown
	Other       bool   // stands for causes of this reason that there was no room for; what clients choose is empty
}

// Row is what a ledger has on a cause.
type Row struct {
	Cause
	Count       uint64        // how often it came to a session
	Now         int           // sessions that it keeps on their backend now
	First, Last time.Time     // when it came
	Pinned      time.Duration // in total, over all sessions, until now
}

// Ledger remembers what pinned. It keeps a bounded number of causes: of the others, those that came last longest ago, the
// sum is kept for each reason, engine and target group. Any goroutine may use it.
type Ledger struct {
	mu     sync.Mutex
	limit  int
	epoch  time.Time // what durations count from
	rows   map[Cause]*row
	others map[Cause]*row
	newest *row // by last
	oldest *row
}

// row is a Row with what is needed to keep it. Its place in the list says when its cause came last.
type row struct {
	Row
	began        time.Duration // sum of the moments at which the stays of now began
	into         *row          // what has taken over its numbers, nil: nothing
	newer, older *row
}

// Stay is a time in which a cause keeps a session on its backend.
type Stay struct {
	row   *row
	began time.Duration
}

// NewLedger makes a ledger of at most limit causes, at least one.
func NewLedger(limit int) *Ledger {
	return &Ledger{limit: limit, epoch: time.Now(), rows: make(map[Cause]*row), others: make(map[Cause]*row)}
}

// Begin notes that c came to a session. End must follow, once.
func (l *Ledger) Begin(c Cause) Stay {
	for _, s := range []*string{&c.Rule, &c.User, &c.Database, &c.Application, &c.Digest} {
		*s = (*s)[:min(len(*s), maxText)]
	}
	at := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.rows[c]
	if r == nil {
		if len(l.rows) == l.limit {
			l.evict()
		}
		r = &row{Row: Row{Cause: c, First: at}}
		l.rows[c] = r
	} else {
		l.remove(r)
	}
	l.push(r)
	s := Stay{r, at.Sub(l.epoch)}
	r.Count++
	r.Now++
	r.Last = at
	r.began += s.began
	return s
}

// End notes that the cause of s has gone from its session.
func (l *Ledger) End(s Stay) {
	at := time.Since(l.epoch)
	l.mu.Lock()
	defer l.mu.Unlock()
	r := s.row
	if r.into != nil {
		r = r.into
	}
	r.Now--
	r.began -= s.began
	r.Pinned += at - s.began
}

// Rows returns everything, what pins most sessions now first, then what came most often.
func (l *Ledger) Rows() []Row {
	at := time.Since(l.epoch)
	l.mu.Lock()
	all := make([]Row, 0, len(l.rows)+len(l.others))
	for _, rows := range []map[Cause]*row{l.rows, l.others} {
		for _, r := range rows {
			out := r.Row
			out.Pinned += time.Duration(r.Now)*at - r.began
			all = append(all, out)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b Row) int {
		return cmp.Or(
			cmp.Compare(b.Now, a.Now), cmp.Compare(b.Count, a.Count), b.Last.Compare(a.Last), cmp.Compare(a.Digest, b.Digest),
		)
	})
	return all
}

// evict adds the oldest row to the others. Stays in it find their way by into, which leads to a row that is never evicted.
func (l *Ledger) evict() {
	r := l.oldest
	l.remove(r)
	delete(l.rows, r.Cause)
	c := Cause{Reason: r.Reason, Engine: r.Engine, TargetGroup: r.TargetGroup, Other: true}
	o := l.others[c]
	if o == nil {
		o = &row{Row: Row{Cause: c, First: r.First}}
		l.others[c] = o
	}
	o.Count += r.Count
	o.Now += r.Now
	o.Pinned += r.Pinned
	o.began += r.began
	if r.First.Before(o.First) {
		o.First = r.First
	}
	if r.Last.After(o.Last) {
		o.Last = r.Last
	}
	r.into = o
}

func (l *Ledger) push(r *row) {
	r.older = l.newest
	if l.newest != nil {
		l.newest.newer = r
	} else {
		l.oldest = r
	}
	l.newest = r
}

func (l *Ledger) remove(r *row) {
	if r.newer != nil {
		r.newer.older = r.older
	} else {
		l.newest = r.older
	}
	if r.older != nil {
		r.older.newer = r.newer
	} else {
		l.oldest = r.newer
	}
	r.newer, r.older = nil, nil
}
