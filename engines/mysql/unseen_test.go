package mysql

import (
	"bytes"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// suspected is a rig whose backend's user may reach code with verdict s.
func suspected(t *testing.T, s suspicion) (*rig, *unseen) {
	r := newRig(t, modernClient)
	u := r.m.e.unseenBy(engine.Target{Name: "primary"}, "", "app")
	u.mu.Lock()
	u.set(s, trustWithin)
	u.mu.Unlock()
	r.pool.State.(*backendState).unseen = u
	return r, u
}

// play sends what one side says to the machine.
func (r *rig) play(t *testing.T, fromClient, fromBackend []byte) error {
	t.Helper()
	if fromClient != nil {
		if _, err := r.m.FromClient(bytes.Clone(fromClient), r.wire); err != nil {
			t.Fatal(err)
		}
	}
	if fromBackend == nil {
		return nil
	}
	_, err := r.m.FromBackend(bytes.Clone(fromBackend), r.wire)
	return err
}

func TestASuspectedBackendIsResetBeforeItGoesBack(t *testing.T) {
	r, _ := suspected(t, suspicionReset)
	ok := appendOK(nil, 1, statusAutocommit)
	if err := r.play(t, query("UPDATE t SET a = 1"), ok); err != nil {
		t.Fatal(err)
	}
	if r.idles != 0 || len(r.client) == 0 {
		t.Fatalf("%d times idle, %d bytes to the client", r.idles, len(r.client))
	}
	if !bytes.Contains(r.backend, append([]byte{1, 0, 0, 0}, protocol.COM_RESET_CONNECTION)) || !bytes.Contains(r.backend, []byte(trackers)) {
		t.Errorf("the backend got %q", r.backend)
	}
	if err := r.play(t, nil, ok); err != nil || r.idles != 0 {
		t.Fatalf("idle before the trackers are on: %v", err)
	}
	if err := r.play(t, nil, ok); err != nil || r.idles != 1 || r.held != nil {
		t.Fatalf("%v, %d times idle", err, r.idles)
	}
}

func TestABackendThatCannotBeResetIsUnusable(t *testing.T) {
	r, _ := suspected(t, suspicionReset)
	if err := r.play(t, query("UPDATE t SET a = 1"), appendOK(nil, 1, statusAutocommit)); err != nil {
		t.Fatal(err)
	}
	if err := r.play(t, nil, appendERR(nil, 1, modernClient, 1317, "70100", "interrupted")); err == nil || r.idles != 0 {
		t.Errorf("%v, %d times idle", err, r.idles)
	}
}

func TestCodeIsSuspectedAsTheServerSays(t *testing.T) {
	for row, want := range map[string]suspicion{"\x010": suspicionNone, "\x011": suspicionReset} {
		r, u := suspected(t, suspicionStale)
		if err := r.play(t, query("UPDATE t SET a = 1"), appendOK(nil, 1, statusAutocommit)); err != nil {
			t.Fatal(err)
		}
		if err := r.play(t, nil, reply("\x01", columnOne, row, endMySQL)); err != nil || u.now() != want {
			t.Errorf("%q: %v, state %d", row, err, u.now())
		}
	}
	r, u := suspected(t, suspicionNone)
	if err := r.play(t, query("CREATE VIEW v AS SELECT 1"), nil); err != nil || u.now() != suspicionNew {
		t.Errorf("%v, state %d", err, u.now())
	}
}

func TestTheServersAnswerSaysWhatCodeReads(t *testing.T) {
	for row, want := range map[string]hidden{
		"\x010": 0, "\x012": hiddenInsertID, "\x0210": hiddenInsertID | hiddenPrevious, "\x0214": hiddenInsertID | hiddenSetsInsertID | hiddenPrevious,
		"": hiddenUnknown, "\xfb": hiddenUnknown, "\x01x": hiddenUnknown, "\x02-1": hiddenUnknown, "\x0514": hiddenUnknown,
		"\x0264": 0, "\x03128": 0, "\x03192": hiddenLeaves, "\x03194": hiddenLeaves | hiddenInsertID,
	} {
		if got := hiddenOf([]byte(row)); got != want {
			t.Errorf("%q: %b, not %b", row, got, want)
		}
	}
}

func TestAStatementFindsLastInsertIDWhereHiddenCodeMayReadIt(t *testing.T) {
	set := []byte(setInsertID + "5")
	for _, c := range []struct {
		reads hidden
		trust bool
		sql   string
		set   bool
	}{
		{hiddenInsertID, false, "SELECT * FROM v", true},
		{hiddenInsertID, false, "BEGIN", false},
		{hiddenInsertID, true, "SELECT * FROM v", false},
		{0, false, "SELECT * FROM v", false},
	} {
		r, u := suspected(t, suspicionNone)
		u.hidden.Store(uint32(c.reads))
		if c.trust {
			r.m.unseenChanges = engine.UnseenTrust
		}
		r.m.insertID.value = 5
		if err := r.play(t, query(c.sql), nil); err != nil || bytes.Contains(r.backend, set) != c.set {
			t.Errorf("%+v: %v, the backend got %q", c, err, r.backend)
		}
	}
}

// after makes a statement's beginning and end be noted, and what is between them.
func (c *unseens) after(server string, change codeChange, between ...func()) {
	round := c.begin(server, change)
	for _, f := range between {
		f()
	}
	c.end(server, change, round)
}

var (
	creation = codeChange{creates: hiddenUnknown}
	removal  = codeChange{removes: true}
)

// found is what is known of the code of a user of a server.
func found(e *Engine, server string, s suspicion, h hidden) *unseen {
	u := e.unseenBy(engine.Target{Name: "t"}, server, "app")
	u.mu.Lock()
	defer u.mu.Unlock()
	u.set(s, trustWithin)
	u.hidden.Store(uint32(h))
	return u
}

func TestNewCodeIsAskedForOnceNoStatementIsUnderWayThatChangesAny(t *testing.T) {
	e := testEngine(Config{}, mysqlServer)
	c := &e.unseen
	here, there := found(e, "a", suspicionNone, 0), found(e, "b", suspicionNone, 0)
	c.after("a", creation, func() {
		if here.now() != suspicionNew {
			t.Errorf("state %d while code is created", here.now())
		}
		late := e.unseenBy(engine.Target{Name: "t"}, "a", "late")
		c.after("a", creation)
		if here.now() != suspicionNew || late.now() != suspicionNew {
			t.Errorf("states %d and %d while one of two is under way", here.now(), late.now())
		}
	})
	if here.now() != suspicionStale {
		t.Errorf("state %d behind the last", here.now())
	}
	if there.now() != suspicionNew {
		t.Errorf("state %d on another server, which gets the code at any time", there.now())
	}
	if late := e.unseenBy(engine.Target{Name: "t"}, "b", "late"); late.now() != suspicionNew {
		t.Errorf("state %d for who comes later there", late.now())
	}
	if hidden(here.hidden.Load())&hiddenLeaves == 0 {
		t.Error("nothing is hidden before anybody has asked")
	}
	round := c.begin("a", creation) // and is lost
	c.after("a", creation)
	if here.now() != suspicionNew {
		t.Errorf("state %d though one was lost", here.now())
	}
	c.forget(c.waits - 1)
	if here.now() != suspicionNew {
		t.Errorf("state %d behind a timer that does not count", here.now())
	}
	c.forget(c.waits)
	if here.now() != suspicionStale || there.now() != suspicionStale {
		t.Errorf("states %d and %d in another round", here.now(), there.now())
	}
	c.end("a", creation, round) // it was slow
	c.after("a", creation)
	if here.now() != suspicionStale {
		t.Errorf("state %d behind one that was forgotten", here.now())
	}
}

func TestAnAnswerAskedForBeforeCodeChangedDoesNotCount(t *testing.T) {
	e := testEngine(Config{}, mysqlServer)
	u := found(e, "a", suspicionStale, 0)
	asked := u.changes.Load()
	during := asked
	e.unseen.after("a", creation, func() { during = u.changes.Load() })
	for _, early := range []uint64{asked, during} {
		if u.answered(0, early); u.now() != suspicionStale {
			t.Fatalf("state %d", u.now())
		}
		if u.know([]string{"f"}, early) || u.knows("f") {
			t.Error("a function is known")
		}
	}
	u.take()
	for _, want := range []suspicion{suspicionNone, suspicionReset} { // of two that ask at once, both count
		if u.answered(hidden(want), u.changes.Load()); u.now() != want {
			t.Errorf("state %d, not %d", u.now(), want)
		}
	}
	sets := u.sets
	u.answered(0, u.changes.Load())
	if u.age(sets); u.now() != suspicionNone {
		t.Error("the timer of an earlier answer counts")
	}
	if u.age(u.sets); u.now() != suspicionStale {
		t.Error("its own does not")
	}
}

func TestWhatExecutedCodeThatIsGoneIsNotJudgedByWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		state   suspicion
		hidden  hidden
		change  codeChange
		outlive bool
		after   suspicion
	}{
		{suspicionNone, 0, removal, false, suspicionNone},
		{suspicionNone, hiddenInsertID, creation, false, suspicionStale},
		{suspicionNone, 0, codeChange{creates: hiddenUnknown, removes: true}, true, suspicionStale},
		{suspicionNone, hiddenCallsLeave, removal, true, suspicionNone},
		{suspicionReset, hiddenLeaves, removal, true, suspicionReset},
		{suspicionReset, hiddenLeaves, creation, true, suspicionStale},
		{suspicionStale, 0, removal, true, suspicionStale},
		{suspicionAsked, 0, creation, true, suspicionStale},
	} {
		e := testEngine(Config{}, mysqlServer)
		u := found(e, "a", c.state, c.hidden)
		before := u.changes.Load()
		during := before
		e.unseen.after("a", c.change, func() { during = u.changes.Load() })
		if u.now() != c.after || u.outlived(before) != c.outlive || u.outlived(during) != c.outlive || u.outlived(u.changes.Load()) {
			t.Errorf("%+v: state %d, %d, %d, %d", c, u.now(), before, during, u.vanished.Load())
		}
	}
	e := testEngine(Config{}, mysqlServer)
	u := found(e, "a", suspicionReset, hiddenLeaves)
	e.unseen.begin("a", removal)
	if u.age(u.sets); u.now() != suspicionNew {
		t.Errorf("state %d while code may be going", u.now())
	}
	during := u.changes.Load()
	e.unseen.forget(e.unseen.waits) // it was lost
	if !u.outlived(during) || u.now() != suspicionStale {
		t.Errorf("state %d, %d, %d", u.now(), during, u.vanished.Load())
	}
}

