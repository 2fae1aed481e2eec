package postgres

import (
	"bytes"
	"slices"
	"strings"
	"unique"

	"github.com/berthdb/berth/core/engine"
)

// The server reads a literal when it parses a statement: a time without an offset means one in the time zone of that moment, and
// 1/2/2024 a day by that moment's DateStyle (8.5). A statement that is parsed again on another backend must not mean another time
// because of what the session has set meanwhile. So where it might, what decides about that is set as it was, for the length of the
// Parse. A statement that has to be looked up anew, because the search path has changed, the server itself reads again. The same goes for
// where a string with a backslash ends, and for bytes that are no ASCII.

// calendar are the settings that decide about the meaning of a time, and behind them those about the text itself (ofText).
var (
	calendar = []string{"timezone_abbreviations", "timezone", "datestyle", "intervalstyle", "standard_conforming_strings", "client_encoding"}
	reported = calendar[1:] // by the server, whenever they change
	ofText   = calendar[4:]
)

// readingAs says with which settings a statement is parsed that may have a time in it, and that the client parsed with the reading then: those of
// now, or, if past, with the calendar of that.
func (m *machine) readingAs(then string) (reading string, past bool) {
	now := m.readingNow()
	if now == then || unknownReading(now) || unknownReading(then) {
		return now, false
	}
	names := calendar
	if settingIn(now, "search_path") != settingIn(then, "search_path") {
		names = ofText
	}
	if !slices.ContainsFunc(names, func(name string) bool { return settingIn(now, name) != settingIn(then, name) }) {
		return now, false
	}
	return replaced(now, then, names), true
}

// sendCalendar changes the calendar from one reading's to another's.
func (m *machine) sendCalendar(from, to string, w engine.Wire) {
	for _, name := range calendar {
		sql := settingIn(to, name)
		switch {
		case sql == settingIn(from, name):
			continue
		case sql == "":
			sql = "RESET " + quoteSetting(name)
		}
		m.sendOwn(sql, w)
	}
}

// again is how a statement is parsed that the backend does not have.
type again struct {
	reading   string // it has this then
	past      bool   // with the calendar of the client's Parse:
	then, now string // readings, of which only that counts here
	within    bool   // a transaction is open, which has settings of its own
	alone     bool   // nothing else of the client's is in the transaction
}

// parsesAs says how a statement is parsed again of which the client's Parse had the reading then, and these times (timesOf).
func (m *machine) parsesAs(then, times string, dated bool) (a again) {
	a.alone = m.untouched()
	if !dated || times == "" || !unknownReading(then) && !m.unsureReading() {
		a.now = m.readingNow()
		if a.reading = a.now; dated {
			a.reading, a.past = m.readingAs(then)
		}
		a.then = a.reading
		return a
	}
	a.reading = m.readingNow()
	now := m.times()
	a.within = m.lend.tx == 'T'
	if now == "" || times == now || m.lend.portals.changes || m.queue.awaits() || !a.within && !a.alone {
		return a
	}
	if settingIn(times, "search_path") != settingIn(now, "search_path") { // the server reads it anew, but for the text itself
		times = replaced(now, times, ofText)
	}
	a.past, a.then, a.now = times != now, times, now
	if a.past && !unknownReading(a.reading) {
		a.reading = replaced(a.reading, times, reported)
	}
	return a
}

// replaced is a reading with some settings of another.
func replaced(reading, by string, names []string) string {
	var rest, others strings.Builder
	for name, sql := range settingsIn(reading) {
		if !slices.Contains(names, name) {
			writeSetting(&rest, name, sql)
		}
	}
	for _, name := range names {
		if sql := settingIn(by, name); sql != "" {
			writeSetting(&others, name, sql)
		}
	}
	return rest.String() + others.String()
}

// times are the calendar as the server has reported it, which it has also where the session's settings are not known, in a transaction or behind
// code, and the search path as it was before that. It is empty if that cannot be told.
func (m *machine) times() string {
	if m.lend.sets.paths || (m.lend.portals.changes || m.queue.awaits()) && m.unsureReading() {
		return ""
	}
	var b strings.Builder
	if path := settingIn(m.state.actual.text(), "search_path"); path != "" {
		writeSetting(&b, "search_path", path)
	}
	for _, name := range [...]string{"TimeZone", "DateStyle", "IntervalStyle", "standard_conforming_strings", "client_encoding"} {
		value, ok := lookup(m.seen, name)
		sql, can := settingSQL(strings.ToLower(name), value)
		if !ok || !can {
			return ""
		}
		writeSetting(&b, strings.ToLower(name), sql)
	}
	return unique.Make(b.String()).Value()
}

// changesTimes says that settings may be others than before, if it is executed, or that a transaction begins or ends.
func (v verdict) changesTimes() bool {
	return v.changesSettings() || v.decides || v.rolls || v.opaque || v.foreign || v.garbled || v.kinds.has(engine.KindUnknown)
}

