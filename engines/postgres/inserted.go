package postgres

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/berthdb/berth/core/engine"
)

// Behind a RESET of the application's name, what else a simple Query has finds the name that the client began with. What RESET goes back to
// is the connection's, and connections are shared by applications. So a SET is put into the text behind each such RESET that other
// statements follow, where it is part of the same transaction, and is rolled back with the RESET. The client gets no answer to it, and
// positions in its own text. Behind the last statement the name is given again by a request of the machine's own (rename).

// maxInserted bounds how much longer a text may get.
const maxInserted = 16

// inserted is what was put into a Query that is sent and not answered in full.
type inserted struct {
	text      []byte // with what was put in, until it is sent
	length    int    // in bytes, of each SET
	at        []int  // where they begin, in characters of the text that the server has
	commands  []int  // how many commands are completed before each
	completed int    // of all commands
}

// behindResets returns how long text is up to the end of each statement, with its semicolon, that resets the application's name and that
// another one follows which does not set it, and how many statements that are. There are none where that cannot be told.
func behindResets(text []byte, lex lexing) (ends, statements []int) {
	s := scanner{text: text, lex: lex}
	for n := 1; ; n++ {
		for s.next() == ';' {
		}
		sets, resets := s.setsName()
		if last := len(ends) - 1; last >= 0 && statements[last] == n-1 && (sets || resets || s.kind == tokenEnd) {
			ends, statements = ends[:last], statements[:last]
		}
		for depth := 0; s.kind != tokenEnd && (s.kind != ';' || depth > 0); s.next() {
			switch {
			case s.kind == '(', s.kind == '[':
				depth++
			case s.kind == ')', s.kind == ']':
				depth--
			case s.kind == tokenBroken, s.is("atomic"): // which semicolons may follow that end no statement
				return nil, nil
			}
		}
		if s.kind == tokenEnd {
			return ends, statements
		}
		if resets {
			ends, statements = append(ends, s.at), append(statements, n)
		}
	}
}

// setsName says whether a statement, of which the first word is read, sets the application's name for longer than a transaction, or resets it.
func (s *scanner) setsName() (sets, resets bool) {
	ahead := *s
	if s.is("reset") {
		if ahead.follow("all") {
			return false, true
		}
		name, _ := settingName(&ahead)
		return false, name == applicationName
	}
	if !s.is("set") {
		return false, false
	}
	if ahead.follow("session") {
		ahead.next()
	}
	name, _ := settingName(&ahead)
	if name != applicationName || ahead.kind != '=' && !ahead.is("to") {
		return false, false
	}
	resets = ahead.follow("default")
	return !resets, resets
}

// insert returns what has to be put into text, that of a Query with v, to set the application's name again behind what resets it.
// It is nil if nothing has to be.
func (m *machine) insert(v verdict, text []byte) *inserted {
	if !m.session.named || !v.changesSettings() || m.lexing.hides(text) || bytes.IndexByte(text, ';') < 0 {
		return nil
	}
	ends, statements := behindResets(text, m.lexing)
	if len(ends) == 0 || len(ends) > maxInserted || m.session.application == m.pristineName() {
		return nil
	}
	if _, own := m.state.base.lookup(applicationName); own {
		return nil
	}
	sql, ok := settingSQL(applicationName, m.session.application)
	encoding, _ := lookup(m.seen, "client_encoding")
	foreign := func(r rune) bool { return r >= 0x80 }
	if !ok || encoding != "UTF8" && bytes.ContainsFunc(text, foreign) {
		return nil
	}
	sql += ";"
	put := &inserted{length: len(sql)}
	from := 0
	for i, end := range ends {
		put.text = append(put.text, text[from:end]...)
		put.at, put.commands = append(put.at, utf8.RuneCount(put.text)), append(put.commands, statements[i]+i)
		put.text, from = append(put.text, sql...), end
	}
	put.text = append(put.text, text[from:]...)
	return put
}

// sendInserted sends the Query at f.at with what is put into it, as far as it was not sent before (parts.go).
func (m *machine) sendInserted(fr frame, put *inserted, f *feed, w engine.Wire) {
	m.flush(f, w)
	part := int(m.lend.part)
	m.lend.part = 0
	for i := range put.at {
		put.at[i] += part
	}
	message := append([]byte{'Q', 0, 0, 0, 0}, bytes.Repeat([]byte{' '}, part)...)
	w.ToBackend(endMessage(append(append(message, put.text...), 0), 0))
	put.text = nil
	m.begin(fr, f, true, w)
}

// complete counts a command, and says whether it is one that was put in.
func (i *inserted) complete() (ours bool) {
	for _, n := range i.commands {
		ours = ours || n == i.completed
	}
	i.completed++
	return ours
}

// position returns a position in the client's text, from 1, for one in the text that the server has.
func (i *inserted) position(server int) (client int) {
	client = server
	for _, at := range i.at {
		if server > at+i.length {
			client -= i.length
		}
	}
	return client
}

// repositioned returns the ErrorResponse or NoticeResponse that the client gets in place of one, nil if it gets that one. The field P
// (54.8) is about the text of the Query.
func (i *inserted) repositioned(kind byte, body []byte) []byte {
	server, err := strconv.Atoi(errorField(body, 'P'))
	if err != nil || i.position(server) == server {
		return nil
	}
	out := []byte{kind, 0, 0, 0, 0}
	for len(body) > 1 && body[0] != 0 {
		value, rest, ok := cutString(body[1:])
		if !ok {
			return nil
		}
		if out = append(out, body[0]); body[0] == 'P' {
			out = strconv.AppendInt(out, int64(i.position(server)), 10)
		} else {
			out = append(out, value...)
		}
		out, body = append(out, 0), rest
	}
	return endMessage(append(out, 0), 0)
}
