package postgres

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berthdb/berth/core/engine"
)

// What a statement does to the session is not only in its text: functions are executed by triggers, views, rules, defaults,
// domains, casts and operators as well. So the server is asked whether a database has code that could leave state in a
// session (unseen_query.go). Where it has, sessions that executed anything ask what is left, and clean their backend, before
// they give it back (verify.go).

// suspicion is what the server said of a database's code.
type suspicion uint32

const (
	suspicionNone  suspicion = iota // nothing in it touches the session
	suspicionReset                  // something does; DISCARD ALL undoes it
	suspicionPin                    // something does what no command undoes
	// suspicionStale is a verdict that is too old, or none yet. While somebody asks, nobody trusts it.
	suspicionStale
	suspicionAsked
	// suspicionNew follows a statement that creates code: the server is asked once nobody can be still at it.
	suspicionNew
)

const (
	// trustWithin is how long a verdict counts: code may be created past the proxy.
	trustWithin = 30 * time.Second
	// answerWithin is how long others wait for who asks. Sessions end, and backends are lost.
	answerWithin = 10 * time.Second
	// againAfter is how long it takes until another asks, where the server did not answer.
	againAfter   = time.Second
	maxDatabases = 1 << 10
)

// unseen is what is known of the code of one database on one target. Any goroutine may use it. Machines read no clock: a
// timer makes the verdict stale.
type unseen struct {
	database string // in lower case
	state    atomic.Uint32
	mu       sync.Mutex // for changes
	timer    *time.Timer
	names    atomic.Pointer[[]string] // of settings that the code sets, as settingsQuery takes them
	lexes    atomic.Bool              // the code may change how texts are read
	known    atomic.Bool              // there was an answer: before, everybody asks, as code may leave what no reset undoes
	stuck    atomic.Bool              // the code that was there last, or is new, may leave what no reset undoes (sticking.go)
}

type databaseOf struct{ target, database string }

// unseenIn returns what is known of a database.
func (e *Engine) unseenIn(t engine.Target, key engine.Key) *unseen {
	return e.unseen.update(databaseOf{t.Name, key.Database}, func(u *unseen, ok bool) *unseen {
		if !ok {
			u = &unseen{database: lowered([]byte(key.Database))}
			u.lexes.Store(true) // as far as is known
			u.state.Store(uint32(suspicionStale))
		}
		return u
	})
}

// doubt distrusts every database of the group, replicas too: a statement creates code.
func (e *Engine) doubt() {
	e.unseen.each(func(u *unseen) {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.set(suspicionNew, trustWithin)
	})
}

// doubtIn distrusts the databases that text names, which makes, drops or renames some: another one may have the name from now on.
func (e *Engine) doubtIn(text []byte) {
	names := lowered(text)
	e.unseen.each(func(u *unseen) {
		if !mentionsName(names, u.database) && !strings.Contains(names, `u&"`) && !strings.Contains(u.database, `"`) {
			return
		}
		u.lexes.Store(true)
		u.known.Store(false)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.set(suspicionNew, trustWithin)
	})
}

// mentionsName looks in text for a name that is no part of a longer one.
func mentionsName(text, name string) bool {
	for at := 0; at < len(text); at++ {
		n := strings.Index(text[at:], name)
		if n < 0 {
			return false
		}
		at += n
		end := at + len(name)
		if (at == 0 || !isNamePart(text[at-1])) && (end == len(text) || !isNamePart(text[end])) {
			return true
		}
	}
	return false
}

// mayLex notes that the code of any database of the group may change how texts are read, until the server has been asked.
func (e *Engine) mayLex() {
	e.unseen.each(func(u *unseen) { u.lexes.Store(true) })
}

// createsCode notes for doubt what a statement with v and this text, which is being sent, does about code. That of a transaction which is prepared for
// two-phase commit is there once somebody commits it, whenever that is. As many commit so all the time, and hardly ever code, this counts
// only behind one that has created some; what another proxy's clients have prepared is found in time (trustWithin).
func (m *machine) createsCode(v verdict, text []byte) {
	s := &m.lend.sweep
	if v.creates && (text == nil || mentionsLexing(text)) {
		m.e.mayLex()
	}
	s.creates, s.later = s.creates || v.creates, s.later || v.prepares
	if s.creates && s.later {
		m.e.codeLater.Store(true)
	}
	s.creates = s.creates || v.delivers && m.e.codeLater.Load()
}

