package mysql

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Procedures and stored functions are SQL of the server's own: what they do is in their bodies. The server reports most of what
// they leave (trackers), and has said whether any code leaves anything else (hidden). So a statement that calls some is judged
// where its backend would go back: it pins only where there is such code. A function that is named without a schema may also
// be one that the server has loaded, or got in a later version; so the server is asked, once in a while, whether there is a
// stored one of that name. Without fresh answers the backend stays until there are some. After an error nothing is reported,
// so that pins.

// called notes that a statement of class c is over that called stored code. It returns the kinds of state that it has left
// for all that is known.
func (m *Machine) called(c class) (kinds uint32) {
	if !c.has(classCalls) || m.unseenChanges == engine.UnseenTrust && !m.request.failed {
		return 0
	}
	a := m.request.act
	if m.request.failed || m.unseenChanges == engine.UnseenPin || m.state.unseen == nil || a == nil || a.system ||
		systemSchema(m.session.schema) || c.has(classCallsNamed) && !m.named(a) {
		return bit(engine.KindUnknown)
	}
	if !m.judging {
		m.judging, m.state.called = true, m.state.begun
	}
	return 0
}

// named notes the functions that the statement called without a schema. It returns false if they are not all known.
func (m *Machine) named(a *act) bool {
	schema := m.session.schema
	if a.uncertain || len(a.calls) == 0 || !plainName([]byte(schema)) || schema != m.state.schema {
		return false
	}
	for _, name := range a.calls {
		if name = schema + "\x00" + name; !slices.Contains(m.toJudge, name) {
			m.toJudge = append(m.toJudge, name)
		}
	}
	return len(m.toJudge) <= maxNames
}

// judge decides, at a boundary, about the code that was called. It says whether an answer is awaited first.
func (m *Machine) judge(w engine.Wire) (waits bool) {
	u := m.state.unseen
	verdict := u.now()
	// A question would replace what SHOW WARNINGS has, and be the transaction that SET TRANSACTION is about.
	mayAsk := !m.pins.result && !m.session.traits && !m.session.roles && !m.limited()
	switch {
	case u.outlived(m.state.called):
		m.judging, m.toJudge = false, nil
		m.leaveUnseen(w)
		return false
	case verdict == suspicionNone, verdict == suspicionReset:
		m.toJudge = slices.DeleteFunc(m.toJudge, u.knows)
		switch {
		case m.hides(hiddenLeaves | hiddenCallsLeave):
			m.judging, m.toJudge = false, nil
			m.leaveUnseen(w)
			return false
		case len(m.toJudge) == 0:
			m.judging = false
			if m.holding != nil {
				m.letGo(w)
			}
			return false
		case mayAsk:
			m.askCatalogue(functionsQuery(m.toJudge), purposeStored, w)
			return true
		}
	case mayAsk && u.asksItself(): // others may be asking: whoever waited for them would wait for his client's next statement
		m.askUnseen(w)
		return true
	}
	m.keepUntilNext(w)
	return false
}

// functionsQuery asks how many of the functions are stored ones.
func functionsQuery(functions []string) string {
	q := "SELECT " + limitless + " COUNT(DISTINCT LOWER(routine_schema), LOWER(routine_name)) FROM information_schema.routines WHERE routine_type = _utf8mb4'FUNCTION' AND ("
	for i, f := range functions {
		if i > 0 {
			q += " OR "
		}
		schema, name, _ := strings.Cut(f, "\x00")
		q += "routine_schema = _utf8mb4'" + schema + "' AND routine_name = _utf8mb4'" + name + "'"
	}
	return q + ") LIMIT 1"
}

// functionsKnown notes the answer. If there are others among them, nobody knows what they did.
func (m *Machine) functionsKnown(failure *engine.ServerError, w engine.Wire) {
	m.disown()
	f := fields{rest: m.state.scratch}
	if n, err := strconv.Atoi(string(digits(f.text()))); failure == nil && err == nil && n == len(m.toJudge) {
		if m.state.unseen.know(m.toJudge, m.state.asked) {
			m.toJudge = nil
		}
		return
	}
	m.judging, m.toJudge = false, nil
	m.leaveUnseen(w)
}

// maxFunctions is how many functions are known of the code that a user can reach.
const maxFunctions = 1 << 10

// know notes what was asked for at changes. It returns false if code was changed meanwhile.
func (u *unseen) know(functions []string, changes uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.changes.Load() != changes {
		return false
	}
	if u.functions == nil || len(u.functions) > maxFunctions {
		u.functions = make(map[string]struct{})
	}
	for _, f := range functions {
		u.functions[f] = struct{}{}
	}
	return true
}

func (u *unseen) knows(function string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.functions[function]
	return ok
}
