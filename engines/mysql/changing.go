package mysql

import (
	"context"

	"github.com/berthdb/berth/core/engine"
)

// change is a COM_CHANGE_USER under way. It is a login of its own and never reaches a backend.
type change struct {
	user     *userChange
	sequence uint8 // of the client's last packet
	asking   bool  // it is not known yet what the user must prove: the client's next packet waits
}

// changeUser begins a COM_CHANGE_USER. Who knows what the user must prove may be slow, so that it is asked off the loop.
func (m *Machine) changeUser(p packet, w engine.Wire) (int, error) {
	u, err := m.e.changeUser(&m.info, p.body())
	if err != nil {
		m.info.sequence = 1
		m.fail(err, w)
		return len(p.bytes), nil
	}
	m.change = &change{user: u, asking: true}
	w.Observe(engine.RequestBegan)
	e, user, server := m.e, u.request.user, u.server
	w.Aside(func(ctx context.Context) func(engine.Wire) {
		l := e.lookUp(ctx, user, server)
		return func(w engine.Wire) { m.userFound(l, w) }
	})
	return len(p.bytes), nil
}

// userFound goes on with a COM_CHANGE_USER.
func (m *Machine) userFound(l lookedUp, w engine.Wire) {
	c := m.change
	if m.closed || c == nil {
		return
	}
	c.asking = false
	if l.err != nil {
		m.change = nil
		m.info.sequence = c.sequence + 1
		m.fail(l.err, w)
		return
	}
	reply, v := c.user.first(l)
	m.changed(reply, v, w)
}

// continueChange reads the next packet of the login.
func (m *Machine) continueChange(in []byte, w engine.Wire) (int, error) {
	if len(in) < headerSize {
		return 0, nil
	}
	n, sequence := packetHeader(in)
	switch {
	case sequence != m.change.sequence+1:
		return 0, m.violation(sequence+1, errOutOfOrder, w)
	case headerSize+n > maxWhole:
		return 0, m.violation(sequence+1, errMalformed, w)
	case len(in) < headerSize+n:
		return 0, nil
	}
	m.change.sequence = sequence
	reply, v := m.change.user.next(in[headerSize : headerSize+n])
	m.changed(reply, v, w)
	return headerSize + n, nil
}

// changed sends the reply, if any, and ends the change if v says so.
func (m *Machine) changed(reply []byte, v verdict, w engine.Wire) {
	c := m.change
	if reply != nil {
		c.sequence++
		w.ToClient(append(appendHeader(nil, len(reply), c.sequence), reply...))
	}
	switch v {
	case verdictAccepted:
		m.change = nil
		now := c.user.session()
		if err := w.Become(now.key.User, now.database, now.application); err != nil {
			m.info.sequence = c.sequence + 1
			m.fail(err, w)
			return
		}
		m.replace(now, c.sequence+1, w)
	case verdictDenied:
		m.change = nil
		m.info.sequence = c.sequence + 1
		m.fail(c.user.denied(), w)
	}
}

// replace makes the session another user's. What the old one left goes with its backend.
func (m *Machine) replace(s sessionInfo, sequence uint8, w engine.Wire) {
	if m.b != nil {
		w.Discard(nil)
		m.forget()
	}
	w.Report(engine.Event{Kind: engine.KindReset})
	w.Observe(engine.RequestEnded)
	s.sequence = sequence
	m.become(s)
	m.previous.foundKnown = false // servers keep it
	m.Start(w)
}
