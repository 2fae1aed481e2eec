package mysql

import (
	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// upload is a request of the client that is too long to be held: it passes in the pieces in which it comes.
type upload struct {
	active    bool
	continued bool // another packet of the same request follows
	discard   bool // nothing of it reaches a backend
	left      int  // of the packet under way
	lexer     *lexer
}

// streamOn makes what is missing of p follow.
func (m *Machine) streamOn(p packet) {
	if p.whole() {
		return
	}
	u := &m.upload
	u.active, u.discard = true, false
	u.left = p.size - len(p.bytes)
	u.continued = p.size == headerSize+maxPayload
}

// continueUpload passes the next piece of a long request on.
func (m *Machine) continueUpload(in []byte, w engine.Wire) (int, error) {
	u := &m.upload
	if u.left == 0 && u.continued {
		if len(in) < headerSize {
			return 0, nil
		}
		n, sequence := packetHeader(in)
		if sequence != m.request.sequence+1 {
			return 0, m.violation(sequence+1, errOutOfOrder, w)
		}
		m.request.sequence = sequence
		u.left, u.continued = n, n == maxPayload
		if n == 0 {
			return headerSize, m.endUpload(in[:headerSize], w)
		}
		m.pass(in[:headerSize], w)
		return headerSize, nil
	}
	n := min(u.left, len(in))
	u.left -= n
	if u.lexer != nil && !u.discard {
		u.lexer.feed(in[:n])
	}
	if u.left > 0 || u.continued {
		m.pass(in[:n], w)
		return n, nil
	}
	return n, m.endUpload(in[:n], w)
}

func (m *Machine) pass(p []byte, w engine.Wire) {
	if !m.upload.discard {
		w.ToBackend(p)
	}
}

// endUpload passes the last piece on, unless the statement turns out to be one that must not be executed.
func (m *Machine) endUpload(piece []byte, w engine.Wire) error {
	u := m.upload
	m.upload = upload{}
	if u.discard {
		err := m.refusal
		m.refusal, m.request.active = nil, false
		if answered(m.request.command) {
			m.noteRefused(err)
			w.ToClient(m.e.render(nil, m.request.sequence+1, m.info.capabilities, err))
		}
		w.Observe(engine.RequestEnded)
		if m.b != nil && answered(m.request.command) && m.previous.list.gone {
			m.endResult(w)
		}
		m.settle(w)
		return nil
	}
	if u.lexer != nil {
		c := u.lexer.finish()
		never := classKill | classKillOther
		if m.request.command == protocol.COM_QUERY { // what is prepared asks when it is executed
			never |= m.writtenElsewhere()
			if m.foreign() {
				never |= classPrevious | classDiagnostics
			}
		}
		if c.flags&never != 0 {
			w.Discard(errLongStatement)
			m.forget()
			w.ToClient(m.e.render(nil, m.request.sequence+1, m.info.capabilities, errLongStatement))
			m.close(errLongStatement, w)
			return nil
		}
		if s := m.statements.preparing; s != nil {
			s.class = c
			m.runs(c)
		} else {
			m.request.class = c
			m.executes(c)
		}
	}
	w.ToBackend(piece)
	switch {
	case m.queue.count > 0 && m.reader.stage == stageFirst && m.reader.sequence == 1:
		m.reader.sequence = m.request.sequence + 1
	case m.queue.count == 0 && answered(m.request.command):
		return errEarly // the answer came before the end
	case m.queue.count == 0:
		m.settle(w)
	}
	return nil
}