// bindPortal notes a Bind of a statement with v. What it may change is not as it was at a Parse before it in its batch.
func (m *machine) bindPortal(v verdict, named bool) {
	m.lend.portals.bound(v, named)
	if v.changesTimes() {
		m.lend.timeless = nil
	}
}

// executePortal notes an Execute. What was parsed since the Bind was so before its changes, and what follows behind them.
func (m *machine) executePortal(named bool) {
	if p := &m.lend.portals; named && p.others || !named && p.unnamed {
		p.changes = true
		m.lend.timeless = nil
	}
}

// settleTimes notes, at the end of a request of the client's, the times of what was parsed in it behind something that may have changed them: the server
// reports them at the end only. Where more was sent meanwhile, or they end with the transaction, they stay unknown.
func (m *machine) settleTimes() {
	if len(m.lend.timeless) == 0 {
		return
	}
	if m.lend.ready && !(m.lend.sets.scoped && m.lend.tx == 'I') {
		times := m.times()
		for _, s := range m.lend.timeless {
			s.times = times
		}
	}
	m.lend.timeless = nil
}

// timesWait says that a message waits for the answers to earlier requests, as only they tell the times that a statement has, or those of now where it
// was parsed with the reading then. Its text, if there is one, is looked at for that.
func (m *machine) timesWait(text []byte, then string, f *feed, w engine.Wire) bool {
	return (m.unsureReading() || unknownReading(then)) && m.queue.awaits() && (text == nil || dated(text)) && m.waitNamed(f, w)
}

// beginCalendar sends what comes before such a Parse, endCalendar what comes behind it.
func (m *machine) beginCalendar(a again, w engine.Wire) {
	if !a.past {
		return
	}
	if a.within {
		m.sendOwn("SAVEPOINT "+ownSavepoint, w)
	}
	m.sendCalendar(a.now, a.then, w)
}

func (m *machine) endCalendar(a again, w engine.Wire) {
	switch {
	case !a.past:
	case a.within:
		m.sendOwn("ROLLBACK TO "+ownSavepoint, w) // statements are none of the transaction's
		m.sendOwn("RELEASE "+ownSavepoint, w)
	case a.alone:
		m.sendOwn("ROLLBACK", w)
	default:
		m.sendCalendar(a.then, a.now, w)
	}
}

// unknownReading says that a reading is one of sharedStatements.unique, or undated.
func unknownReading(reading string) bool { return strings.HasPrefix(reading, undated) }

// lettered says that text has what standard_conforming_strings or client_encoding may give another meaning.
func lettered(text []byte) bool {
	return slices.ContainsFunc(text, func(c byte) bool { return c == '\\' || c >= 0x80 })
}

// undated stands for the reading of a text that has no time in it.
const undated = "\x00"

// readingOf is what counts, for times, when text is parsed now, and the times.
func (m *machine) readingOf(text []byte) (reading, times string) {
	if bytes.IndexByte(text, '\'') < 0 && bytes.IndexByte(text, '$') < 0 && !lettered(text) || !dated(text) { // mostly there is no string at all
		return undated, ""
	}
	return m.readingNow(), m.times()
}

// settingsIn yields the names and the SQL in a reading (settings.reading) whose parts are known.
func settingsIn(reading string) func(yield func(name, sql string) bool) {
	return func(yield func(name, sql string) bool) {
		for reading != "" {
			name, rest, _ := strings.Cut(reading, "\x00")
			sql, rest, _ := strings.Cut(rest, "\x00")
			if !yield(name, sql) {
				return
			}
			reading = rest
		}
	}
}

// settingIn returns the SQL that makes a setting in a reading, "" if it is not set there.
func settingIn(reading, name string) string {
	for n, sql := range settingsIn(reading) {
		if n == name {
			return sql
		}
	}
	return ""
}

// writeSetting adds to a reading.
func writeSetting(b *strings.Builder, name, sql string) {
	b.WriteString(name)
	b.WriteByte(0)
	b.WriteString(sql)
	b.WriteByte(0)
}

// dated says that text has a string that may be a time: with a digit, and what is written between the numbers of one, or a day's name
// that depends on the time zone. When a day begins is read then as it was, but which one it is, only on the backend of the Parse. Or that
// it is lettered.
func dated(text []byte) bool {
	if lettered(text) {
		return true
	}
	s := scanner{text: text}
	for {
		begin := s.at
		switch s.next() {
		case tokenEnd, tokenBroken:
			return false
		case tokenString:
			found := text[begin:s.at]
			if bytes.ContainsAny(found, "0123456789") && bytes.ContainsAny(found, ":-/") || relative(found) {
				return true
			}
		}
	}
}

// relative says that a string begins with the name of a day or a moment (8.5.1.4 "Special Values").
func relative(quoted []byte) bool {
	for _, day := range [...]string{"now", "today", "tomorrow", "yesterday"} {
		if text := bytes.TrimLeft(quoted[max(bytes.IndexAny(quoted, "'$"), 0):], "'$ \t\r\n"); len(text) >= len(day) && bytes.EqualFold(text[:len(day)], []byte(day)) {
			return true
		}
	}
	return false
}
