package mysql

import (
	"errors"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// FromClient reads requests.
func (m *Machine) FromClient(in []byte, w engine.Wire) (int, error) {
	pos := 0
	for pos < len(in) && !m.closed {
		var n int
		var err error
		switch {
		case m.upload.active:
			n, err = m.continueUpload(in[pos:], w)
		case m.request.file:
			n, err = m.relayFile(in[pos:], w)
		case m.change != nil && m.change.asking:
			return pos, nil
		case m.change != nil:
			n, err = m.continueChange(in[pos:], w)
		case m.request.active || m.queue.count > 0 || m.login == loginPending:
			return pos, nil
		default:
			n, err = m.command(in[pos:], w)
		}
		pos += n
		if err != nil {
			return pos, err
		}
		if n == 0 {
			break
		}
	}
	if m.closed {
		return len(in), nil
	}
	return pos, nil
}

// packet is the first packet of a request.
type packet struct {
	bytes []byte // with its header, as far as it is there
	size  int    // with its header
}

func (p packet) whole() bool   { return len(p.bytes) == p.size && p.size < headerSize+maxPayload }
func (p packet) body() []byte  { return p.bytes[headerSize:] }
func (p packet) command() byte { return p.bytes[headerSize] }

// command reads the packet that begins a request. It returns 0 if more bytes, a backend or answers are needed first.
func (m *Machine) command(in []byte, w engine.Wire) (int, error) {
	if len(in) < headerSize {
		return 0, nil
	}
	n, sequence := packetHeader(in)
	if sequence != 0 {
		return 0, m.violation(sequence+1, errOutOfOrder, w)
	}
	if n == 0 {
		m.refuse(errUnknownCommand, w)
		return headerSize, nil
	}
	p := packet{bytes: in[:min(len(in), headerSize+n)], size: headerSize + n}
	if len(in) == headerSize || !p.whole() && p.size <= maxWhole {
		return 0, nil
	}
	if !p.whole() && !streams(p.command()) {
		return 0, m.violation(1, errMalformed, w)
	}
	m.request.command, m.request.sequence, m.request.opens, m.request.bulk = p.command(), 0, false, false
	if p.command() == comBulkExecute {
		m.request.command, m.request.bulk = protocol.COM_STMT_EXECUTE, true // which it is in all that follows
	}
	return m.dispatch(p, w)
}

// streams says whether a command may be longer than what is held.
func streams(command byte) bool {
	switch command {
	case protocol.COM_QUERY, protocol.COM_STMT_PREPARE, protocol.COM_STMT_EXECUTE, comBulkExecute, protocol.COM_STMT_SEND_LONG_DATA:
		return true
	}
	return false
}

func (m *Machine) dispatch(p packet, w engine.Wire) (int, error) {
	if p.command() == protocol.COM_STMT_PREPARE {
		m.statements.last = nil // whatever becomes of this one
	}
	if m.notice != nil {
		if len(p.bytes) < min(p.size, maxWhole) {
			return 0, nil // whose long data it is
		}
		m.remind(p)
	}
	if m.refusal != nil {
		return m.refused(p, w)
	}
	switch p.command() {
	case protocol.COM_QUIT:
		m.close(nil, w)
		return len(p.bytes), nil
	case protocol.COM_QUERY:
		return m.query(p, w)
	case protocol.COM_STMT_PREPARE, protocol.COM_STMT_EXECUTE, comBulkExecute, protocol.COM_STMT_FETCH, protocol.COM_STMT_RESET,
		protocol.COM_STMT_CLOSE, protocol.COM_STMT_SEND_LONG_DATA:
		return m.statement(p, w)
	case protocol.COM_INIT_DB:
		return m.forward(p, class{flags: classUse}, shapeOne, w)
	case protocol.COM_FIELD_LIST:
		return m.forward(p, class{}, shapeColumns, w)
	case protocol.COM_STATISTICS:
		return m.forward(p, class{flags: classUse}, shapeText, w)
	case protocol.COM_DEBUG:
		return m.forward(p, class{flags: classUse}, shapeOne, w)
	case protocol.COM_PROCESS_INFO:
		return m.forward(p, class{flags: classUse}, shapeResults, w)
	case protocol.COM_SET_OPTION:
		return m.setOption(p, w)
	case protocol.COM_PING, protocol.COM_RESET_CONNECTION:
		return m.local(p, w)
	case protocol.COM_CHANGE_USER:
		return m.changeUser(p, w)
	case protocol.COM_PROCESS_KILL:
		return m.processKill(p, w)
	}
	m.refuse(errUnknownCommand, w)
	return len(p.bytes), nil
}

// local answers what needs no backend, if none is held.
func (m *Machine) local(p packet, w engine.Wire) (int, error) {
	if p.command() == protocol.COM_RESET_CONNECTION && m.b != nil && m.doubtsPlace() {
		m.request.scanned = true
		m.askPlace(w)
		return 0, nil
	}
	if m.b != nil || m.previous.repeats() && m.keepsList() || m.session.owed != nil {
		return m.forward(p, class{flags: classUse}, shapeOne, w)
	}
	if p.command() == protocol.COM_RESET_CONNECTION {
		m.resetVirtual()
	}
	m.previous.setRows(0)
	m.previous.local = true
	ok := appendOK(m.small[:0], 1, m.session.status)
	if m.previous.deprecated && m.previous.recounted == 0 {
		ok[len(ok)-2] = 1 // warning
	}
	m.reply(w, ok)
	return len(p.bytes), nil
}

// setOption changes what the key promises of the backend, for good: no reset undoes it, and COM_CHANGE_USER keeps it.
func (m *Machine) setOption(p packet, w engine.Wire) (int, error) {
	f := fields{rest: p.body()[1:]}
	m.request.option = f.uint16()
	n, err := m.forward(p, class{flags: classUse, kinds: 1 << engine.KindSetting}, shapeOne, w)
	if m.request.active {
		m.state.options = true
	}
	return n, err
}

// optionSet notes what a COM_SET_OPTION that succeeded has set (section "COM_SET_OPTION").
func (m *Machine) optionSet() {
	const on, off = 0, 1 // MYSQL_OPTION_MULTI_STATEMENTS_ON and _OFF
	switch m.request.option {
	case on:
		m.info.capabilities |= protocol.CLIENT_MULTI_STATEMENTS
	case off:
		m.info.capabilities &^= protocol.CLIENT_MULTI_STATEMENTS
	}
}

// hold makes sure that a backend is held that has the session's settings. False means that it is not granted yet, or that
// answers are awaited.
func (m *Machine) hold(w engine.Wire) bool {
	if m.b == nil {
		b := w.Borrow(engine.Want{Key: m.info.key})
		if b == nil {
			return false
		}
		m.adopt(b)
	}
	if m.session.settings != m.state.settings || m.ranOtherwise() {
		m.alignSettings(w)
	}
	return m.queue.count == 0
}

// ready brings a backend in line for the request p of class c, and marks the request as under way. Otherwise it returns what its
// caller shall return: more is needed first, or p is refused.
func (m *Machine) ready(p packet, c class, w engine.Wire) (ok bool, n int, err error) {
	m.request.class, m.request.scanned = c, true
	if !m.hold(w) {
		return false, 0, nil
	}
	if m.asksFirst(c, w) {
		return false, 0, nil
	}
	if !m.align(c, w) {
		if m.refusal != nil && m.queue.count == 0 {
			n, err = m.refused(p, w)
		}
		return false, n, err
	}
	m.movesList()
	m.began(w)
	m.executes(c)
	return true, 0, nil
}

// forward passes a request on that expects an answer of shape s.
func (m *Machine) forward(p packet, c class, s shape, w engine.Wire) (int, error) {
	if ok, n, err := m.ready(p, c, w); !ok {
		return n, err
	}
	w.ToBackend(p.bytes)
	m.expect(s, purposeForward, 1)
	m.streamOn(p)
	return len(p.bytes), nil
}

// began marks the request as under way.
func (m *Machine) began(w engine.Wire) {
	r := &m.request
	r.active, r.scanned, r.cleared, r.counted, r.fetches, r.failed = true, false, false, false, 0, false
	r.warnings, r.oks, r.rows, r.affected, r.kinds, r.act = 0, 0, 0, 0, 0, nil
	r.settings, r.set, r.asked, r.placed, r.unsupported = settingsReport{}, r.set[:0], false, false, nil
	r.results = 0
	r.usesTable, r.single, r.warned, r.schema, r.otherColumns = false, false, false, m.session.schema, 0
	m.number++
	m.running = m.running[:0]
	if m.state != nil {
		m.state.untouched = false
		m.session.unplaced = m.session.unplaced || m.ignored && m.state.mariaDB // it may be USE, while the reset has to wait
	}
	w.Observe(engine.RequestBegan)
}

// reply answers a request without a backend.
func (m *Machine) reply(w engine.Wire, p []byte) {
	m.request.scanned, m.request.cleared, m.request.counted, m.request.fetches = false, false, false, 0
	w.Observe(engine.RequestBegan)
	w.ToClient(p)
	w.Observe(engine.RequestEnded)
}

// refuse answers a request with an error, which no server has in its list, unless it is made there, too (repeats).
func (m *Machine) refuse(err error, w engine.Wire) {
	m.noteRefused(err)
	m.reply(w, m.e.render(nil, m.request.sequence+1, m.info.capabilities, err))
	if m.b != nil && m.previous.list.gone {
		m.endResult(w)
		m.settle(w)
	}
}

// noteRefused notes what a request leaves that was answered with an error here.
func (m *Machine) noteRefused(err error) {
	if id := unknownID(0); errors.As(err, &id) {
		m.previous = m.refusedUnknown(id)
		return
	}
	m.previous = previous{rows: -1, rowsKnown: true, local: true, list: list{gone: true}}
}

// refused takes the request p and answers it with m.refusal; a long one when it is over.
func (m *Machine) refused(p packet, w engine.Wire) (int, error) {
	err := m.refusal
	if p.command() == protocol.COM_STMT_SEND_LONG_DATA {
		m.failLongData(p, err)
	}
	if !p.whole() {
		m.began(w)
		m.streamOn(p)
		m.upload.discard = true
		return len(p.bytes), nil
	}
	m.refusal = nil
	if answered(p.command()) {
		m.refuse(err, w)
	}
	m.request.scanned = false
	m.settle(w)
	return len(p.bytes), nil
}

// violation tells the client that it broke the protocol.
func (m *Machine) violation(sequence uint8, err error, w engine.Wire) error {
	w.ToClient(m.e.render(nil, sequence, m.info.capabilities, err))
	return err
}

var (
	errUnknownCommand = &clientError{rendering: rendering{protocol.ER_UNKNOWN_COM_ERROR, "08S01", "Unknown command"}}
	errOutOfOrder     = &clientError{rendering{protocol.ER_NET_PACKETS_OUT_OF_ORDER, "08S01", "Got packets out of order"},
		&engine.ProtocolError{Side: engine.SideClient, Reason: "packets out of order"}}
	errMalformed = &clientError{rendering{protocol.ER_MALFORMED_PACKET, "HY000", "Malformed communication packet"},
		&engine.ProtocolError{Side: engine.SideClient, Reason: "malformed request"}}
	errPrevious = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
		"The value belongs to a statement whose database connection has been returned; run both in one transaction"}}
	errInsertIDLost = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
		lostConnection + ", and with it LAST_INSERT_ID(), which the statement may read"}}
	// errKilledSelf is what MariaDB says to whom it kills its own connection.
	errKilledSelf = &clientError{rendering: rendering{errConnectionKilled, "70100", "Connection was killed"}}
	errKillForm   = &clientError{rendering: rendering{protocol.ER_NOT_SUPPORTED_YET, "42000",
		"This version of MySQL doesn't yet support 'KILL of anything but a connection id, alone in its request'"}}
	errKillPrepared = &clientError{rendering: rendering{protocol.ER_UNSUPPORTED_PS, "HY000",
		"This command is not supported in the prepared statement protocol yet"}}
	errLongAttributes = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
		"The query attributes of a statement cannot be more than 64 KiB"}}
	errLongStatement = &clientError{rendering: rendering{protocol.ER_UNKNOWN_ERROR, "HY000",
		"A statement of more than 64 KiB cannot be a KILL, or ask for values of a previous one whose database connection has been returned"}}
)