// creating distrusts them, and notes what the code that text creates, in a session of this database, sets and leaves: until the server is asked,
// nobody else says so.
func (e *Engine) creating(text []byte, database string) {
	e.doubt()
	if createsSticking(text) {
		e.unseen.each(func(u *unseen) {
			if u.database == lowered([]byte(database)) {
				u.stuck.Store(true)
			}
		})
	}
	if names := namesInCode(text); len(names) > 0 {
		e.unseen.each(func(u *unseen) { u.add(names) })
	}
}

// namesInCode finds what codeNames does.
func namesInCode(text []byte) (names []string) {
	found := namedInCode.FindAllSubmatch(text, maxCustomNames+1)
	if makesNames(text) || setInString.Match(text) {
		found = append(found, nameInString.FindAllSubmatch(text, maxCustomNames+1)...)
	}
	for _, match := range found {
		name := strings.ToLower(string(betweenParts.ReplaceAll(match[1], nil)))
		for whole := range customNames([]byte(name)) {
			if len(whole) == len(name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Code in a string may have its own strings in two quotes.
const (
	gapInCode  = `(?:\s|/[*](?:[^*]|[*]+[^*/])*[*]+/|--[^\n]*)`
	partInCode = `(?:[a-z_][\w$]*|"[\w$]+")`
)

var (
	namedInCode = regexp.MustCompile(`(?i)\b(?:set_config"?` + gapInCode + `*[(][^';$]*(?:'+|[$]\w*[$])|set` + gapInCode + `+(?:session` + gapInCode + `+)?)(` +
		partInCode + `(?:` + gapInCode + `*[.]` + gapInCode + `*` + partInCode + `)+)`)
	betweenParts = regexp.MustCompile(gapInCode + `|"|[$]\w*[$]$`)
	setInString  = regexp.MustCompile(`(?i)'\s*set\s`)
	nameInString = regexp.MustCompile(`(?i)'([a-z_][\w$]*(?:[.][a-z_][\w$]*)+)'`)
)

// add notes names of settings beside those that are known, until there are too many.
func (u *unseen) add(names []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := slices.Clone(u.settings())
	for _, name := range names {
		if !slices.Contains(all, name) && len(all) <= maxCustomNames {
			all = append(all, name)
		}
	}
	u.names.Store(&all)
}

// settings are names of settings that the code sets.
func (u *unseen) settings() []string {
	if names := u.names.Load(); names != nil {
		return *names
	}
	return nil
}

func (u *unseen) now() suspicion { return suspicion(u.state.Load()) }

// set needs the lock. The timer may have fired just now and make it stale at once, which only means to ask again.
func (u *unseen) set(s suspicion, lasts time.Duration) {
	if u.timer == nil {
		u.timer = time.AfterFunc(lasts, func() { u.state.Store(uint32(suspicionStale)) })
	} else {
		u.timer.Reset(lasts)
	}
	u.state.Store(uint32(s))
}

// take says whether the caller shall ask, and nobody else.
func (u *unseen) take() bool {
	if u.now() != suspicionStale {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now() != suspicionStale {
		return false
	}
	u.set(suspicionAsked, answerWithin)
	return true
}

// answered notes what the server said to who asked. If code was created meanwhile, that was too early, but for what no reset undoes.
func (u *unseen) answered(s suspicion, names []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	now, known := u.now(), u.known.Swap(true)
	switch {
	case now == suspicionNew:
		u.stuck.Store(u.stuck.Load() || s == suspicionPin)
	case now == suspicionAsked || !known:
		u.stuck.Store(s == suspicionPin)
		u.lexes.Store(slices.Contains(names, lexingName) || len(names) > maxCustomNames)
		names = slices.DeleteFunc(names, func(n string) bool { return n == lexingName })
		u.names.Store(&names)
		u.set(s, trustWithin)
	}
}

// unanswered notes that whoever took it got no answer, as the statement_timeout of a session may be too short for one. What was known counts on,
// and somebody else asks before long.
func (u *unseen) unanswered() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.now() == suspicionAsked {
		u.set(suspicionReset, againAfter)
	}
}

// suspicionOf reads the answer to unseenQuery. Whatever is not known is suspicious.
func suspicionOf(field []byte) suspicion {
	switch string(field) {
	case "0":
		return suspicionNone
	case "2":
		return suspicionPin
	}
	return suspicionReset
}

// sweep is how far a session is with cleaning its backend up. Meanwhile its client's messages wait.
type sweep struct {
	used    bool // something was sent that may execute code, since the backend was clean
	creates bool // something was sent that creates code,
	later   bool // or that prepares a transaction: then it comes with COMMIT PREPARED
	active  bool // answers are awaited
	failed  bool
	vain    bool // the question about code had no answer
	verdict suspicion
	names   []string
}

var (
	unseenMessage = queryMessage(unseenQuery)
	discardAll    = queryMessage("DISCARD ALL")
	// cleanMessage is DISCARD ALL (its page in the manual) without DEALLOCATE ALL and DISCARD PLANS.
	cleanMessage = queryMessage("CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *;" +
		" SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES")
)

func queryMessage(sql string) []byte {
	p := append([]byte{'Q', 0, 0, 0, 0}, sql...)
	return endMessage(append(p, 0), 0)
}

// clean brings the backend to the state in which Dial handed it over. Prepared statements that nobody should have made are
// the only ones that go.
func (m *machine) clean(w engine.Wire) {
	if m.lend.verify.ignored.has(engine.KindPreparedStatement) {
		w.ToBackend(discardAll)
	} else {
		w.ToBackend(cleanMessage)
	}
	m.push(answerReset | answerSwallow)
	if q := m.backend.Target.InitQuery; q != "" {
		w.ToBackend(queryMessage(q))
		m.push(answerReset | answerSwallow)
	}
	if m.state.triggers {
		w.ToBackend(queryMessage(restoreSQL(unknownSettings, m.state.base)))
		m.push(answerReset | answerSwallow)
	}
}

// holds says that the session has, or may have, something of its own on the backend.
func (m *machine) holds() bool {
	return m.pins != 0 || m.lend.verify.maybe != 0 || m.lend.verify.opaque || m.lend.sets.active
}

// swept notes the end of something that tidy sent. It returns false if the backend must not be used any more.
func (m *machine) swept(a expected, status byte, w engine.Wire) bool {
	s := &m.lend.sweep
	m.state.unnamed = statementID{} // a simple Query ends it (54.2.3); the session's own is parsed again
	failed := s.failed
	s.failed = false
	if a.kind() == answerVerify {
		return m.verified(failed, status, w)
	}
	if a.kind() == answerUnseen {
		if failed || s.verdict == suspicionStale {
			s.vain = true
			m.state.unseen.unanswered()
		} else {
			m.state.unseen.answered(s.verdict, s.names)
		}
		return status == 'I'
	}
	if failed || status != 'I' {
		return false
	}
	if m.lend.verify.ignored.has(engine.KindPreparedStatement) {
		m.forgetOwn() // by DISCARD ALL
	}
	m.state.values, m.lend.ownValues = 0, true
	m.state.actual = m.state.base
	m.lend.verify.ignored, m.lend.verify.dirty = 0, false
	return true
}

// verdictRow reads the only row: a digit, and names with commas between them or NULL (54.7 "DataRow").
func (m *machine) verdictRow(body []byte) {
	s := &m.lend.sweep
	if len(body) < 2 {
		return
	}
	verdict, rest, ok := cutField(body[2:])
	names, _, whole := cutField(rest)
	if !ok || !whole {
		return
	}
	s.verdict = suspicionOf(verdict)
	if len(names) > 0 {
		s.names = strings.Split(string(names), ",")
	}
	if len(s.names) > maxCustomNames {
		s.verdict = suspicionPin
	}
}
