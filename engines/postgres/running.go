package postgres

import "bytes"

// maxRunning is how much of a statement is kept for people who ask what is under way.
const maxRunning = 1 << 10

// running is the text of what is under way. Sessions that do not keep it have none.
type running struct {
	text    []byte // the beginning of it
	several bool   // others were sent before it was answered: nobody can say which is under way
}

// keep notes a statement that is being sent. first says that everything before it is answered.
func (r *running) keep(text []byte, first bool) {
	text = text[:min(len(text), maxRunning)]
	if first {
		r.text, r.several = append(r.text[:0], text...), false
		return
	}
	r.several = r.several || !bytes.Equal(r.text, text)
}

// Running implements engine.Teller.
func (m *machine) Running() []byte {
	if m.running == nil || m.running.several || m.queue.empty() {
		return nil
	}
	return m.running.text
}