// errConnectionKilled is MariaDB's ER_CONNECTION_KILLED.
const errConnectionKilled = 1927

// errEarly is an answer to a request that is not over.
var errEarly = broken("an answer before the end of the request")

// answered says whether a command has an answer.
func answered(command byte) bool {
	return command != protocol.COM_STMT_CLOSE && command != protocol.COM_STMT_SEND_LONG_DATA
}

// query relays a COM_QUERY, or answers it if it is about the proxy's own connections.
func (m *Machine) query(p packet, w engine.Wire) (int, error) {
	at := 1
	if m.can(protocol.CLIENT_QUERY_ATTRIBUTES) {
		var ok bool
		if at, ok = attributes(p.body()); !ok {
			switch {
			case p.whole():
				return 0, m.violation(1, errMalformed, w)
			case len(p.bytes) < maxWhole:
				return 0, nil // of a long one, whose attributes are yet to come
			}
			m.refusal = errLongAttributes
			return m.refused(p, w)
		}
	}
	if !m.request.scanned || p.size > maxWhole { // a long one may have become whole in the meantime
		m.request.class = m.classify(p, p.body()[at:])
	}
	c := m.request.class
	switch {
	case c.has(classKill):
		m.kill(c.kill, c.has(classKillQuery), w)
		return len(p.bytes), nil
	case c.has(classKillOther):
		m.refuse(errKillForm, w)
		return len(p.bytes), nil
	case p.whole() && m.tell(c, p.body()[at:], w):
		return len(p.bytes), nil
	}
	m.request.class, m.request.scanned = c, true
	if !m.hold(w) {
		return 0, nil
	}
	if m.request.read != m.reading() && p.whole() {
		m.request.class = m.classify(p, p.body()[at:]) // the first backend tells how to read
		c = m.request.class
	}
	if !m.gather(c, w) {
		return 0, nil
	}
	if at > 1 && m.state.capabilities&protocol.CLIENT_QUERY_ATTRIBUTES == 0 {
		blank(p.body()[1:at])
	}
	asked := c
	sent := m.withGTID(p, at, &c)
	n, err := m.forward(sent, c, shapeResults, w)
	if n > 0 {
		n = len(p.bytes)
	} else {
		m.request.class = asked // it comes again
	}
	if m.request.active && p.whole() {
		m.remember(c, p.body()[at:])
		m.lookAtTables(p.body()[at:])
		m.loginsSent(c, p.body()[at:])
	}
	if m.upload.active && !m.upload.discard {
		l := m.newLexer()
		l.spaced = m.spaced()
		m.upload.lexer = &l
		m.upload.lexer.feed(p.body()[at:])
	}
	return n, err
}

