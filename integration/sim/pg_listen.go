package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PostgreSQL's LISTEN, NOTIFY and UNLISTEN, on both sides.

// channels begins the names of channels.
const channels = "l_"

// notify is a message to somebody who listens, if anybody does.
func (c *client) notify() request {
	clients := c.r.clients
	first := c.r.w.rng.IntN(len(clients))
	for i := range clients {
		for _, name := range sorted(clients[(first+i)%len(clients)].locks) {
			if strings.HasPrefix(name, channels) {
				return c.request("notify", name)
			}
		}
	}
	return c.request("left")
}

// hears judges a notification: it must be of a channel that this session has listened to, new, and by whom it says.
func (c *client) hears(n note) error {
	mine := fmt.Sprintf("c%d.%d.", c.number, c.session)
	switch {
	case !strings.HasPrefix(n.channel, channels+strings.ReplaceAll(mine, ".", "_")):
		return fmt.Errorf("a notification of %s, of another session", n.channel)
	case slices.Contains(c.heard[n.channel], n.payload):
		return fmt.Errorf("the notification %q of %s comes again", n.payload, n.channel)
	case strings.HasPrefix(n.payload, mine) != (n.from == c.id):
		return fmt.Errorf("the notification %q says that it is of %d", n.payload, n.from)
	}
	c.r.w.log("client %d hears %q of %s", c.number, n.payload, n.channel)
	c.heard[n.channel] = append(c.heard[n.channel], n.payload)
	return nil
}

// note is a notification.
type note struct {
	from             uint32 // the sender's process id
	channel, payload string // the payload is the tag of the request
}

// listener is a connection of the model of PostgreSQL that listens.
type listener struct {
	waiting []note         // until it is idle
	told    map[string]int // of each channel
}

// listen begins to listen, at once.
func (s *pgSession) listen(channel string) {
	s.told[channel] = 0
	s.connectionState.db.listening[channel] = s.hear
}

// unlisten returns how much was told of the channel.
func (s *pgSession) unlisten(channel string) (told int) {
	told = s.told[channel]
	delete(s.told, channel)
	delete(s.connectionState.db.listening, channel)
	s.waiting = slices.DeleteFunc(s.waiting, func(n note) bool { return n.channel == channel })
	return told
}

// deaf ends all of it.
func (s *pgSession) deaf() {
	for _, channel := range slices.Sorted(maps.Keys(s.told)) {
		s.unlisten(channel)
	}
}

// hear tells a connection that awaits a request, and any other before its next ReadyForQuery (PostgreSQL, NOTIFY).
func (s *pgSession) hear(n note) {
	s.waiting = append(s.waiting, n)
	if s.idle && !s.open && len(s.waiting) == 1 && s.conn.takes(len(n.message())) {
		s.conn.blurt(s.heard())
	}
}

// heard returns what was waiting.
func (s *pgSession) heard() (out []byte) {
	for _, n := range s.waiting {
		s.told[n.channel]++
		out = append(out, n.message()...)
	}
	s.waiting = nil
	return out
}

func noteOf(body []byte) note {
	channel, payload, _ := strings.Cut(string(body[4:]), "\x00")
	return note{binary.BigEndian.Uint32(body), channel, strings.TrimSuffix(payload, "\x00")}
}

func (n note) message() []byte {
	return message(nil, 'A', binary.BigEndian.AppendUint32(nil, n.from), text(n.channel), text(n.payload))
}
