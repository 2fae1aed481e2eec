package mysql

import "testing"

func TestOnlyATextThatTurnsAutocommitOnAndNothingElseIsAConfirmation(t *testing.T) {
	for text, want := range map[string]bool{
		"SET autocommit=1": true, "SET AUTOCOMMIT = 1": true, "set  autocommit=ON;": true, "SET SESSION autocommit=1": true,
		"SET @@autocommit=1": true, "SET autocommit=0": false, "SET autocommit=1, sql_mode=''": false,
		"SET autocommit=1;SET autocommit=0": false, "SET autocommit=1+0": false, "SET GLOBAL autocommit=1": false,
		"SET autocommit=1 -- x": false, "SET @autocommit=1": false, "": false, "SET autocommit=10": false,
	} {
		if c := confirm(scan([]byte(text), false, false), []byte(text)); c.has(classConfirms) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestTurningAutocommitOnIsStateWhereABackendWasDialedWithoutIt(t *testing.T) {
	const on = statusAutocommit
	for _, c := range []struct {
		dialed, now  uint16
		failed, want bool
	}{{on, on, false, true}, {0, on, false, false}, {on, 0, false, false}, {on, on, true, false}} {
		m := Machine{state: &backendState{status: c.dialed}, session: session{status: c.now}, request: request{failed: c.failed}}
		if m.asDialed() != c.want {
			t.Errorf("%+v", c)
		}
	}
}