// blank overwrites query attributes with spaces: a backend that does not know them finds a statement of the same
// length.
func blank(p []byte) {
	for i := range p {
		p[i] = ' '
	}
}

// classify scans a statement. One that is not whole is scanned while it passes; until then it may be anything.
func (m *Machine) classify(p packet, text []byte) class {
	if !p.whole() {
		return class{flags: classInsertID | classCode}
	}
	m.request.read = m.reading()
	l := m.newLexer()
	l.spaced = m.spacedIn(text)
	c := scanAs(text, &l)
	if c.kinds&bit(engine.KindPreparedStatement) != 0 && !c.has(classDefines) {
		c.flags |= preparedIn(text)
	}
	if m.ambiguous(text) {
		return c // characters may hide what settingsIn looks for
	}
	return trackingIn(settingsIn(c, text), text)
}

func (m *Machine) literalBackslash() bool { return m.session.status&statusLiteralBackslash != 0 }

// reading is what a text may be read in one way or another by.
type reading struct {
	literalBackslash bool
	imposed          byte
	dialect          dialect
}

func (m *Machine) reading() reading {
	return reading{m.literalBackslash(), m.session.imposed, m.dialect()}
}

func (m *Machine) newLexer() lexer {
	return lexer{literalBackslash: m.literalBackslash(), wide: m.session.wide, letters: m.letters(), pairs: pairsOf(m.knownCharset()), dialect: m.dialect()}
}

