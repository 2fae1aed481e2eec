package mysql

import (
	"encoding/binary"
	"math"

	"github.com/berthdb/berth/core/engine"
)

// expect puts an answer into the queue. sequence is that of its first packet.
func (m *Machine) expect(s shape, p purpose, sequence uint8) {
	m.queue.push(answer{s, p})
	if m.queue.count == 1 {
		m.reader = startOf(s, sequence)
	}
}

func startOf(s shape, sequence uint8) reader {
	r := reader{sequence: sequence}
	if s == shapeColumns || s == shapeRows {
		r.stage = stageRows // no packet says what follows
	}
	return r
}

// FromBackend reads answers: it forwards, converts or swallows them, packet by packet, and forwards in runs that are
// as long as can be.
func (m *Machine) FromBackend(in []byte, w engine.Wire) (int, error) {
	x := exchange{m: m, in: in, w: w}
	for x.pos < len(in) && !m.closed {
		if m.queue.count == 0 {
			return x.pos, unasked(in[x.pos:])
		}
		more, err := x.packet()
		if err != nil {
			x.flush()
			return x.pos, err
		}
		if !more {
			break
		}
	}
	x.flush()
	if m.closed {
		return len(in), nil
	}
	return x.pos, nil
}

// unasked is the error for bytes that no answer accounts for: a server says why it is about to close the connection.
func unasked(in []byte) error {
	if len(in) > headerSize && in[headerSize] == errHeader {
		return parseERR(in[headerSize:])
	}
	return broken("an answer to nothing")
}

// exchange is one call of FromBackend.
type exchange struct {
	m   *Machine
	in  []byte
	w   engine.Wire
	run int // in[run:pos] goes to the client
	pos int
}

func (x *exchange) forwards() bool { return x.m.queue.head().purpose == purposeForward }

// flush sends the run.
func (x *exchange) flush() {
	if x.run < x.pos {
		x.w.ToClient(x.in[x.run:x.pos])
	}
	x.run = x.pos
}

// pass deals with the next n bytes: they join the run, or vanish.
func (x *exchange) pass(n int) {
	if x.forwards() {
		x.pos += n
		return
	}
	x.drop(n)
}

// drop makes the next n bytes vanish.
func (x *exchange) drop(n int) {
	x.flush()
	x.pos += n
	x.run = x.pos
}

// packet deals with the next packet, or with the part of it that is there. It returns false if more bytes are needed.
func (x *exchange) packet() (bool, error) {
	m, rest := x.m, x.in[x.pos:]
	r := &m.reader
	if r.skip > 0 {
		n := min(r.skip, len(rest))
		r.skip -= n
		x.pass(n)
		if r.skip > 0 {
			return false, nil
		}
		return true, x.completed()
	}
	if len(rest) < headerSize {
		return false, nil
	}
	n, sequence := packetHeader(rest)
	if sequence != r.sequence && !m.upload.active {
		return false, broken("packets out of order")
	}
	if n > 0 && len(rest) == headerSize {
		return false, nil
	}
	if !r.continued && m.decides(rest[headerSize:], n) {
		if headerSize+n > maxWhole {
			return false, broken("a packet that is too long for what it is")
		}
		if len(rest) < headerSize+n {
			return false, nil
		}
		r.sequence = sequence + 1
		return true, x.decide(rest[:headerSize+n])
	}
	if r.eof && !r.continued && x.forwards() {
		x.endColumns(sequence, m.session.status)
	}
	r.sequence = sequence + 1
	r.continued = n == maxPayload
	r.skip = n
	rest[3] += r.shift
	x.pass(headerSize)
	if n == 0 {
		return true, x.completed()
	}
	return true, nil
}

// decides says whether a packet must be seen whole, because it says how the answer goes on. p is what is there of the
// payload of n bytes.
func (m *Machine) decides(p []byte, n int) bool {
	switch m.reader.stage {
	case stageRows:
		// A row that begins with the header of an EOF has a first column of 16 MiB or more (section "OK_Packet").
		return n > 0 && (p[0] == eofHeader && n < maxPayload || p[0] == errHeader) ||
			m.queue.head().purpose.reads() && (headerSize+n <= maxWhole || !m.queue.head().purpose.readsText())
	case stageParams:
		return n > 0 && (p[0] == errHeader || m.keepsShape())
	case stageColumns:
		return n > 0 && (p[0] == errHeader || m.queue.head().purpose == purposeSettings)
	}
	return true
}

// endColumns tells the client that the columns are over, which the backend does not say: in front of its packet
// sequence.
func (x *exchange) endColumns(sequence uint8, status uint16) {
	m := x.m
	m.reader.eof = false
	x.flush()
	x.w.ToClient(appendEOF(m.small[:0], sequence+m.reader.shift, status|m.request.otherColumns))
	m.reader.shift++
}

