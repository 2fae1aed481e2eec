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
