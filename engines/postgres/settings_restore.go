package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// pendingSettings is what was sent since the last boundary that is about settings.
type pendingSettings struct {
	ops        []settingOp
	sent, done int  // commands, and tags of them
	active     bool // something may have changed
	unsure     bool // only the server can tell what is set
	scoped     bool // the transaction may have settings of its own
	paths      bool // the search path may be among what changes
	lexes      bool // how texts are read may be among what changes, or changes back with the transaction
	// Of the application's name:
	forgets bool // the next Execute makes the server forget it
	due     bool // the client's next message finds it given again
	forgot  bool // the server has forgotten it, and it was not given again
	discard bool // the last command that has changed settings is DISCARD ALL, which is committed at once, in a batch too
	lapses  bool // a rollback may take away again that it was given
}

// base is what the init query has set on the backend that the session had last, unknownSettings if it had none, and what the session
// begins with there.
type base struct{ is, own *settings }

// wanted is what has to be set on the held backend for the session.
func (m *machine) wanted() *settings {
	if m.set {
		return m.settings
	}
	if m.base.is != m.state.base {
		m.base = base{is: m.state.base, own: m.own(m.state.base)}
	}
	return m.base.own
}

// own is what the session has where s is set on the backend: the application's name as well, if it began with one, to which
// RESET goes back.
func (m *machine) own(s *settings) *settings {
	if !m.session.named {
		return s
	}
	if _, ok := s.lookup(applicationName); ok {
		return s
	}
	sql, _ := settingSQL(applicationName, m.session.application)
	list := append(slices.Clone(s.all()), setting{applicationName, sql})
	if own, ok := m.e.settings.intern(list); ok {
		return own
	}
	return s
}

// guard is what makes an error in a restore fatal, so that the request behind it is never executed with other settings (20.13
// exit_on_error). It has no Sync: where it fails itself, be it by a cancel request, the server skips the rest (54.2.3).
var guard = []byte("P\x00\x00\x00\x1e\x00SET exit_on_error = on\x00\x00\x00" +
	"B\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00" +
	"E\x00\x00\x00\x09\x00\x00\x00\x00\x00")

// calmMessage takes away a timeout that could end what else is sent before it has begun. That may have come already, when it is
// taken away: then it ends what follows.
var calmMessage = queryMessage("SET statement_timeout = 0")

// maxCalming is how often it is sent while the timeout ends that, too.
const maxCalming = 100

// align brings the backend in line with the session, in the same write as the request that it was borrowed for.
func (m *machine) align(w engine.Wire) {
	want := m.wanted()
	if m.state.actual == want {
		return
	}
	sql := restoreSQL(m.state.actual, want)
	if sql == "" {
		m.state.actual = want
		return
	}
	m.state.unnamed = statementID{} // a simple Query ends it (54.2.3)
	m.lend.restoring, m.lend.pinned = true, m.pins != 0
	if !m.lend.calm && hurried(m.state.actual) {
		m.calm(w)
		return
	}
	m.state.actual = want
	w.ToBackend(guard)
	m.push(answerParse | answerSwallow)
	m.push(answerBind | answerSwallow)
	m.push(answerExecute | answerSwallow)
	w.ToBackend(queryMessage(sql))
	m.push(answerRestore | answerSwallow)
	w.Observe(engine.StateRestored)
}

// calm takes the timeout away, and sees whether it has come. The client's messages wait until that is done.
func (m *machine) calm(w engine.Wire) {
	for range 2 {
		m.lend.calming++
		w.ToBackend(calmMessage)
		m.push(answerRestore | answerSwallow)
	}
}

// calmed notes an answer to calm.
func (m *machine) calmed(w engine.Wire) {
	l := m.lend
	l.calm = l.quiet
	l.quiet = l.quiet || !l.sweep.failed
	l.sweep.failed = false
	switch {
	case !m.queue.empty():
	case l.calm:
		l.calming, l.quiet = 0, false
		m.align(w)
	default:
		m.calm(w)
	}
}