// completed goes on after a packet that decided nothing.
func (x *exchange) completed() error {
	m := x.m
	r := &m.reader
	if r.continued {
		return nil
	}
	if r.stage != stageParams && r.stage != stageColumns {
		m.request.rows++ // if it is one
		return nil
	}
	if r.left--; r.left > 0 {
		return nil
	}
	prepare := m.queue.head().shape == shapePrepare
	if !prepare {
		r.stage, r.eof = stageRows, m.endsColumns()
		return nil
	}
	if m.endsColumns() && x.forwards() {
		x.endColumns(r.sequence, m.session.status)
	}
	if r.stage == stageParams && r.columns > 0 {
		r.stage, r.left = stageColumns, r.columns
		return nil
	}
	return x.over(nil)
}

// decide deals with a whole packet that says how the answer goes on.
func (x *exchange) decide(p []byte) error {
	m := x.m
	payload := p[headerSize:]
	if len(payload) == 0 {
		if m.reader.stage == stageFirst && m.queue.head().shape == shapeText {
			return x.last(p)
		}
		return broken("an empty packet")
	}
	switch {
	case payload[0] == errHeader:
		return x.failed(p)
	case m.reader.stage == stageRows && payload[0] != eofHeader:
		return x.row(p)
	case m.reader.stage == stageRows:
		return x.ok(p)
	case m.reader.stage == stageParams:
		m.noteParameter(payload)
		p[3] += m.reader.shift
		x.pass(len(p))
		return x.completed()
	case m.reader.stage == stageColumns:
		m.noteColumn(payload)
		x.pass(len(p))
		return x.completed()
	}
	switch s := m.queue.head().shape; {
	case s == shapeText:
		return x.last(p)
	case s == shapePrepare:
		return x.prepared(p)
	case payload[0] == okHeader, s == shapeOne && payload[0] == eofHeader:
		return x.ok(p)
	case s == shapeOne:
		return broken("neither OK nor ERR")
	case payload[0] == fileHeader:
		return x.file(p)
	}
	return x.columns(p)
}

const (
	okHeader   = 0x00
	fileHeader = 0xfb
)

// last passes the only packet of an answer.
func (x *exchange) last(p []byte) error {
	p[3] += x.m.reader.shift
	x.pass(len(p))
	return x.over(nil)
}

// columns begins a result set.
func (x *exchange) columns(p []byte) error {
	r := &x.m.reader
	f := fields{rest: p[headerSize:]}
	r.left = f.integer()
	if f.bad || len(f.rest) > 0 || r.left == 0 {
		return broken("malformed column count")
	}
	r.stage = stageColumns
	if x.forwards() {
		x.m.noteColumns(r.left)
	}
	p[3] += r.shift
	x.pass(len(p))
	return nil
}

// preparedSize is how long the OK of COM_STMT_PREPARE is; without the count of warnings, which old servers leave out, it is shorter.
const (
	preparedSize    = 12
	preparedSizeOld = 10
)

// prepared reads the OK of COM_STMT_PREPARE: 0, statement id, columns, parameters, a filler, warnings.
func (x *exchange) prepared(p []byte) error {
	r := &x.m.reader
	if n := len(p) - headerSize; x.forwards() && n != preparedSize && n != preparedSizeOld {
		return x.ok(p) // MySQL 9.7 answers so where it may not prepare SET GLOBAL for the user, with or without what has changed: nothing is prepared
	}
	f := fields{rest: p[headerSize:]}
	header := f.uint8()
	id := f.uint32()
	columns, params := f.uint16(), f.uint16()
	f.uint8()
	var warnings uint16
	if len(f.rest) > 0 {
		warnings = f.uint16()
	}
	if f.bad || header != okHeader {
		return broken("malformed answer to COM_STMT_PREPARE")
	}
	x.m.noteCount(warnings > 0)
	if x.forwards() {
		x.m.request.warnings = warnings
		binary.LittleEndian.PutUint32(p[headerSize+1:], x.m.prepared(id, columns, int(params)))
	} else if x.m.queue.head().purpose == purposeRepeat {
		x.m.defines(nil)
		x.m.closeOnServer(id, x.w)
	} else {
		x.m.preparedAgain(id)
	}
	p[3] += r.shift
	x.pass(len(p))
	r.columns = uint64(columns)
	switch {
	case params > 0:
		r.stage, r.left = stageParams, uint64(params)
	case columns > 0:
		r.stage, r.left = stageColumns, uint64(columns)
	default:
		return x.over(nil)
	}
	return nil
}

