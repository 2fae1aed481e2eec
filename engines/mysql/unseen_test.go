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
	u := r.m.e.unseenBy(engine.Target{Name: "primary"}, "app")
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
