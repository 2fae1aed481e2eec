package mysql

import (
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// session_track_system_variables says which variables a server reports. Berth depends on reports of all, so that what a session sets
// there is not what its backends have: it decides which reports the session sees. For the few statements that are about the variable
// the backend is given the session's value, and asked for it afterwards. What such a statement sets besides may not be reported: it
// must be a SET that names everything, or a SELECT that calls nothing.

const (
	trackedVariable = "session_track_system_variables"
	// trackedSchema is a tracker that drivers switch on in the same SET. It must stay on.
	trackedSchema = "session_track_schema"
)

// tracked is the value of a session that has set the variable.
type tracked struct {
	value string // as SQL
	all   bool
	names []string // in lower case
}

// everyReport is for what a backend reports that has the session's own value.
var everyReport = &tracked{all: true}

// maxTracked bounds it.
const maxTracked = 16 << 10

// trackedOf returns false if no SQL for the value is known to be right.
func trackedOf(value string) (*tracked, bool) {
	t := &tracked{value: "'" + value + "'"}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '\'' || c == '\\' {
			return nil, false
		}
	}
	for name := range strings.SplitSeq(value, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		t.all = t.all || name == "*"
		t.names = append(t.names, name)
	}
	return t, len(value) <= maxTracked
}

// has says whether a server would report a variable to a session with this value; nil is for one that has set none.
func (t *tracked) has(name []byte) bool {
	switch {
	case t == nil:
		return trackedByDefault(name)
	case t.all:
		return true
	}
	for _, n := range t.names {
		if n == string(name) {
			return true
		}
	}
	return false
}

// trackingIn marks the class of a text that is about the variable, and whose effects are known without reports.
func trackingIn(c class, text []byte) class {
	switch a := c.sets(); {
	case a != nil:
		if a.statements == 1 && a.count == len(a.names)+a.users+a.charsets && slices.Contains(a.names, trackedVariable) {
			c.flags |= classTracking
		}
	case c.has(classTrackers) && c.kinds == 0 && c.users() == nil && !c.has(classCalls) && readsNoTable(text):
		c.flags |= classTracking
	}
	return c
}

// readsNoTable says whether a text is one SELECT without tables, so that no view hides what it does.
func readsNoTable(text []byte) bool {
	r := actReader{rest: text}
	if !r.next().is("SELECT") {
		return false
	}
	for p := r.next(); p.kind != tokenNone; p = r.next() {
		if p.is("FROM") || p.char(';') {
			return false
		}
	}
	return !r.bad && !r.conditional
}

// alignTracking makes the held backend report what a statement of class c needs: to be about the variable, it needs what the session
// has set, and any other needs all.
func (m *Machine) alignTracking(c class, w engine.Wire) {
	switch {
	case m.session.ownTrackers && !m.state.tracksLess:
		m.trackOwn(w)
	case m.session.ownTrackers || c.has(classTracking) == m.state.tracksLess:
	case m.state.tracksLess && m.pins.result && onlyShows(c):
	case m.state.tracksLess:
		m.trackAll(w)
		if m.pins.result && !m.state.mariaDB { // with the warnings of the session's statement
			m.previous.list = list{gone: true}
		}
	default:
		m.trackOwn(w)
	}
}

// trackOwn makes the held backend report what the session has set.
func (m *Machine) trackOwn(w engine.Wire) {
	value := "DEFAULT"
	if t := m.session.tracked; t != nil {
		value = t.value
	}
	m.ask("SET @@SESSION."+trackedVariable+"="+value, purposeTrack, w)
}

// trackAll makes the held backend report all variables again, once it has said what the session has made of the variable.
func (m *Machine) trackAll(w engine.Wire) {
	if m.session.tracks {
		m.ask("SELECT @@SESSION."+trackedVariable+", @@SESSION."+trackedSchema, purposeTracked, w)
	}
	m.ask("SET @@SESSION."+trackedVariable+"='*'", purposeTrackAll, w)
}

// noteCharsets notes what SET NAMES or SET CHARACTER SET have set, where the server need not report it.
func (m *Machine) noteCharsets() {
	for _, name := range [...]string{clientCharset, resultsCharset, connectionCharset} {
		m.noteAssigned(name)
	}
	m.session.wide = m.session.wide || !m.request.reports(clientCharset) // until the value is known
}

// onlyShows says whether a statement of class c only shows what the statement before left, and leaves it there: whatever the backend
// reports does for it.
func onlyShows(c class) bool {
	return c.has(classDiagnostics) && c.has(classShows)
}

// finishTracking notes what a statement about the variable has left.
func (m *Machine) finishTracking() {
	r := &m.request
	if !r.class.has(classTracking) {
		return
	}
	m.session.tracks = m.session.tracks || r.class.sets() != nil
	if r.failed {
		m.session.ownTrackers = true
		r.leaves(engine.KindSetting)
	}
}

// learnTracked takes in the value that the backend had for the session.
func (m *Machine) learnTracked(w engine.Wire) {
	m.session.tracks = false
	f := fields{rest: m.state.scratch}
	value, isNull := cell(&f)
	schema, _ := cell(&f)
	t, ok := trackedOf(string(value))
	if isNull {
		t = &tracked{value: "NULL"}
	}
	m.session.unplaced = m.session.unplaced || string(schema) != "1"
	if !ok || f.bad || string(schema) != "1" {
		m.session.ownTrackers = true
		m.keepLasting(engine.KindSetting, w)
		return
	}
	if now := m.session.tracked; now != nil && now.value == t.value {
		return
	}
	if m.pins.reported&bit(engine.KindSetting) == 0 {
		e := m.event(engine.KindSetting)
		e.Name, e.Value, e.Restorable = trackedVariable, t.value, true
		switch w.Report(e) {
		case engine.Pin:
			m.pins.pinned = true
			m.pins.reported |= bit(engine.KindSetting)
		case engine.Ignore:
			m.ignored = true
		}
	}
	m.session.tracked = t
}