// answerNone and answerLeaves are answers to unseenQuery.
var (
	answerNone   = reply("\x01", columnOne, "\x010", endMySQL)
	answerLeaves = reply("\x01", columnOne, "\x011", endMySQL)
)

// calls plays a CALL that succeeds.
func (r *rig) calls(t *testing.T, sql string) {
	t.Helper()
	if err := r.play(t, query(sql), appendOK(nil, 1, statusAutocommit)); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) asks() int { return bytes.Count(r.backend, []byte(unseenQuery)) }

func TestACallIsJudgedWhileSomebodyElseAsks(t *testing.T) {
	for _, c := range []struct {
		answer []byte
		pins   int
	}{{answerNone, 0}, {answerLeaves, 1}} {
		r, _ := suspected(t, suspicionAsked)
		r.calls(t, "CALL p()")
		if r.asks() != 1 || r.pins != 0 || r.held == nil {
			t.Fatalf("%d questions, %d pins", r.asks(), r.pins)
		}
		if err := r.play(t, nil, c.answer); err != nil || r.pins != c.pins {
			t.Errorf("%v, %d pins, not %d", err, r.pins, c.pins)
		}
	}
}

func TestACallIsAskedForAgainIfCodeWasCreatedMeanwhile(t *testing.T) {
	r, u := suspected(t, suspicionStale)
	r.calls(t, "CALL p()")
	u.answered(0, u.changes.Load()) // whoever creates code asks first
	r.m.e.unseen.after("", creation)
	if err := r.play(t, nil, answerNone); err != nil || r.asks() != 2 || r.held == nil || r.pins != 0 {
		t.Fatalf("%v, %d questions, %d pins", err, r.asks(), r.pins)
	}
	u.answered(0, u.changes.Load())
	round := r.m.e.unseen.begin("", creation)
	if err := r.play(t, nil, answerNone); err != nil || r.pins != 1 || u.now() != suspicionNew {
		t.Fatalf("%v, %d pins, state %d while nobody can tell", err, r.pins, u.now())
	}
	r.m.e.unseen.end("", creation, round)
	r.calls(t, "SELECT 1")
	if err := r.play(t, nil, answerNone); err != nil || r.pins != 0 || u.now() != suspicionNone {
		t.Errorf("%v, %d pins, state %d", err, r.pins, u.now())
	}
}