// reads says whether the machine reads the row of the answer.
func (p purpose) reads() bool {
	switch p {
	case purposeRead, purposeUnseen, purposeLocks, purposeStored, purposeSettings, purposeCompare, purposeTracked, purposePlaced:
		return true
	}
	return false
}

// readsText says whether the row may be of any length. One that is too long is not read.
func (p purpose) readsText() bool {
	return p == purposeSettings || p == purposeCompare || p == purposeTracked || p == purposePlaced
}

// row reads the only row of a result that the machine asked for.
func (x *exchange) row(p []byte) error {
	m := x.m
	if len(p) > headerSize+maxInsertID && !m.queue.head().purpose.readsText() {
		return broken("malformed LAST_INSERT_ID()")
	}
	if m.queue.head().purpose == purposeLocks {
		m.locksRow(p[headerSize:])
	}
	m.state.scratch = append(m.state.scratch[:0], p[headerSize:]...)
	x.pass(len(p))
	return nil
}

// ok deals with an OK, or the OK that ends rows: it may be the end of the answer, or of one of several results.
func (x *exchange) ok(p []byte) error {
	m := x.m
	r := &m.reader
	var packet okPacket
	o := &packet // which nothing that is called copies
	if !o.parse(p[headerSize:]) {
		return broken("malformed OK packet")
	}
	m.noteCount(o.warnings > 0)
	if x.forwards() {
		if !m.observe(o) {
			return broken("malformed session state")
		}
		m.tellOtherColumns(p[headerSize:], o)
		if n, ok := m.recounted(); ok {
			o.warnings = n
			binary.LittleEndian.PutUint16(p[headerSize+o.statusAt+2:], n)
		}
		if r.eof && o.status&statusCursor == 0 {
			x.endColumns(p[3], o.status&^statusStateChanged)
		}
		r.eof = false
		m.request.affected = int64(o.affected)
		if r.stage == stageRows {
			m.request.affected = -1
		}
		x.m.cursor(o.status, x.w)
		p[3] += r.shift
		if m.session.owed != nil && p[headerSize] == okHeader && m.owes() {
			x.flush()
			x.w.ToClient(m.pay(p, o))
			x.drop(len(p))
			return x.okayed(o)
		}
		kept := m.convert(p, o)
		x.pass(kept)
		if kept < len(p) {
			x.flush()
			x.pos += len(p) - kept
			x.run = x.pos
		}
	} else {
		switch p := m.queue.head().purpose; {
		case p == purposeRestore && !m.aligned(o), p == purposeMeaning && !m.meant(o):
			return notRestored(errRestoredOtherwise)
		case p == purposeSchema && m.login == loginPending && !m.nameSchema(o):
			return broken("malformed session state")
		}
		x.pass(len(p))
	}
	return x.okayed(o)
}

// okayed goes on behind an OK.
func (x *exchange) okayed(o *okPacket) error {
	m := x.m
	if o.status&statusMoreResults != 0 && m.queue.head().shape == shapeResults {
		m.reader.stage = stageFirst
		if x.forwards() && m.request.results < math.MaxUint16 {
			m.request.results++
		}
		return nil
	}
	return x.over(nil)
}

// failed deals with an ERR, which ends every answer.
func (x *exchange) failed(p []byte) error {
	m := x.m
	err := parseERR(p[headerSize:])
	if readOnly(err.Number) {
		x.w.Observe(engine.WriteRefused)
	}
	if x.forwards() && m.reader.stage == stageFirst && !m.upload.active {
		switch {
		case m.prepareAgain(err, x.w):
			m.reader = startOf(shapePrepare, 1)
			x.drop(len(p))
			return nil
		case m.executeAgain(err, x.w):
			m.queue.pop()
			x.drop(len(p))
			return m.goAgain(x.w)
		}
	}
	m.noteCount(true)
	if x.forwards() {
		if m.reader.eof {
			x.endColumns(p[3], m.session.status)
		}
		m.request.failed, m.request.errno = true, err.Number
		p[3] += m.reader.shift
	}
	x.pass(len(p))
	return x.over(err)
}

// over ends the answer at the head of the queue.
func (x *exchange) over(err *engine.ServerError) error {
	m := x.m
	x.flush()
	a := m.queue.head()
	m.queue.pop()
	m.reader = reader{}
	if m.queue.count > 0 {
		m.reader = startOf(m.queue.head().shape, 1)
	}
	if a.purpose == purposeForward {
		m.finish(x.w)
		return nil
	}
	if err := m.swallowed(a.purpose, err, x.w); err != nil {
		return err
	}
	if m.statements.again != nil && m.queue.count == 0 && !m.closed {
		return m.goAgain(x.w)
	}
	return nil
}