// dialect is that of the held backend; without one, that of a server of the group.
func (m *Machine) dialect() dialect {
	if m.state != nil && m.state.dialect != (dialect{}) {
		return m.state.dialect
	}
	if s := m.e.server.Load(); s != nil {
		return s.dialect
	}
	return dialect{}
}

// finish ends the client's request: its answer has gone out.
func (m *Machine) finish(w engine.Wire) {
	r := &m.request
	r.active, r.file = false, false
	if m.upload.active {
		// A server answers early only if it is about to close the connection.
		return
	}
	m.attempts = 0
	if m.state.mariaDB {
		m.session.owed = nil
	}
	w.Observe(engine.RequestEnded)
	m.noteEnding()
	m.finishPrepared(w)
	if replaces(r.command) {
		m.finishStatement(w)
	} else {
		m.noteCommand()
	}
	if r.command == protocol.COM_SET_OPTION && !r.failed {
		m.optionSet()
	}
	if r.command == protocol.COM_RESET_CONNECTION && !r.failed {
		m.dropStatements()
		m.wasReset(w) // the client is told so, whatever becomes of the backend now
		m.rearm(w)
		return
	}
	m.changedCode()
	m.dirty = m.dirty || m.readsSys()
	m.loginsChanged()
	r.class.kinds |= m.called(r.class)
	m.session.roles = m.session.roles || r.class.kinds&bit(engine.KindRole) != 0
	m.leftSchema()
	m.finishTracking()
	m.tellSettings(w)
	m.tellUserVariables(w)
	kinds := r.class.kinds | r.kinds
	if kinds != 0 || m.holding != nil {
		kinds = m.holds(kinds)
	}
	left := kinds
	for k := engine.Kind(0); kinds != 0; k, kinds = k+1, kinds>>1 {
		if kinds&1 != 0 {
			m.report(k, w)
		}
	}
	if m.holding != nil {
		m.letGo(w)
	}
	m.release(m.obscures(left), w)
	if r.class.has(classRelease) && !r.failed {
		w.Discard(nil)
		m.forget()
		m.close(nil, w)
		return
	}
	if m.tooLong() {
		m.state.options = true
	}
	if m.state.releases && !r.failed && r.class.has(classEnds) && !r.class.has(classCode) {
		if _, own := m.session.settings.value(completionType); !own {
			m.state.options = true // the server is about to close it
		}
	}
	m.settle(w)
}

