package pin

import "github.com/berthdb/berth/core/engine"

// Policy says what each kind of event does. It is immutable once sessions use it. Its zero value pins on everything.
type Policy struct {
	actions  [engine.Kinds]engine.Action
	restores bool // what can be restored is
}

// Multiplex is the default policy: what can be restored is, and the rest pins.
func Multiplex() Policy { return Policy{restores: true} }

// With returns a copy of p that treats kind as action says.
func (p Policy) With(kind engine.Kind, action engine.Action) Policy {
	p.actions[kind] = action
	return p
}

// Action is what p makes of ev. State of the running transaction never outlives it, so it needs no action; a kind that
// the policy does not know pins.
func (p *Policy) Action(ev engine.Event) engine.Action {
	switch {
	case ev.Scope == engine.ScopeTransaction:
		return engine.Ignore
	case int(ev.Kind) >= len(p.actions):
		return engine.Pin
	case ev.Restorable && p.restores:
		return engine.Restore
	}
	return p.actions[ev.Kind]
}