func TestACallIsNotJudgedByCodeThatTookThePlaceOfWhatItCalled(t *testing.T) {
	r, u := suspected(t, suspicionStale)
	r.calls(t, "CALL p()")
	r.m.e.unseen.after("", creation)
	if err := r.play(t, nil, answerNone); err != nil || r.pins != 1 || u.now() != suspicionStale {
		t.Errorf("%v, %d pins, state %d", err, r.pins, u.now())
	}
}

func TestACallBesideWhatRemovesCodePins(t *testing.T) {
	for sql, pins := range map[string]int{
		"CREATE PROCEDURE p() DO 1; CALL p(); DROP PROCEDURE p": 1,
		"CREATE PROCEDURE p() DO 1; CALL p()":                   0,
		"CALL p(); DROP PROCEDURE p":                            0, // it left nothing
		"CALL p(); ALTER VIEW v AS SELECT 1":                    0,
	} {
		r, u := suspected(t, suspicionNone)
		u.hidden.Store(0)
		r.calls(t, sql)
		var err error
		if r.asks() > 0 {
			err = r.play(t, nil, answerNone)
		}
		if err != nil || r.pins != pins {
			t.Errorf("%s: %v, %d pins, not %d", sql, err, r.pins, pins)
		}
	}
	r, _ := suspected(t, suspicionReset)
	inTransaction := appendOK(nil, 1, statusAutocommit|statusInTrans)
	if err := r.play(t, query("BEGIN"), inTransaction); err != nil {
		t.Fatal(err)
	}
	if err := r.play(t, query("CALL p()"), inTransaction); err != nil {
		t.Fatal(err)
	}
	r.calls(t, "DROP PROCEDURE p")
	if r.pins != 1 {
		t.Errorf("%d pins behind a transaction that ends with the procedure", r.pins)
	}
}

