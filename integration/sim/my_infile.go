package sim

import (
	"fmt"
)

// LOAD DATA LOCAL INFILE, on both sides (section "LOCAL INFILE Request"): the server asks the client for a file, and the client sends it in
// packets, of which the last is empty. One that has none sends only that.

// fileOf is the name of the file that a request is about.
func fileOf(tag string) string { return "file of " + tag }

// sendsFile answers the server's question for a file, whose packets begin with the one that next counts.
func (c *client) sendsFile(q request, name string, next *uint8) error {
	w := c.r.w
	if q.verb != "file" || name != fileOf(q.tag) {
		return fmt.Errorf("the server asks for %q", name)
	}
	w.log("client %d is asked for %s", c.number, name)
	var out []byte
	if left := q.body; !w.chance(8) {
		for len(left) > 0 {
			n := min(len(left), w.between(1, 64<<10))
			out = packet(out, next, left[:n])
			left = left[n:]
		}
	}
	out = packet(out, next)
	if w.chance(c.r.config.leave) {
		_ = c.send(c.conn, out[:w.between(0, len(out)-1)])
		w.log("client %d leaves in a file", c.number)
		return errGone
	}
	if c.send(c.conn, out) != nil {
		return c.excuse(errGone)
	}
	return nil
}

// file asks for the file of a request, and reads it.
func (s *mySession) file(q *request) error {
	s.out = packet(s.out, &s.sequence, []byte{0xfb}, []byte(fileOf(q.tag)))
	if _, err := s.conn.Write(s.out); err != nil {
		return err
	}
	s.out = s.out[:0]
	for {
		sequence, payload, err := s.r.packet()
		if err != nil {
			return err
		}
		if sequence != s.sequence {
			s.server.w.fail("connection %d: packet %d of a file, not %d", s.id, sequence, s.sequence)
			return errGone
		}
		s.sequence++
		if len(payload) == 0 {
			return nil
		}
		q.body = append(q.body, payload...)
	}
}
