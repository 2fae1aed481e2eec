package relay

import (
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/pin"
)

const (
	// maxCauses is how many causes of pins are remembered.
	maxCauses = 1000
	// maxDigest is how much of a statement's digest is kept, maxDigested how much of a statement is looked at for it.
	maxDigest   = 512
	maxDigested = 16 << 10
	// maxName bounds the name of what pins, in bytes.
	maxName = 128
	// pinLines is how many lines on pins the log gets at once at most, pinLineEvery how soon there may be one more.
	pinLines     = 100
	pinLineEvery = 50 * time.Millisecond
)

// Pins is where all sessions of a proxy enter why they are pinned, for people. Any goroutine may use it.
type Pins struct {
	ledger *pin.Ledger
	rds    bool
	log    zerolog.Logger

	mu       sync.Mutex
	lines    int // that the log may get now
	refilled time.Time
	unlogged int
}

// NewPins makes an empty record that writes to log; with rds it uses RDS Proxy's words.
func NewPins(rds bool, log zerolog.Logger) *Pins {
	return &Pins{ledger: pin.NewLedger(maxCauses), rds: rds, log: log, lines: pinLines, refilled: time.Now()}
}

// Rows returns what pinned.
func (p *Pins) Rows() []pin.Row { return p.ledger.Rows() }

// Tick says how many pins were left out of the log, once there is room for that. It wants to be called now and then.
func (p *Pins) Tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unlogged > 0 && p.refill() {
		p.lines--
		p.log.Warn().Int("pins", p.unlogged).Msg("pins not logged: there were too many")
		p.unlogged = 0
	}
}

// line says whether the log may have a line on a pin.
func (p *Pins) line() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refill() {
		p.unlogged++
		return false
	}
	p.lines--
	return true
}

// refill is called with the lock held. It says whether there is a line left.
func (p *Pins) refill() bool {
	if n := time.Since(p.refilled) / pinLineEvery; n > 0 {
		p.refilled = p.refilled.Add(n * pinLineEvery)
		p.lines = int(min(time.Duration(p.lines)+n, pinLines))
	}
	return p.lines > 0
}

// pinning is what keeps a session on its backend, and what is known of why.
type pinning struct {
	pin.Set             // under policy
	logged  uint32      // bit k: a pin of kind k was logged
	policy  *pin.Policy // for the session's life
	causes  []cause     // one for each kind of the set, if anybody keeps a record
}

// cause is the event that brought a kind of cause to a session.
type cause struct {
	kind   engine.Kind
	rule   string
	name   string
	number uint64 // of the statement
	stay   pin.Stay
}

// apply enters an event that pins, or a reset.
func (s *Session) apply(ev engine.Event) {
	had := s.pins.Set
	s.pins.Apply(ev)
	if ev.Kind == engine.KindReset && s.backend == nil {
		s.pins.Clear() // there is nothing left to keep
	}
	switch now := s.pins.Pinned(); {
	case now && !had.Pinned():
		s.front.Counters.SessionsPinned.Inc()
	case !now && had.Pinned():
		s.front.Counters.SessionsPinned.Dec()
	}
	if ev.Kind != engine.KindReset {
		s.changed(ev, had.Has(ev.Kind), s.pins.Has(ev.Kind))
		return
	}
	for k := range engine.Kinds {
		ev.Kind = engine.Kind(k)
		s.changed(ev, had.Has(ev.Kind), s.pins.Has(ev.Kind))
	}
}

// changed counts, remembers and logs that a kind of cause came or went.
func (s *Session) changed(ev engine.Event, had, has bool) {
	switch {
	case has && !had:
		s.front.Counters.Pins[ev.Kind].Inc()
		s.came(ev)
	case had && !has:
		s.front.Counters.Unpins[ev.Kind].Inc()
		s.went(ev.Kind)
	}
}

func (s *Session) came(ev engine.Event) {
	p := s.front.Pins
	if p == nil {
		return
	}
	row := pin.Cause{
		Reason: ev.Kind, Rule: ev.Rule, Engine: s.front.Engine.Name(), TargetGroup: s.front.Counters.TargetGroup,
		User: s.user, Database: s.database, Application: s.application, Digest: s.digest(ev.Statement),
	}
	c := cause{kind: ev.Kind, rule: ev.Rule, name: strings.Clone(ev.Name[:min(len(ev.Name), maxName)]), number: ev.Number, stay: p.ledger.Begin(row)}
	s.pins.causes = append(s.pins.causes, c)
	if bit := uint32(1) << ev.Kind; s.pins.logged&bit == 0 {
		s.pins.logged |= bit
		if p.line() {
			s.logPin(p, c, row)
		}
	}
}

func (s *Session) went(k engine.Kind) {
	for i, c := range s.pins.causes {
		if c.kind == k {
			s.front.Pins.ledger.End(c.stay)
			s.pins.causes = append(s.pins.causes[:i], s.pins.causes[i+1:]...)
			break
		}
	}
	s.worker.log.Debug().Uint32("session", s.id).Stringer("reason", k).Msg("session unpinned")
}

// unpin ends the pins of a session that is over. They do not count as unpinned.
func (s *Session) unpin() {
	if !s.pins.Pinned() {
		return
	}
	s.front.Counters.SessionsPinned.Dec()
	s.pins.Clear()
	for _, c := range s.pins.causes {
		s.front.Pins.ledger.End(c.stay)
	}
	s.pins.causes = nil
}

func (s *Session) digest(statement []byte) string {
	d, ok := s.front.Engine.(engine.Digester)
	if !ok || len(statement) == 0 {
		return ""
	}
	var b [maxDigest]byte
	return strings.ToValidUTF8(string(d.Digest(b[:0], statement[:min(len(statement), maxDigested)], maxDigest)), "")
}

func (s *Session) logPin(p *Pins, c cause, row pin.Cause) {
	message := "session pinned"
	if p.rds {
		message = rdsPinned(s.backendID(), c, row.Digest)
	}
	p.log.Warn().Stringer("reason", c.kind).Str("rule", c.rule).Str("name", c.name).Str("engine", row.Engine).
		Str("listener", s.front.Counters.Name).Str("target_group", row.TargetGroup).Str("user", s.user).
		Str("database", s.database).Str("application", s.application).Str("client", s.address).Uint32("session", s.id).
		Str("digest", row.Digest).Uint64("statement", c.number).Msg(message)
}