func TestTheServerIsAskedInFrontOfWhatRemovesCode(t *testing.T) {
	drop := query("DROP PROCEDURE p")
	r, u := suspected(t, suspicionStale)
	u.calls.Store(true) // which somebody may have done who is not judged yet
	if err := r.play(t, drop, nil); err != nil || r.asks() != 1 || bytes.Contains(r.backend, drop) {
		t.Fatalf("%v, the backend got %q", err, r.backend)
	}
	if err := r.play(t, nil, answerNone); err != nil || r.held == nil {
		t.Fatalf("%v, the backend is gone", err)
	}
	if err := r.play(t, drop, appendOK(nil, 1, statusAutocommit)); err != nil || !bytes.Contains(r.backend, drop) || r.held != nil || u.now() != suspicionNone {
		t.Errorf("%v, state %d, the backend got %q", err, u.now(), r.backend)
	}
	r, _ = suspected(t, suspicionStale)
	if err := r.play(t, drop, nil); err != nil || r.asks() > 0 || !bytes.Contains(r.backend, drop) {
		t.Errorf("%v, asked though nobody called any: %q", err, r.backend)
	}
}

func TestAPinBehindCodeThatNobodyKnowsEndsWithTheNextStatement(t *testing.T) {
	r, u := suspected(t, suspicionAsked)
	r.m.unseenChanges = engine.UnseenPin
	r.calls(t, "UPDATE t SET a = 1")
	if r.asks() != 1 || r.pins != 0 {
		t.Fatalf("%d questions, %d pins while somebody else asks", r.asks(), r.pins)
	}
	u.answered(0, u.changes.Load())
	round := r.m.e.unseen.begin("", creation)
	if err := r.play(t, nil, answerNone); err != nil || r.pins != 1 {
		t.Fatalf("%v, %d pins", err, r.pins)
	}
	r.m.e.unseen.end("", creation, round)
	r.calls(t, "UPDATE t SET a = 1")
	if err := r.play(t, nil, answerNone); err != nil || r.pins != 0 {
		t.Errorf("%v, %d pins", err, r.pins)
	}
}

func TestCodeFindsTheRowCountOfWhatWasAnsweredHere(t *testing.T) {
	for name, c := range map[string]struct {
		request, before []byte
		answer          string
	}{
		"an unknown statement": {about(protocol.COM_STMT_EXECUTE, 9, "\x00\x01\x00\x00\x00"), about(protocol.COM_STMT_FETCH, 9, "\x00\x00\x00\x00"),
			"\xff\xdb\x04#HY000Unknown prepared statement handler"},
		"CONNECTION_ID()": {query("SELECT CONNECTION_ID()"), query("SELECT 1"), ""},
		"a ping":          {command(protocol.COM_PING, ""), command(protocol.COM_PING, ""), okPlain},
	} {
		r, u := suspected(t, suspicionNone)
		u.hidden.Store(uint32(hiddenPrevious))
		call := query("INSERT INTO t VALUES (1)")
		r.send(c.request)
		if len(r.backend) > 0 {
			t.Fatalf("%s: backend got %q", name, r.backend)
		}
		answer := reply(c.answer)
		if c.answer == "" {
			answer = reply("\x01", columnOne, "\x011", endMySQL)
		}
		r.send(call)
		if name == "an unknown statement" { // the list is empty on any backend but for that
			r.steps([2][]byte{append(query(clearDiagnostics), c.before...), append(reply("\x01", columnOne, "\x011", endMySQL), answer...)})
		} else {
			r.steps([2][]byte{c.before, answer})
		}
		if !bytes.Equal(r.backend, call) {
			t.Errorf("%s: backend got %q", name, r.backend)
		}
	}
}