// hurried says that a connection with s may have a statement_timeout of less than a second.
func hurried(s *settings) bool {
	sql, ok := s.lookup("statement_timeout")
	if !ok {
		return s == unknownSettings
	}
	return shortSQL(sql)
}

// shortSQL says that a SET of statement_timeout may give it less than a second.
func shortSQL(sql string) bool {
	value := strings.Trim(sql[strings.LastIndexAny(sql, " =\t\n")+1:], "'")
	unit := strings.TrimLeft(value, "0123456789")
	n, err := strconv.Atoi(strings.TrimSuffix(value, unit))
	switch unit {
	case "", "ms":
		return err != nil || n > 0 && n < 1000
	case "s", "min", "h", "d":
		return err != nil
	}
	return true
}

// restoreSQL makes a connection that has from have to. It is empty if that is so already.
func restoreSQL(from, to *settings) string {
	var resets []string
	sets := false
	thorough := from == unknownSettings
	identity := to != nil && to.identity || from != nil && from.identity
	for _, e := range from.all() {
		if _, ok := to.lookup(e.name); !ok && !isIdentity(e.name) {
			resets = append(resets, "RESET "+quoteSetting(e.name))
			// The role may have been allowed what its members are not (GRANT SET ON PARAMETER), and a library that was loaded
			// meanwhile may not know the name. RESET ALL never fails.
			thorough = thorough || from.identity || strings.Contains(e.name, ".")
		}
	}
	for _, e := range to.all() {
		sql, ok := from.lookup(e.name)
		sets = sets || !ok || sql != e.sql
	}
	if from != unknownSettings && len(resets) == 0 && !sets && !changesIdentity(from, to) {
		return ""
	}
	var q []string
	for _, name := range hurries {
		if _, ok := from.lookup(name); ok {
			q = append(q, "SET "+name+" = 0")
		}
	}
	if _, ok := from.lookup("default_transaction_isolation"); ok {
		q = append(q, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED") // a standby refuses to be serializable
	}
	if _, ok := from.lookup("default_transaction_deferrable"); ok {
		q = append(q, "SET TRANSACTION NOT DEFERRABLE") // a SELECT would wait
	}
	if identity {
		q = append(q, "RESET SESSION AUTHORIZATION", "RESET ROLE")
	}
	if thorough {
		q, from = append(q, "RESET ALL", "SET exit_on_error = on"), nil
	} else {
		q = append(q, resets...)
	}
	var last []string // what counts for all that follows
	closing := "RESET exit_on_error"
	for _, e := range to.all() {
		sql, ok := from.lookup(e.name)
		value, short := shortTimeout(e)
		switch {
		case short:
			// It counts for every statement behind the one that sets it.
			closing = "SELECT pg_catalog.set_config('statement_timeout', " + value + ", false), pg_catalog.set_config('exit_on_error', NULL, false)"
		case slices.Contains(hurries[:], e.name):
			last = append(last, e.sql)
		case !ok || sql != e.sql || isIdentity(e.name):
			q = append(q, e.sql)
		}
	}
	if q = append(q, last...); len(q) == 0 {
		// A query of several statements ends the implicit transaction that the guard has begun, one of a single statement does not
		// (postgres.c exec_simple_query).
		q = append(q, "SET statement_timeout = 0")
	}
	return strings.Join(append(q, closing), ";\n")
}

// shortTimeout returns the value, as a string in SQL, that a SET gives to statement_timeout, if that is so short that another statement
// might not be executed within it.
func shortTimeout(e setting) (value string, ok bool) {
	if e.name != "statement_timeout" || !shortSQL(e.sql) {
		return "", false
	}
	s := scanner{text: []byte(e.sql)}
	for s.kind != '=' && !s.is("to") {
		if s.next(); s.kind == tokenEnd || s.kind == tokenBroken {
			return "", false
		}
	}
	value = strings.TrimSpace(e.sql[s.at:])
	if text, quoted := strings.CutPrefix(value, "'"); quoted {
		text, quoted = strings.CutSuffix(text, "'")
		return value, quoted && strings.Trim(text, "0123456789 .umsinhd") == ""
	}
	// A number in SQL, and in a string that is read as one, are the same only if it is plain.
	return "'" + value + "'", value != "" && value[0] != '0' && strings.Trim(value, "0123456789") == ""
}

// hurries are timeouts that could end a restore.
var hurries = [...]string{"statement_timeout", "lock_timeout"}

func changesIdentity(from, to *settings) bool {
	for _, name := range [...]string{"role", "session_authorization"} {
		a, had := from.lookup(name)
		b, has := to.lookup(name)
		if had != has || a != b {
			return true
		}
	}
	return false
}

// forgetsApplication says that a value which the server reports of the application's name is what it has by itself: to the session
// its name is still what it began with.
func (m *machine) forgetsApplication(value string) bool {
	if p := &m.lend.sets; !p.forgot && !p.lapses && (m.queue.empty() || m.queue.first()&answerForgets == 0) {
		return false
	}
	return value == m.pristineName()
}

// pristineName is the application's name that a connection has by itself.
func (m *machine) pristineName() string {
	pristine, _ := m.e.parameters(m.session.key)
	name, _ := lookup(pristine, applicationName)
	return name
}

// lapse notes that the server may go back, by a rollback, to the name that the connection has by itself. That is not so if it may
// be what the session had set.
func (m *machine) lapse() {
	p := &m.lend.sets
	name := m.pristineName()
	before, _ := m.state.actual.lookup(applicationName)
	p.lapses = !p.unsure && m.state.actual != unknownSettings && !settingOp{opSet, setting{applicationName, before}}.names(name) &&
		!slices.ContainsFunc(p.ops, func(op settingOp) bool { return op.names(name) })
}

// names says that the op may set the application's name to this one.
func (op settingOp) names(name string) bool {
	if name == "" {
		name = "''"
	}
	return op.kind == opSet && op.name == applicationName && strings.Contains(op.sql, name)
}

// restored is called when what align has sent was executed.
func (m *machine) restored(w engine.Wire) {
	if m.lend.calming > 0 {
		m.calmed(w)
		return
	}
	m.lend.restoring, m.lend.calm = false, false
	if m.reading.starting {
		m.welcome(m.snapshot(), w)
		return
	}
	m.tellParameters(w)
}

// restoreHolds says that the client's next message waits for the restore: were it to fail, the server would read on at a
// Sync, behind the first request.
func (m *machine) restoreHolds() bool {
	l := m.lend
	return l.calming > 0 || l.dooms > 0 || l.restoring && m.queue.ready > 1
}

// calmable says that an error is a timeout that ended an attempt to take it away.
func (m *machine) calmable(body []byte) bool {
	n := m.lend.calming
	return n > 0 && n < maxCalming && errorCode(body) == codeQueryCanceled && !isFatal(body)
}

// restoreCanceled says that an error is a cancel request's that came while the backend was brought in line. It was meant for
// what the client has sent behind that, none of which the server executes.
func (m *machine) restoreCanceled(body []byte) bool {
	return m.lend.restoring && m.lend.calming == 0 && errorCode(body) == codeQueryCanceled
}

// restoreFailed ends a session whose settings could not be restored: what it has sent behind them was not executed.
func (m *machine) restoreFailed(body []byte, w engine.Wire) {
	m.end(&restoreError{parseServerError(body)}, w)
}

// restoreError says why a session cannot go on: its settings cannot be made any more.
type restoreError struct{ server *engine.ServerError }

func (e *restoreError) Error() string {
	return "could not restore the session's settings on another database connection: " + e.server.Message
}

// changesSettings says that settings are not what they were before, if it is executed.
func (v verdict) changesSettings() bool {
	return (v.kinds|v.ends)&settingKinds != 0 || v.deallocates || v.scoped
}

// settingsSent notes what a statement that is being sent does to the settings. text is nil if that is not known; portal says that
// it may be executed later than what is sent behind it.
func (m *machine) settingsSent(v verdict, text []byte, portal bool) {
	p := &m.lend.sets
	p.scoped = p.scoped || v.scoped
	p.active = p.active || (v.kinds|v.ends)&settingKinds != 0 || v.deallocates || text == nil
	if i := m.lend.inserted; i != nil && i.text != nil {
		text = i.text
	}
	t := readSettings(text, m.lexing)
	p.sent += t.commands
	p.unsure = p.unsure || t.unsure || text == nil || portal || len(p.ops)+len(t.ops) > 4*maxSettings
	p.paths = p.paths || text == nil || mentionsPath(text)
	p.lexes = p.lexes || text == nil || t.nameless || mentionsLexing(text) || m.resetsLexing(t.ops)
	p.forgetsName(t, portal, m.pristineName())
	if !p.unsure {
		p.ops = append(p.ops, t.ops...)
	}
}

// forgetsName notes what a text does to the application's name. A portal that may be executed whenever the client likes is not followed, and of
// what is rolled back nobody can say.
func (p *pendingSettings) forgetsName(t settingText, portal bool, pristine string) {
	p.forgets = false
	for i, op := range t.ops {
		certain := !portal && i >= t.rolled
		switch op.kind {
		case opSet, opReset:
			if op.name == applicationName {
				p.forgets, p.forgot = op.kind == opReset && certain, false
				p.lapses = p.lapses && !op.names(pristine)
			}
		case opResetAll, opDiscard:
			p.forgets, p.forgot = certain, false
		}
	}
}

// forgetting returns the mark of a Query, or of an Execute, that is being sent, if it makes the server forget the application's name.
func (m *machine) forgetting() expected {
	p := &m.lend.sets
	forgets := p.forgets && m.session.named
	if p.forgets = false; !forgets {
		return 0
	}
	p.due = true
	return answerForgets
}

// nameDue says that the client's next message waits until the application's name is given again, which has to be known for: what
// is sent in one go with a RESET finds it, too.
func (m *machine) nameDue(f *feed, w engine.Wire) bool {
	p := &m.lend.sets
	switch {
	case !p.due:
		return false
	case !m.queue.empty():
		return m.waitNamed(f, w)
	}
	m.flush(f, w)
	m.rename(w)
	return false
}

// mentionsLexing looks in a text that changes settings for the names of those that lexingOf knows: SET NAMES is one of them.
func mentionsLexing(text []byte) bool {
	for i := range text {
		if begins(text[i:], "encoding") || begins(text[i:], "names") || begins(text[i:], "conforming") {
			return true
		}
	}
	return false
}

// mentionsPath looks for what changes the search path: RESET ALL and DISCARD ALL are of that, too.
func mentionsPath(text []byte) bool {
	for i := range text {
		if begins(text[i:], "search_path") || begins(text[i:], "schema") || begins(text[i:], "all") {
			return true
		}
	}
	return false
}

// resetsLexing says that ops may make texts be read as the connection began.
func (m *machine) resetsLexing(ops []settingOp) bool {
	pristine, ok := m.e.parameters(m.session.key)
	return (!ok || lexingOf(pristine) != m.lexing) &&
		slices.ContainsFunc(ops, func(op settingOp) bool { return op.kind == opResetAll || op.kind == opDiscard })
}

// lexingDue says that the client's next message, which has a text, waits until it is known how the server reads that. Most mean the same
// however they are read.
func (m *machine) lexingDue(fr frame, f *feed, w engine.Wire) bool {
	u := m.state.unseen
	lexes := m.lend.sets.lexes || m.lend.sweep.used && u != nil && m.unseenChanges != engine.UnseenTrust && u.lexes.Load()
	return lexes && !m.queue.empty() && (fr.kind == 'Q' || fr.kind == 'P') &&
		(!whole(fr, f) || lettered(body(fr, f))) && m.waitNamed(f, w)
}

// rename follows a RESET, within its transaction, with the application's name that the session began with, which is what the
// client expects to find. What RESET goes back to is the connection's, and connections are shared by applications. Behind the
// transaction that is align's, unless nobody knows what is set.
func (m *machine) rename(w engine.Wire) {
	p := &m.lend.sets
	if !m.queue.empty() {
		return
	}
	p.due = false
	if !p.forgot || m.lend.tx == 'I' && !m.reading.batch && m.state.actual != unknownSettings {
		return
	}
	p.forgot = false
	if _, own := m.state.base.lookup(applicationName); own {
		return
	}
	if !p.discard {
		m.lapse()
	}
	sql, _ := settingSQL(applicationName, m.session.application)
	p.ops = append(p.ops, settingOp{kind: opSet, setting: setting{applicationName, sql}})
	m.sendOwn(sql, w)
	if !m.reading.batch || p.discard {
		m.lend.untold = m.lend.untold || m.reading.batch
		w.ToBackend(syncMessage)
		m.push(answerSync | answerSwallow)
	}
}

// settleSettings decides at a boundary what is set now, if that is known from what was sent.
func (m *machine) settleSettings() {
	p := &m.lend.sets
	switch {
	case !p.active:
		*p = pendingSettings{forgot: p.forgot}
		return
	case p.unsure:
		p.scoped = false
		return
	}
	if m.lend.verify.undone || m.lend.verify.opaque || p.sent != p.done || m.state.actual == unknownSettings {
		p.unsure = true
		return
	}
	list := apply(m.state.actual, p.ops)
	s, ok := m.e.settings.intern(list)
	if !ok || borrowsRights(list, p.ops) {
		p.unsure = true
		return
	}
	m.settle(s)
}

// settle notes what is set, for the session and on its backend.
func (m *machine) settle(s *settings) {
	m.state.actual = s
	m.set = false
	base := m.wanted()
	m.settings = m.own(s)
	m.set = m.settings != base
	m.lend.sets = pendingSettings{}
}

// readingNow tells apart texts that may mean different things: by what is set, or by nothing but this moment while that is
// not known.
func (m *machine) readingNow() string {
	if m.unsureReading() {
		return m.e.statements.unique()
	}
	return m.state.actual.text()
}

// unsureReading says that it is not known what is set.
func (m *machine) unsureReading() bool {
	p, u := &m.lend.sets, m.state.unseen
	return p.active || p.scoped || m.lend.verify.opaque || m.lend.sweep.used && u != nil && u.now() != suspicionNone
}

// quoteSetting writes the name of a setting in a RESET or SET.
func quoteSetting(name string) string {
	return `"` + strings.ReplaceAll(name, ".", `"."`) + `"`
}

// settingSQL makes a setting have a value that the server has said. It returns false if that cannot be written so that it
// means the same whatever else is set.
func settingSQL(name, value string) (sql string, ok bool) {
	for _, text := range [...]string{name, value} {
		for i := range len(text) {
			if text[i] == 0 || text[i] >= 0x80 {
				return "", false
			}
		}
	}
	const quote = "$berth$"
	switch {
	case strings.ContainsAny(name, `"'\;`) || name == "":
		return "", false
	case strings.IndexByte(value, '\\') < 0:
		value = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	case strings.Contains(value, "$berth") || strings.HasSuffix(value, "$"):
		return "", false
	default:
		value = quote + value + quote
	}
	switch name {
	case "role":
		return "SET ROLE " + value, true
	case "session_authorization":
		return "SET SESSION AUTHORIZATION " + value, true
	case "search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries", "unix_socket_directories":
		// SET would take a string for one element of the list (variable_is_guc_list_quote).
		return "SELECT pg_catalog.set_config('" + name + "', " + value + ", false)", true
	}
	if value == "''" && strings.Contains(name, ".") {
		// RESET leaves a library's setting so where that is not loaded. Where it is, a number or a word cannot be empty.
		return "SELECT pg_catalog.set_config('" + name + "', '', false) WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_settings" +
			" WHERE pg_catalog.lower(name) OPERATOR(pg_catalog.=) '" + name + "' AND vartype OPERATOR(pg_catalog.<>) 'string')", true
	}
	return "SET " + quoteSetting(name) + " = " + value, true
}
