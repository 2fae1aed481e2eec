package postgres

import (
	"bytes"

	"github.com/jackc/pgproto3/v2"

	"github.com/berthdb/berth/core/engine"
)

// Pools of drivers send DISCARD ALL and the like whenever a connection comes back to them. Where the session has no backend there is
// nothing on one to be reset, and the answer is known: it costs no borrow and no round trip.

// maxLocal is how long a request may be that is answered without a backend.
const maxLocal = 512

// localReset is what a request resets, and the answer to it.
type localReset struct {
	out        []byte // without what follows the last command
	all        bool   // DISCARD ALL
	settings   bool   // RESET ALL
	identity   bool   // who executes
	statements bool   // those with names
	sequences  bool   // their values
}

// oidVoid is the type that pg_advisory_unlock_all returns (pg_type.dat).
const oidVoid = 2278

// read reads text, which must be nothing but commands that reset what a backend holds.
func (r *localReset) read(text []byte, lex lexing) bool {
	s := scanner{text: text, lex: lex}
	n := 0
	for s.next(); s.kind != tokenEnd; s.next() {
		if s.kind == ';' {
			continue
		}
		if !r.command(&s) || s.kind != ';' && s.kind != tokenEnd {
			return false
		}
		if n++; s.kind == tokenEnd {
			break
		}
	}
	return n == 1 || n > 1 && !r.all // which the server refuses beside others
}

// command reads one command, and moves behind it.
func (r *localReset) command(s *scanner) bool {
	tag := ""
	switch {
	case s.is("discard"):
		s.next()
		switch {
		case s.is("all"):
			tag, r.all = "DISCARD ALL", true
		case s.is("plans"):
			tag = "DISCARD PLANS"
		case s.is("sequences"):
			tag, r.sequences = "DISCARD SEQUENCES", true
		case s.is("temp"), s.is("temporary"):
			tag = "DISCARD TEMP"
		}
	case s.is("reset"):
		s.next()
		switch {
		case s.is("all"):
			tag, r.settings = "RESET", true
		case s.is("session") && s.follow("authorization"):
			tag, r.identity = "RESET", true
		}
	case s.is("set"):
		if s.follow("session") && s.follow("authorization") && s.follow("default") {
			tag, r.identity = "SET", true
		}
	case s.is("close"):
		if s.follow("all") {
			tag = "CLOSE CURSOR ALL"
		}
	case s.is("unlisten"):
		if s.next() == '*' {
			tag = "UNLISTEN"
		}
	case s.is("deallocate"):
		if s.next(); s.is("prepare") {
			s.next()
		}
		if s.is("all") {
			tag, r.statements = "DEALLOCATE ALL", true
		}
	case s.is("select"):
		s.next()
		if s.is("pg_catalog") && s.next() == '.' {
			s.next()
		}
		if s.is("pg_advisory_unlock_all") && s.next() == '(' && s.next() == ')' {
			tag = "SELECT 1"
			r.out = appendMessage(r.out, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
				{Name: []byte("pg_advisory_unlock_all"), DataTypeOID: oidVoid, DataTypeSize: 4, TypeModifier: -1},
			}})
			r.out = appendMessage(r.out, &pgproto3.DataRow{Values: [][]byte{{}}})
		}
	}
	if tag == "" {
		return false
	}
	r.out = appendMessage(r.out, &pgproto3.CommandComplete{CommandTag: []byte(tag)})
	s.next()
	return true
}

// follow reads the next token, and says whether it is the word w.
func (s *scanner) follow(w string) bool {
	s.next()
	return s.is(w)
}

// resetLocally answers a simple Query, whose text is that, if it only resets what the session has not got anywhere but here. The session
// has no backend.
func (m *machine) resetLocally(fr frame, f *feed, w engine.Wire) bool {
	if m.backend != nil || m.lost.tx == 'E' || m.reading.batch || fr.kind != 'Q' || fr.size > maxLocal || !whole(fr, f) || m.base.is != nil {
		return false
	}
	text := body(fr, f)
	n := len(text) - 1
	var r localReset
	if n < 0 || bytes.IndexByte(text, 0) != n || !r.read(text[:n], m.lexing) {
		return false
	}
	params, ok := m.e.parameters(m.session.key)
	has := m.settings
	if !m.set {
		has = m.own(nil)
	}
	if !ok || (r.settings || r.identity) && has != nil && has.identity {
		return false
	}
	if r.settings || r.identity {
		e := engine.Event{Kind: engine.KindSetting, Restorable: true, Rule: "RESET", Statement: text[:n], Number: m.number + 1}
		if m.tell(e, w) == engine.Pin {
			return false
		}
	}
	m.number++
	m.began(w)
	m.forgetUnnamed() // a simple Query ends it (54.2.3)
	m.named.batch++
	if r.all || r.statements {
		m.named.byName, m.named.bytes = nil, 0
	}
	out := r.out
	if r.all || r.sequences {
		m.values = values{} // a backend that has some has none of the session's
	}
	if r.all || r.settings {
		m.settings, m.set = nil, false
		m.nameless, m.roles = m.nameless && !r.all, m.roles && !r.all
		params = m.withApplication(params)
		for _, p := range params {
			if value, ok := lookup(m.seen, p.name); !ok || value != p.value {
				out = appendParameter(out, p)
			}
		}
		m.see(params)
	}
	w.ToClient(appendReady(out))
	w.Observe(engine.RequestEnded)
	m.flush(f, w)
	f.at += fr.size
	f.run = f.at
	return true
}