func TestAResetForWhatIsIgnoredLeavesWhatASessionHears(t *testing.T) {
	r, _ := suspected(t, suspicionNone)
	hears, _ := trackedOf("*")
	owed, _ := (*settings)(nil).with("time_zone", "+01:00")
	r.m.session.tracked, r.m.session.owed = hears, owed
	one, ok := query("SELECT 1"), reply(okMySQL)
	r.send(one)
	r.m.ignored = true
	r.answer(reply("\x01", columnOne, "\x011", endMySQL))
	r.answer(append(ok, ok...))
	if r.held != nil || r.m.ignored || r.m.session.tracked != hears || r.m.session.owed != owed {
		t.Errorf("held %v, ignored %v, hears %v, owed %v", r.held, r.m.ignored, r.m.session.tracked, r.m.session.owed)
	}
}

// The functions of the views in the schema sys set user variables: @sys.statement_truncate_len, and others.
func TestABackendThatHasReadFromSysIsResetBeforeItGoesBack(t *testing.T) {
	reset := command(protocol.COM_RESET_CONNECTION, "")
	for text, resets := range map[string]bool{
		"SELECT * FROM sys.statement_analysis":               true,
		"SELECT * FROM `sys`.`statement_analysis`":           true,
		"SELECT * FROM \"SYS\".statement_analysis":           true,
		"SELECT * FROM t JOIN Sys . processlist p ON p.id=a": true,
		"SELECT 'sys' FROM t":                                false,
		"SELECT 1 AS sys":                                    false,
		"SELECT sysdate() FROM t":                            false,
	} {
		r, _ := suspected(t, suspicionNone)
		asked := query(text)
		r.ask(asked, asked, reply("\x01", columnOne, "\x011", endMySQL))
		if got := bytes.HasPrefix(r.backend, reset); got != resets || !resets && r.held != nil {
			t.Errorf("%s: resets %v, backend got %q", text, got, r.backend)
		}
	}
	r, _ := suspected(t, suspicionNone)
	r.m.session.schema, r.m.state = "sys", nil
	r.pool.State.(*backendState).schema = "sys"
	asked := query("SELECT * FROM statement_analysis")
	if r.ask(asked, asked, reply("\x01", columnOne, "\x011", endMySQL)); !bytes.HasPrefix(r.backend, reset) {
		t.Errorf("in sys: backend got %q", r.backend)
	}
}

// A view's tables are those of the database in which its statement began, or was prepared.
func TestABackendThatHasReadFromSysInAnotherDatabaseIsReset(t *testing.T) {
	reset := command(protocol.COM_RESET_CONNECTION, "")
	inSys := func() *rig {
		r, _ := suspected(t, suspicionNone)
		r.m.session.schema, r.m.state, r.m.info.key.Database = "sys", nil, "sys"
		r.pool.State.(*backendState).schema = "sys"
		return r
	}
	row, elsewhere := reply("\x01", columnOne, "\x011", moreMySQL), pack(5, "\x00\x00\x00\x02\x40\x00\x00\x00\x06\x01\x04\x03app")
	r := inSys()
	asked := query("SELECT * FROM statement_analysis; USE app")
	if r.ask(asked, asked, append(row, elsewhere...)); !bytes.HasPrefix(r.backend, reset) || r.m.session.schema != "app" {
		t.Errorf("a text that goes elsewhere: in %q, backend got %q", r.m.session.schema, r.backend)
	}
	r = inSys()
	id := r.prepares("SELECT * FROM statement_analysis", 9, 0)
	use := command(protocol.COM_INIT_DB, "app")
	r.ask(use, use, reply("\x00\x00\x00\x02\x40\x00\x00\x00\x06\x01\x04\x03app"))
	r.ask(about(protocol.COM_STMT_EXECUTE, id, once), about(protocol.COM_STMT_EXECUTE, 9, once), reply("\x01", columnOne, "\x00\x001", endMySQL))
	if !bytes.HasPrefix(r.backend, reset) {
		t.Errorf("what was prepared there: backend got %q", r.backend)
	}
}
