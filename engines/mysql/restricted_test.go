package mysql

import (
	"bytes"
	"slices"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

const errPrivilege = "\xff\xcb\x04#42000Access denied; you need (at least one of) the SUPER privilege(s) for this operation"

// behindRefusal is a session with a setting of its own, to which a backend with settings of another's refuses it, and which is
// then given this one afresh.
func behindRefusal(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, modernClient)
	r.m.session.settings, _ = r.m.session.settings.with("default_week_format", "3")
	r.m.session.settings, _ = r.m.session.settings.with("max_error_count", "1024")
	state := r.pool.State.(*backendState)
	state.settings, _ = state.settings.with("sql_log_bin", "OFF")
	ok := reply(okMySQL)
	r.send(query("SELECT 1"))
	r.steps([2][]byte{query("SET @@SESSION.default_week_format=3, @@SESSION.max_error_count=1024, @@SESSION.sql_log_bin=DEFAULT"), reply(errPrivilege)},
		[2][]byte{append(command(0x1f, ""), query(trackers)...), append(ok, ok...)})
	if restore := query("SET @@SESSION.default_week_format=3, @@SESSION.max_error_count=1024"); !bytes.Equal(r.backend, restore) {
		t.Fatalf("backend got %q", r.backend)
	}
	r.backend = nil
	return r
}

func TestWhatTheUserMayNotTakeBackFromABackendAResetDoes(t *testing.T) {
	r := behindRefusal(t)
	r.answer(reply(okMySQL))
	if !bytes.Equal(r.backend, query("SELECT 1")) {
		t.Errorf("backend got %q", r.backend)
	}
}

func TestWhatTheUserMayNotSetAndTheBackendHasIsNotSet(t *testing.T) {
	r := behindRefusal(t)
	r.steps([2][]byte{nil, reply(errPrivilege)},
		[2][]byte{query("SELECT @@SESSION.default_week_format, @@SESSION.max_error_count"), reply("\x02", columnOne, columnOne, "\x010\x041024", endMySQL)},
		[2][]byte{query("SET @@SESSION.default_week_format=3"), reply(okMySQL)})
	if !bytes.Equal(r.backend, query("SELECT 1")) || r.m.state.settings != r.m.session.settings {
		t.Errorf("backend got %q", r.backend)
	}
}

func TestWhatTheUserMayNotSetAndTheBackendHasNotEndsTheSession(t *testing.T) {
	for name, answer := range map[string][]byte{
		"another value": reply("\x02", columnOne, columnOne, "\x010\x0264", endMySQL),
		"an error":      reply(errSyntax),
		"a short row":   reply("\x02", columnOne, columnOne, "\x010", endMySQL),
	} {
		r := behindRefusal(t)
		r.answer(reply(errPrivilege))
		err := r.feed(&r.fromBackend, answer, r.m.FromBackend)
		if name == "another value" && err == nil {
			err = r.deliver(&r.fromClient, r.m.FromClient)
			if err == nil {
				err = r.feed(&r.fromBackend, reply(errPrivilege), r.m.FromBackend)
			}
		}
		if err == nil || bytes.Contains(r.backend, []byte("SELECT 1")) {
			t.Errorf("%s: %v, backend got %q", name, err, r.backend)
		}
	}
}

func TestABackendWithSomethingOfItsSessionsIsNotResetForASetting(t *testing.T) {
	r := newRig(t, modernClient)
	r.ask(query("BEGIN"), query("BEGIN"), reply("\x00\x00\x00\x03\x00\x00\x00"))
	r.m.session.settings, _ = r.m.session.settings.with("max_error_count", "64")
	r.send(query("SELECT 1"))
	r.backend = nil
	if err := r.feed(&r.fromBackend, reply(errPrivilege), r.m.FromBackend); err == nil || len(r.backend) > 0 {
		t.Errorf("%v, backend got %q", err, r.backend)
	}
}

func TestWhatCodeHasSetThatNeedsAPrivilegePins(t *testing.T) {
	for text, pins := range map[string]bool{
		"CALL p()": true, "SET sort_buffer_size = f()": true, "SET max_error_count = 64": false,
	} {
		r := newRig(t, modernClient)
		r.ask(query(text), query(text), reports("max_error_count", "64"))
		if got := r.held != nil && slices.Contains(r.kinds(), engine.KindSetting); got != pins {
			t.Errorf("%s: held %v, events %v", text, r.held, r.events)
		}
	}
}
