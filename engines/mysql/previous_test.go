package mysql

import (
	"strings"
	"testing"
)

func TestASelectOfTheConnectionsValuesIsTakenApart(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT ROW_COUNT()":                                         "ROW_COUNT=ROW_COUNT()",
		" select row_count ( ) ; ":                                   "ROW_COUNT=row_count ( )",
		"SELECT FOUND_ROWS() AS total":                               "FOUND_ROWS=total",
		"SELECT FOUND_ROWS() total, CONNECTION_ID() as `my id`":      "FOUND_ROWS=total,CONNECTION_ID=my id",
		`/* who */ SELECT connection_id() "id", last_insert_id()'x'`: "CONNECTION_ID=id,LAST_INSERT_ID=x",
		"SELECT LAST_INSERT_ID() FROM DUAL":                          "LAST_INSERT_ID=LAST_INSERT_ID()",
		"SELECT LAST_INSERT_ID() id LIMIT 1":                         "LAST_INSERT_ID=id",
		"SELECT LAST_INSERT_ID() FROM dual LIMIT 1;":                 "LAST_INSERT_ID=LAST_INSERT_ID()",

		"SELECT ROW_COUNT() + 1": "", "SELECT -ROW_COUNT()": "", "SELECT (ROW_COUNT())": "", "SELECT ROW_COUNT": "", "SELECT LAST_INSERT_ID(5)": "",
		"SELECT ROW_COUNT(); SELECT 1": "", "SELECT ROW_COUNT() UNION SELECT 1": "", "SELECT ROW_COUNT() UNION": "", "SELECT ROW_COUNT() FROM t": "",
		"SELECT ROW_COUNT() INTO @a": "", "SELECT ROW_COUNT() AS": "", "SELECT ROW_COUNT() LIMIT 0": "", "SELECT ROW_COUNT(),": "", "SELECT": "",
		"SELECT DISTINCT ROW_COUNT()": "", "SELECT ROW_COUNT() AS 'a''b'": "", "SELECT ROW_COUNT() AS `a``b`": "", "SELECT ROW_COUNT() AS 'a' 'b'": "",
		`SELECT ROW_COUNT() AS 'a\'b'`: "", "SELECT ROW_COUNT() AS 'zahl\xe4'": "", "SELECT ROW_COUNT() AS ''": "", "SELECT ROW_COUNT() AS ' a'": "",
		"SELECT ROW_COUNT(/* none */)": "", "SELECT ROW_COUNT\n()": "", "SELECT ROW_COUNT() /*! + 1 */": "", "SELECT ROW_COUNT() AS 5": "", "SELECT ROW_COUNT() AS a.b": "",
		"SELECT ROW_COUNT() AS '" + strings.Repeat("a", maxAskedName+1) + "'": "", "SELECT ROW_COUNT()" + strings.Repeat(", ROW_COUNT()", maxAsked): "",
		"WITH a AS (SELECT 1) SELECT ROW_COUNT()": "", "(SELECT ROW_COUNT())": "", "SELECT d.ROW_COUNT()": "", "SELECT `ROW_COUNT`()": "", "SELECT ROW_COUNT() 'a": "",
	} {
		var got []string
		all, ok := askedBy([]byte(sql))
		for _, a := range all {
			got = append(got, a.function+"="+string(a.name))
		}
		if ok != (want != "") || ok && strings.Join(got, ",") != want {
			t.Errorf("%s: %v %q, not %q", sql, ok, got, want)
		}
	}
}

func TestVersionsHaveNumbers(t *testing.T) {
	for version, want := range map[string]int{
		"9.7.4-2": 90704, "8.0.17": 80017, "5.7.29-log": 50729, "5.5.5-10.11.18-MariaDB-0+deb12u1-log": 101118, "11.8.6-MariaDB": 110806,
		"8.0.mysql_aurora.3.04.0": 0, "9.7": 0, "": 0, "9.7.x": 0, "999999999999999999999.1.1": 0, "9.100.1": 0, "-1.0.0": 0,
	} {
		if got := versionNumber(version); got != want {
			t.Errorf("%s: %d, not %d", version, got, want)
		}
	}
}
