package mysql

import (
	"slices"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// A backend's variables are what Dial found (backendState.base) and, over that, what a session has set (settings of
// machineState). While a session holds it, that is what the session itself has set. The difference is made good with one
// SET, whose answer is awaited: nothing can be made to depend on a statement that may fail.

// noteSettings notes what the server reports of variables behind a statement of the client.
func (m *Machine) noteSettings(state []byte, changed bool) {
	r := &m.request
	if r.class.sets() == nil && changed {
		r.leaves(engine.KindSetting) // it may be anything, and it may have passed already
		for name, value := range variables(state) {
			m.state.options = m.state.options || records(string(name))
			if string(name) == clientCharset { // but for how texts are read from now on
				m.session.wide = wideCharsetName(string(value))
			}
		}
		return
	}
	for name, value := range variables(state) {
		switch {
		case automatic(name), string(name) == trackedVariable && m.state.tracksLess:
		case derived(name):
			if r.class.sets() != nil {
				r.leaves(engine.KindSetting) // until the next USE, which no SET can tell
			}
		case string(name) == connectionCharset:
			m.askBack(connectionCollation) // which changes as well, and no report need say so
		case string(name) == serverCharset:
			m.askBack(serverCollation)
		case privileged(string(name)) && !r.names(string(name)):
			r.leaves(engine.KindSetting)
		case r.class.sets() == nil:
			m.askBack(m.state.dialect.variable(string(name)))
		default:
			r.set = append(r.set, setting{m.state.dialect.variable(string(name)), string(value)})
		}
	}
}

// reports says whether the server reported a variable behind a SET.
func (r *request) reports(name string) bool {
	return slices.ContainsFunc(r.set, func(s setting) bool { return s.name == name })
}

// names says whether the request is one SET that names a variable.
func (r *request) names(name string) bool {
	a := r.class.sets()
	return a != nil && slices.Contains(a.names, name)
}

// noteAssigned notes that a variable was assigned to. MariaDB does not report SET @@name = value.
func (m *Machine) noteAssigned(name string) {
	r := &m.request
	name = m.state.dialect.variable(name)
	m.session.unplaced = m.session.unplaced || name == trackedSchema && !r.reports(name) && !m.state.tracksLess
	switch {
	case r.reports(name), m.state.tracksLess && (name == trackedVariable || name == trackedSchema):
	case derived([]byte(name)):
		r.leaves(engine.KindSetting)
	case name == connectionCharset:
		m.askBack(connectionCollation)
	case name == serverCharset:
		m.askBack(serverCollation)
	default:
		m.askBack(name)
	}
}

// askBack notes that the value of a variable must be asked for.
func (m *Machine) askBack(name string) {
	if slices.Contains(m.session.asks, name) {
		return
	}
	if len(m.session.asks) == maxSettings || name[0] != '@' && !restorable(name, "0") {
		m.request.leaves(kindOfVariable(name))
		return
	}
	if name == clientCharset {
		m.session.wide = true // until it is known
	}
	m.session.asks = append(m.session.asks, name)
}

// tellSettings tells the core of what the statement that is over has set.
func (m *Machine) tellSettings(w engine.Wire) {
	r := &m.request
	if a := r.class.sets(); a != nil {
		assigned := !r.failed || !a.assignsNothing(r.errno)
		if r.failed && assigned && !a.asksAll() {
			r.leaves(engine.KindSetting)
		}
		executed := int(r.oks) // what comes behind one that failed is not
		if assigned {
			executed++
		}
		for _, name := range a.of(executed) {
			m.noteAssigned(name)
		}
		if assigned || a.statements > 1 {
			if a.charsets > 0 && m.state.tracksLess {
				m.noteCharsets()
			}
		}
		if c := &a.collated; c.unclear || c.ever && r.failed && a.statements > 1 || c.ever && !r.failed && !(r.reports(clientCharset) && r.reports(resultsCharset)) {
			r.leaves(engine.KindSetting)
		}
		if m.codeCollates(a) {
			r.leaves(engine.KindSetting)
		}
	}
	for _, s := range r.set {
		switch c := &r.class.sets().collated; s.name {
		case clientCharset:
			s.value = m.state.dialect.withCollation(s.value, c.client)
		case resultsCharset:
			s.value = m.state.dialect.withCollation(s.value, c.results)
		}
		m.tellSetting(s, w)
	}
}

// codeCollates says whether code that the assignments execute may have set a character set that has a collation, which nothing tells.
func (m *Machine) codeCollates(a *assignments) bool {
	r := &m.request
	executes := r.class.has(classCalls|classTables) && m.mayHide(hiddenSets|hiddenCallsLeave)
	for _, name := range [...]string{clientCharset, resultsCharset} {
		if r.reports(name) && (executes || a.charsets == 0 && !slices.Contains(a.names, name)) {
			return true
		}
	}
	return false
}

// autoIsNull makes "id IS NULL" find the row that the statement before has inserted, which only the connection of that knows.
const autoIsNull = "sql_auto_is_null"

func (m *Machine) tellSetting(s setting, w engine.Wire) {
	if armed([]byte(s.name), []byte(s.value)) || m.never(s) {
		return
	}
	if s.name == resultsCharset {
		m.session.results = unitsOf(s.value)
	}
	if !restorable(s.name, s.value) || s.name == autoIsNull && sameValue(s.value, "ON") {
		m.state.options = m.state.options || records(s.name)
		m.request.leaves(engine.KindSetting)
		return
	}
	if m.pins.reported&bit(engine.KindSetting) == 0 {
		e := m.event(engine.KindSetting)
		e.Name, e.Value, e.Restorable = s.name, s.value, true
		if m.submit(e, w) == engine.Ignore {
			return
		}
	}
	m.keepSetting(s)
	if s.name == clientCharset {
		m.session.wide = wideCharsetName(reported(s.name, s.value))
	}
}

// never says whether a variable has, and has had since the session began, what it has in every connection. Of sql_log_bin that
// matters: only with a privilege may it be assigned, even to what it is.
func (m *Machine) never(s setting) bool {
	_, known := m.session.settings.or(m.state.base, s.name)
	return s.name == "sql_log_bin" && sameValue(s.value, "ON") && !known
}

// keepSetting makes a variable of the held backend one that follows the session.
func (m *Machine) keepSetting(s setting) {
	next, ok := m.session.settings.with(s.name, s.value)
	if !ok {
		m.request.leaves(kindOfVariable(s.name))
		return
	}
	if m.state.settings == m.session.settings {
		m.state.settings = next
	} else { // it has what a statement was prepared with
		m.state.settings, _ = m.state.settings.with(s.name, s.value)
	}
	m.session.settings = next
}

func kindOfVariable(name string) engine.Kind {
	if name[0] == '@' {
		return engine.KindUserVariable
	}
	return engine.KindSetting
}

// cell reads a column of a row; null says that it is NULL.
func cell(f *fields) (value []byte, isNull bool) {
	if len(f.rest) > 0 && f.rest[0] == null {
		f.uint8()
		return nil, true
	}
	return f.text(), false
}

// inquireSettings asks, at a boundary, for the values of variables that the reports leave open. It says whether the answer
// is awaited first.
func (m *Machine) inquireSettings(w engine.Wire) (waits bool) {
	if len(m.session.asks) == 0 || m.pins.pinned && !m.nullsPin() {
		return false
	}
	m.askSettings(w)
	return true
}

// askSettings asks for the values of variables that the reports leave open.
func (m *Machine) askSettings(w engine.Wire) {
	m.state.scratch, m.state.columns = m.state.scratch[:0], m.state.columns[:0]
	query := []byte("SELECT ")
	if asksUserVariables(m.session.asks) {
		query = append(query, neverSet...)
		query = append(query, ", "...)
	}
	for i, name := range m.session.asks {
		if i > 0 {
			query = append(query, ", "...)
		}
		if name[0] == '@' {
			query = appendUserQuestion(query, name)
			continue
		}
		query = append(query, "@@SESSION."...)
		query = append(query, name...)
	}
	m.ask(string(query), purposeSettings, w)
}

// answeredSettings takes in the answer. Without one, whatever was set stays where it is.
func (m *Machine) answeredSettings(failure *engine.ServerError, w engine.Wire) {
	f := fields{rest: m.state.scratch}
	m.state.scratch = nil
	m.request.kinds = 0
	asks, columns := m.session.asks, m.state.columns
	m.session.asks, m.state.columns = nil, nil
	var unset columnType
	if asksUserVariables(asks) && len(columns) > 0 {
		unset, columns = columns[0], columns[1:]
		cell(&f)
	}
	for _, name := range asks {
		if failure != nil || f.bad || len(columns) == 0 {
			m.request.leaves(kindOfVariable(name))
			continue
		}
		if name[0] == '@' {
			m.keepUserVariable(name, columns[0], unset, &f)
			columns = columns[min(userColumns, len(columns)):]
			continue
		}
		columns = columns[1:]
		value, _ := cell(&f)
		if f.bad {
			m.request.leaves(engine.KindSetting)
			continue
		}
		if name == "autocommit" && string(value) == "0" && m.request.failed {
			m.session.unsaid = true // code that failed has set it
		}
		told := setting{name, string(value)}
		if name == clientCharset { // its collation is not told
			if known, _ := m.session.settings.or(m.state.base, name); reported(name, known) == told.value {
				told.value = known
			}
		}
		m.tellSetting(told, w)
	}
	m.pinUserVariables(w)
	if m.request.kinds&bit(engine.KindSetting) != 0 {
		m.keepLasting(engine.KindSetting, w)
		m.release(obscure, w)
	}
}

// alignSettings makes the variables of the held backend the session's.
func (m *Machine) alignSettings(w engine.Wire) {
	if m.mustForget() || m.ranOtherwise() {
		m.resetBackend(purposeAfresh, w) // the rest when that is answered
		return
	}
	text := m.difference(m.session.settings)
	if text == "" {
		m.state.settings = m.session.settings
		return
	}
	m.ask(text, purposeRestore, w)
}

// refusedRestore deals with a SET of alignSettings that the server refuses because a variable needs a privilege that the user does not have.
// That need not mean that the session has ever set it: it may be another's, set by code that has the privilege, or the backend may have
// it as the session has it, asked for behind a SET that failed. It returns false if the session's settings cannot be had.
func (m *Machine) refusedRestore(failure *engine.ServerError, w engine.Wire) bool {
	switch {
	case failure.Number != protocol.ER_SPECIFIC_ACCESS_DENIED_ERROR || !m.state.untouched:
		return false
	case m.state.settings != nil: // those of others
		m.resetBackend(purposeAfresh, w)
		return true
	case m.state.compared:
		return false
	}
	var query []byte
	_, wants := m.session.settings.users()
	for _, s := range wants {
		if m.state.base.has(s.name, s.value) {
			continue
		}
		if query != nil {
			query = append(query, ", "...)
		}
		query = append(append(query, "@@SESSION."...), s.name...)
	}
	if query == nil {
		return false
	}
	m.state.compared, m.state.scratch = true, m.state.scratch[:0]
	m.ask("SELECT "+string(query), purposeCompare, w)
	return true
}

// compared takes in which of the session's values the held backend has by itself.
func (m *Machine) compared() bool {
	f := fields{rest: m.state.scratch}
	_, wants := m.session.settings.users()
	for _, s := range wants {
		if m.state.base.has(s.name, s.value) {
			continue
		}
		value, _ := cell(&f)
		if sameValue(s.value, string(value)) {
			m.state.settings, _ = m.state.settings.with(s.name, s.value)
		}
	}
	return !f.bad
}

// difference appends what must be assigned on a backend, dialed with base, that has one state and shall have another. It returns
// nil if that is nothing.
func difference(dst []byte, from, to, base *settings) []byte {
	d := assigner{dst: dst, empty: len(dst)}
	d.names(from, to, base)
	hasUsers, has := from.users()
	wantsUsers, wants := to.users()
	d.changes(has, wants, base)
	d.collation, _ = to.or(base, connectionCollation)
	collation := d.collation
	d.changes(hasUsers, wantsUsers, nil)
	d.collate(collation)
	if len(d.dst) == d.empty {
		return nil
	}
	return d.dst
}

// changes assigns what is different.
func (d *assigner) changes(has, wants []setting, base *settings) {
	for len(has) > 0 || len(wants) > 0 {
		switch {
		case len(wants) == 0 || len(has) > 0 && has[0].name < wants[0].name:
			if value, known := base.value(has[0].name); !known || !sameValue(value, has[0].value) {
				d.assign(has[0].name, value, known)
			}
			has = has[1:]
		case len(has) == 0 || wants[0].name < has[0].name:
			if !base.has(wants[0].name, wants[0].value) {
				d.assign(wants[0].name, wants[0].value, true)
			}
			wants = wants[1:]
		default:
			if !sameValue(wants[0].value, has[0].value) {
				d.assign(wants[0].name, wants[0].value, true)
			}
			has, wants = has[1:], wants[1:]
		}
	}
}

// assigner appends what follows SET.
type assigner struct {
	dst   []byte
	empty int  // the length of dst without assignments
	named bool // names has set what it sets
	// collation is collation_connection where the next assignment happens, for user variables.
	collation string
}

// names sets the character sets that have a collation of their own, if one is not as the backend has it, and what else SET NAMES changes.
func (d *assigner) names(from, to, base *settings) {
	whole, changes := "", false
	for _, name := range [...]string{clientCharset, resultsCharset} {
		if value, _ := to.or(base, name); strings.Contains(value, " ") {
			now, _ := from.or(base, name)
			whole, changes = value, changes || now != value
		}
	}
	if !changes {
		return
	}
	charset, collation, _ := strings.Cut(whole, " ")
	d.dst = append(d.dst, "NAMES '"+charset+"' COLLATE '"+collation+"'"...)
	for _, name := range [...]string{clientCharset, resultsCharset, connectionCollation} {
		if value, known := to.or(base, name); value != whole {
			d.assign(name, value, known)
		}
	}
	d.named = true
}

// collate makes the next assignments happen under a collation_connection.
func (d *assigner) collate(collation string) {
	if collation == d.collation {
		return
	}
	d.separate()
	d.dst = append(d.dst, "@@SESSION."+connectionCollation+"='"+collation+"'"...)
	d.collation = collation
}

func (d *assigner) separate() {
	if len(d.dst) > d.empty {
		d.dst = append(d.dst, ", "...)
	}
}

// assign sets a variable, to its default if no value is known.
func (d *assigner) assign(name, value string, known bool) {
	if d.named && (name == resultsCharset || name == clientCharset || name == connectionCollation) {
		return
	}
	if name[0] == '@' {
		literal, collation, tagged := strings.Cut(value, "\x00")
		if tagged {
			d.collate(collation)
		}
		d.separate()
		d.dst = append(appendUser(d.dst, name), '=')
		d.dst = append(d.dst, literal...)
		return
	}
	d.separate()
	d.dst = append(d.dst, "@@SESSION."...)
	d.dst = append(d.dst, name...)
	d.dst = append(d.dst, '=')
	if !known {
		d.dst = append(d.dst, "DEFAULT"...)
		return
	}
	d.dst = appendValue(d.dst, name, value)
}

// aligned takes in what the server reports behind alignSettings.
func (m *Machine) aligned(o *okPacket) bool {
	if !m.tookSettings(o, m.session.settings) {
		return false
	}
	m.state.settings = m.session.settings
	return true
}

// tookSettings says whether the server reports the values that it was to have.
func (m *Machine) tookSettings(o *okPacket, wanted *settings) bool {
	if o.warnings > 0 && m.state.mariaDB {
		m.state.last, m.state.stale = nil, true
	}
	for name, value := range variables(o.state) {
		for _, s := range wanted.list() {
			if s.name == string(name) && !sameValue(reported(s.name, s.value), string(value)) {
				return false
			}
		}
	}
	return true
}

// notRestored is the end of a session whose settings cannot be had on another backend.
func notRestored(failure *engine.ServerError) error {
	return &clientError{rendering{failure.Number, failure.Code,
		"The session's settings could not be restored on another database connection: " + failure.Message}, failure}
}

// errRestoredOtherwise is for a server that took a value, and has another one now.
var errRestoredOtherwise = &engine.ServerError{Number: 1231, Code: "42000", Message: "the server changed a value"}

// statusOf is what the status flags of a session are that has set this and nothing else, before its next statement.
func statusOf(s *settings) uint16 {
	status := uint16(statusAutocommit)
	if s.has("autocommit", "OFF") {
		status = 0
	}
	if mode, _ := s.value("sql_mode"); strings.Contains(mode, "NO_BACKSLASH_ESCAPES") {
		status |= statusLiteralBackslash
	}
	return status
}
