package mysql

import (
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

func TestWhatStatementsLeaveOpenWithAutocommitOff(t *testing.T) {
	const none = classFlags(0)
	for text, want := range map[string]classFlags{
		"select 1":                                 none,
		"SELECT @@version, DATABASE()":             none,
		"select now() from dual":                   classTables,
		"SELECT (TABLE t)":                         classTables,
		"(select a from t)":                        classTables,
		"SELECT f(1)":                              classTables,
		"SELECT /*!50000 a FROM t */":              classTables,
		"DO 1":                                     none,
		"DO (SELECT a FROM t)":                     classTables,
		"SET @a = 1, autocommit = 0":               none,
		"SET @a = (SELECT a FROM t)":               classTables,
		"SET @a = (TABLE t)":                       classTables,
		"SET STATEMENT a = 1 FOR UPDATE t SET b=1": classTables,
		"VALUES ROW(1)":                            none,
		"TABLE t":                                  classTables,
		"WITH c AS (SELECT 1) SELECT 1":            classTables,
		"INSERT t VALUES (1)":                      classTables,
		"UPDATE t SET a = 1":                       classTables,
		"DELETE FROM t":                            classTables,
		"CALL p()":                                 classTables,
		"EXECUTE p":                                classTables,
		"EXPLAIN UPDATE t SET a = 1":               classTables,
		"LOAD DATA INFILE 'x' INTO TABLE t":        classTables,
		"SHOW WARNINGS":                            none,
		"SHOW COUNT(*) ERRORS":                     none,
		"SHOW VARIABLES LIKE 'a'":                  classTables,
		"selekt":                                   classTables,
		"BEGIN":                                    none,
		"SAVEPOINT a":                              classTables,
		"USE d":                                    none,
		"ALTER TABLE t ADD b INT":                  none,
		"TRUNCATE TABLE t":                         none,
		"COMMIT":                                   classEnds,
		"ROLLBACK WORK AND CHAIN":                  classEnds,
		"ROLLBACK TO s":                            none,
		"ROLLBACK WORK TO SAVEPOINT s":             none,
		"CREATE TABLE t SELECT a FROM u":           classEnds,
		"CREATE OR REPLACE VIEW v AS TABLE t":      classEnds,
		"CREATE TEMPORARY TABLE t SELECT a FROM u": classTables,
		"DROP TABLE t":                             classEnds,
		"DROP TEMPORARY TABLE t":                   classTables,
		"DROP PREPARE p":                           none,
		"REVOKE ALL ON t FROM u":                   classEnds,
		"INSERT t VALUES (1); COMMIT":              classTables | classEnds,
		"INSERT t VALUES (1); COMMIT;":             classTables | classEnds,
		"COMMIT; SELECT a FROM t":                  classTables,
		"COMMIT; SELECT 1":                         none,
		"/*!99999 COMMIT */":                       classTables,
	} {
		if got := scan([]byte(text), false, false).flags & (classTables | classEnds); got != want {
			t.Errorf("%s: uses tables %t, ends %t", text, got&classTables != 0, got&classEnds != 0)
		}
	}
}

func TestAServerMayBeginWithAutocommitOff(t *testing.T) {
	r := newRig(t, modernClient)
	r.pool.State.(*backendState).base, _ = (*settings)(nil).with("autocommit", "0")
	const insert = "INSERT INTO t VALUES (1)"
	r.ask(query(insert), query(insert), reply(errDuplicate))
	if r.held == nil || !r.m.InTransaction() {
		t.Fatal("the backend went back with the transaction that the statement began")
	}
	reset := command(protocol.COM_RESET_CONNECTION, "")
	r.ask(reset, reset, reply(okPlain))
	if r.m.InTransaction() || r.m.session.status&statusAutocommit != 0 {
		t.Errorf("behind a reset: %x", r.m.session.status)
	}
}

func TestABackendThatACommitEndsIsNotLent(t *testing.T) {
	for _, c := range []struct {
		releases, own, fails bool
		sql                  string
		discarded            bool
	}{
		{true, false, false, "COMMIT", true}, {true, false, false, "rollback work", true}, {true, false, false, "ROLLBACK TO a", false}, {true, false, false, "SELECT 1", false},
		{true, false, true, "COMMIT", false}, {true, true, false, "COMMIT", false}, {false, false, false, "COMMIT", false},
	} {
		r := newRig(t, modernClient)
		state := r.pool.State.(*backendState)
		state.releases = c.releases
		if c.own {
			r.m.session.settings, _ = r.m.session.settings.with(completionType, "NO_CHAIN")
			state.settings = r.m.session.settings
		}
		reply := appendOK(nil, 1, statusAutocommit)
		if c.fails {
			reply = appendERR(nil, 1, modernClient, 1105, "HY000", "no")
		}
		if err := r.play(t, query(c.sql), reply); err != nil || r.discarded != c.discarded {
			t.Errorf("%+v: %v, discarded: %v", c, err, r.discarded)
		}
	}
}
