package postgres

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// SQL may name what a client has prepared by the protocol: EXECUTE and DEALLOCATE find it, PREPARE finds the name taken. The backend
// gets such a statement under the client's own name just before; all others stay shared (named.go). Once SQL may have prepared
// something, or executes something, the session is pinned, and names that are not mapped are the backend's own: direct.
//
// What is only deallocated, or only in the way, is stood in for by a statement that the server always takes, in a transaction that
// failed, too, and whether or not the tables are still there of what the client has prepared. When the text is over, and the
// transaction in which its portal may be executed yet, a stand-in that is left is closed again, whatever has become of the client's name.

// standIn is what follows the name in the Parse of that: an empty text. Nobody executes it by mistake: it wants a value of the type
// "internal" (8.21), which there is not.
var standIn = []byte{0, 0, 1, 0, 0, oidInternal >> 8, oidInternal & 0xff}

const oidInternal = 2281 // pg_type.dat

// reference is where a text names a prepared statement.
type reference struct {
	name   string // "" if it is written with escapes, or is one that the server cuts; sharedPrefix if it may be one of the proxy's
	use    referenceUse
	stands bool // the backend has a stand-in under the name
}

type referenceUse uint8

const (
	usePrepares referenceUse = iota
	useExecutes
	useDeallocates
)

// references reads which statements a text names, in the order in which they come. It may find some where there are none.
func references(text []byte, lex lexing) (all []reference) {
	s := scanner{text: text, lex: lex}
	first := true
	for s.next(); s.kind != tokenEnd && s.kind != tokenBroken; s.next() {
		use, found := referenceUse(0), true
		switch {
		case first && s.is("do"): // nobody can tell which
			if found = false; mentionsPreparing(text) {
				r := reference{use: useExecutes}
				if bytes.Contains(text, []byte(sharedPrefix)) {
					r.name = sharedPrefix
				}
				all = append(all, r)
			}
		case first && s.is("prepare"):
			use = usePrepares
		case first && s.is("deallocate"):
			use = useDeallocates
			found = !s.deallocatesAll()
		default: // EXPLAIN and CREATE TABLE may have an EXECUTE, too
			use, found = useExecutes, s.is("execute")
		}
		if found {
			s.space()
			begin := s.at
			s.next()
			if s.kind == tokenWord || s.kind == tokenQuoted {
				r := reference{name: string(s.word()), use: use}
				if r.name == "" && mayBeReserved(text[begin:s.at]) {
					r.name = sharedPrefix
				}
				all = append(all, r)
			}
		}
		first = s.kind == ';'
	}
	return all
}