// replaces says whether a command replaces the values of the previous statement.
func replaces(command byte) bool {
	switch command {
	case protocol.COM_QUERY, protocol.COM_STMT_PREPARE, protocol.COM_STMT_EXECUTE, protocol.COM_STMT_FETCH,
		protocol.COM_INIT_DB, protocol.COM_FIELD_LIST:
		return true
	}
	return false
}

// finishStatement notes what a statement leaves to the next one.
func (m *Machine) finishStatement(w engine.Wire) {
	r := &m.request
	m.noteUnsaid()
	if r.class.has(classSetsInsertID) || r.failed && r.class.has(classWrites) || r.class.has(classCode) && m.hides(hiddenSetsInsertID) {
		m.touchInsertID()
	}
	m.notePrevious()
	if r.command != protocol.COM_STMT_PREPARE || r.failed { // that one leaves the values of the statement before
		m.state.last = m
		m.state.disturbed = false
	}
	told := r.failed || r.warnings > 0 || r.warned && m.state.mariaDB // whose list stays behind what uses no table
	m.noteListed(told)
	several := r.class.has(classDiagnostics) && r.results > 0 // of which one that shows the list is not the only one
	told = told || several && (r.warned || m.pins.result)
	if !r.class.has(classDiagnostics) || r.failed || several || r.class.has(classGets) && r.warnings > 0 {
		if m.tooLong() {
			told, m.previous.list = false, list{gone: true}
		}
		if left := (told || m.pins.result && m.keepsList()) && !m.previous.repeats() || r.class.has(classFoundRows) || m.hides(hiddenPrevious); left != m.pins.result {
			m.pins.result = left
			m.toggle(engine.KindLastResult, left, w)
		}
	}
	if !m.InTransaction() {
		w.Observe(engine.TransactionEnded)
	}
}

// tooLong says whether the request was longer than max_allowed_packet, behind which the server closes the connection. It need not have come
// as far when the next request would be sent, and nobody would know whether that was executed. What is bound to the connection hears of the loss.
func (m *Machine) tooLong() bool {
	return m.request.failed && m.request.errno == protocol.ER_NET_PACKET_TOO_LARGE && m.request.results == 0
}

// kill stops a session of the proxy, as the server would stop a connection of its own.
func (m *Machine) kill(id uint64, query bool, w engine.Wire) {
	if id == uint64(m.info.id) || id == ownConnection {
		switch {
		case query:
			m.refuse(engine.ErrKilled, w)
			return
		case m.e.isMariaDB():
			m.refuse(errKilledSelf, w)
		default:
			m.refuse(engine.ErrKilled, w)
		}
		m.close(nil, w)
		return
	}
	scope := engine.KillSession
	if query {
		scope = engine.KillRequest
	}
	err := engine.ErrNoSession
	if id < 1<<32 {
		err = w.Kill(uint32(id), scope)
	}
	number := strconv.FormatUint(id, 10)
	switch {
	case err == nil:
		m.previous.setRows(0)
		m.previous.local = true
		m.reply(w, appendOK(m.small[:0], 1, m.session.status))
	case errors.Is(err, engine.ErrNotOwner):
		m.refuse(&clientError{rendering{protocol.ER_KILL_DENIED_ERROR, "HY000",
			"You are not owner of thread " + number}, err}, w)
	default:
		m.refuse(&clientError{rendering{protocol.ER_NO_SUCH_THREAD, "HY000", "Unknown thread id: " + number}, err}, w)
	}
}

// processKill is KILL as a command (section "COM_PROCESS_KILL").
func (m *Machine) processKill(p packet, w engine.Wire) (int, error) {
	f := fields{rest: p.body()[1:]}
	id := f.uint32()
	if f.bad {
		m.refuse(errMalformed, w)
		return len(p.bytes), nil
	}
	m.kill(uint64(id), false, w)
	return len(p.bytes), nil
}