// mayBeReserved says whether a name may be one of the proxy's that is written with escapes (4.1.2.3). Where UESCAPE follows, which says by which
// character they are, that is taken for granted.
func mayBeReserved(written []byte) bool {
	if len(written) < 3 || written[0]|0x20 != 'u' || string(written[1:3]) != `&"` {
		return false
	}
	name := written[3:]
	if end := bytes.LastIndexByte(name, '"'); end < 0 || len(name) > end+1 {
		return true
	}
	for _, want := range sharedPrefix {
		digits := 0
		switch {
		case bytes.HasPrefix(name, []byte(`\+`)):
			name, digits = name[2:], 6
		case bytes.HasPrefix(name, []byte(`\`)):
			name, digits = name[1:], 4
		case len(name) > 0 && rune(name[0]) == want:
			name = name[1:]
			continue
		}
		code, err := strconv.ParseUint(string(name[:min(digits, len(name))]), 16, 32)
		if err != nil || rune(code) != want {
			return false
		}
		name = name[digits:]
	}
	return true
}

// deallocatesAll reads on behind DEALLOCATE, up to the name: [ PREPARE ] { name | ALL }, where PREPARE may be the name itself.
func (s *scanner) deallocatesAll() bool {
	ahead := *s
	if ahead.next(); ahead.is("prepare") {
		behind := ahead
		if k := behind.next(); k == tokenWord || k == tokenQuoted {
			*s, ahead = ahead, behind
		}
	}
	return ahead.is("all")
}

// named returns what a text, nil if it is not known, does first to each of the session's statements that it names.
func (n *named) named(text []byte, refs []reference) map[string]referenceUse {
	found := make(map[string]referenceUse)
	if text == nil || slices.ContainsFunc(refs, func(r reference) bool { return r.name == "" }) {
		for name := range n.byName {
			if !reserved([]byte(name)) {
				found[name] = useExecutes
			}
		}
		return found
	}
	for _, r := range refs {
		if _, again := found[r.name]; !again && n.byName[r.name] != nil && !reserved([]byte(r.name)) {
			found[r.name] = r.use
		}
	}
	return found
}

// goDirect gives the backend those of the session's statements, under the session's own names, that SQL refers to which is about to
// be executed: text, or, if that is nil, nobody knows what. later says that it is a portal that the client executes when it likes. It
// returns false if that has to wait for answers.
func (m *machine) goDirect(v verdict, text []byte, later bool, f *feed, w engine.Wire) bool {
	n := &m.named
	pins := v.kinds.has(engine.KindPreparedStatement)
	if !m.hasNames() && (n.direct || !pins) {
		return true
	}
	if m.unsettled(f, w) {
		return false
	}
	refs := references(text, m.lexing)
	named := n.named(text, refs)
	if len(named) == 0 && len(n.standIns) == 0 {
		n.direct = n.direct || pins
		return true
	}
	if !m.queue.empty() && m.waitNamed(f, w) { // after an error the server would skip what it is given here
		return false
	}
	m.flush(f, w)
	m.dropStandIns(w)
	failed := m.lend.tx == 'E' && !(m.reading.batch && m.lend.flight.decides) // and nothing can be prepared
	apart := !m.reading.batch && m.lend.tx == 'I'                             // an error is the end of nothing
	within := !m.reading.batch && m.lend.tx == 'T'                            // it would be the end of the transaction
	moved, stands := false, false
	for name, use := range named {
		s := n.byName[name]
		if use != useExecutes && !later {
			m.sendDirect(name, standIn, w)
			stands = true
			continue
		}
		switch {
		case use != useExecutes && !apart:
			m.sendDirect(name, standIn, w)
		case failed:
			continue // what refers to it fails, too
		case use == useExecutes:
			m.moveDirect(name, s, within, w)
		default:
			m.parseDirect(name, s, answerOwn|answerSwallow, w)
			m.sendDirect(name, standIn, w) // refused, because the name is taken, if the statement could be prepared
		}
		m.directSets = m.directSets || s.verdict.changesSettings()
		n.set(name, nil)
		moved = true
	}
	if stands {
		n.standIns, n.brought = refs, true
		for i := range refs {
			if use, first := named[refs[i].name]; first && use != useExecutes {
				refs[i].stands = true
				delete(named, refs[i].name)
			}
		}
	}
	if !pins && moved {
		m.hold(engine.KindPreparedStatement, nil, w)
	}
	n.direct = n.direct || pins || moved
	return true
}

// reservedName returns what refuses a text that names a statement as only the proxy does, nil if it does not: it would reach what the
// backend has for others.
func (m *machine) reservedName(v verdict, text []byte) (answer []byte) {
	if !v.names && !v.kinds.has(engine.KindUnknown) || !bytes.Contains(text, []byte(sharedPrefix)) && !bytes.Contains(text, []byte(`&"`)) {
		return nil
	}
	for _, r := range references(text, m.lexing) {
		switch {
		case !reserved([]byte(r.name)):
		case r.use == usePrepares:
			return alreadyExists(r.name)
		default:
			return doesNotExist(r.name)
		}
	}
	return nil
}

func doesNotExist(name string) []byte {
	return appendError(nil, severityError, "26000", `prepared statement "`+name+`" does not exist`)
}

func alreadyExists(name string) []byte {
	return appendError(nil, severityError, "42P05", `prepared statement "`+name+`" already exists`)
}

// executesOwn says that a text which is to be prepared executes some of the session's statements, and names no others: the server looks
// for those when it is given the text, and has no columns to describe if they are not there (plancache.c, PlanCacheComputeResultDesc).
func (m *machine) executesOwn(v verdict, text []byte) bool {
	if !v.names || len(m.named.byName) == 0 {
		return false
	}
	refs := references(text, m.lexing)
	return len(refs) > 0 && !slices.ContainsFunc(refs, func(r reference) bool { return r.use != useExecutes || m.named.byName[r.name] == nil })
}

// sendDirect sends a Parse under a client's name, and swallows what becomes of it.
func (m *machine) sendDirect(name string, rest []byte, w engine.Wire) {
	w.ToBackend(parseMessage(append([]byte(name), 0), rest))
	m.push(answerOwn | answerSwallow)
	m.syncOwn(w)
}

// syncOwn ends what the machine has sent of its own. In a batch of the client's it would end the implicit transaction.
func (m *machine) syncOwn(w engine.Wire) {
	if !m.reading.batch {
		w.ToBackend(syncMessage)
		m.push(answerSync | answerSwallow)
	}
}

// moveDirect gives the backend s under the client's name. If the server does not take it any more, because a table is gone, the name
// stays what it was. within says that a transaction is open, which goes on then: the client's text may end it before it comes to s.
func (m *machine) moveDirect(name string, s *namedStatement, within bool, w engine.Wire) {
	if within {
		m.sendOwn("SAVEPOINT "+ownSavepoint, w)
		m.syncOwn(w)
	}
	m.named.op(namedOp{name: name, changes: true, before: s})
	m.parseDirect(name, s, answerOwn|answerNamed|answerSwallow, w)
	if within {
		m.sendOwn("ROLLBACK TO "+ownSavepoint, w) // statements are none of the transaction's
		m.sendOwn("RELEASE "+ownSavepoint, w)
		m.syncOwn(w)
	}
}

// parseDirect sends a Parse of s under the client's name, with the settings that its text is read by.
func (m *machine) parseDirect(name string, s *namedStatement, owed expected, w engine.Wire) {
	a := m.parsesAs(s.shared.reading, s.times, s.shared.dated)
	m.beginCalendar(a, w)
	w.ToBackend(parseMessage(append([]byte(name), 0), s.shared.rest()))
	m.push(owed)
	m.endCalendar(a, w)
	m.syncOwn(w)
}

// ownSavepoint is a name that no client uses for its own.
const ownSavepoint = `"` + sharedPrefix + `savepoint"`

// refusedStatement is a statement of the session's that the server did not take under the client's name, and why.
type refusedStatement struct {
	name   string
	answer []byte // the body of the ErrorResponse
}

// refusedDirect notes an error in the answer to what moveDirect sent.
func (n *named) refusedDirect(body []byte) {
	n.refused = append(n.refused, refusedStatement{n.ops[n.head].name, bytes.Clone(body)})
}

// refusal is what the server would have said, had it the statement, in place of an error with this body; nil if that is another.
func (n *named) refusal(body []byte) []byte {
	if errorCode(body) != "26000" {
		return nil
	}
	message := errorField(body, 'M')
	for _, r := range n.refused {
		if strings.Contains(message, r.name) {
			return endMessage(append([]byte{'E', 0, 0, 0, 0}, r.answer...), 0)
		}
	}
	return nil
}

// stoodFor says that what is answered executes the text of the stand-ins.
func (n *named) stoodFor(a expected) bool {
	if a.kind() == answerQuery {
		return a&answerStands != 0
	}
	return n.standing && a&answerPortal != 0
}

// deallocated notes that the server has deallocated the statement that the text names next.
func (m *machine) deallocated() {
	n := &m.named
	for i, r := range n.standIns {
		if r.use == useDeallocates {
			n.set(r.name, nil)
			n.standIns = n.standIns[i+1:]
			return
		}
	}
}

// dropStandIns closes those that nobody has deallocated, and says whether there are some. Everything that was sent is answered.
func (m *machine) dropStandIns(w engine.Wire) (waits bool) {
	n := &m.named
	for _, r := range n.standIns {
		if r.stands {
			w.ToBackend(statementMessage('C', append([]byte(r.name), 0)))
			m.push(answerClose | answerSwallow)
			waits = true
		}
	}
	n.standIns, n.brought, n.standing, n.refused = nil, false, false, nil
	if waits {
		m.syncOwn(w)
	}
	return waits
}
