package mysql

import (
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

func TestStatementsAboutLoginsAreRead(t *testing.T) {
	everybody := []string{""}
	for sql, want := range map[string][]string{
		"SET GLOBAL sort_buffer_size = 1":                             everybody,
		"set sql_mode = '', global max_connections = 5":               everybody,
		"SET @@GLOBAL.sort_buffer_size = 1":                           everybody,
		"SET @a = f(1, @@global.x), @@persist.x = 1":                  everybody,
		"SET GLOBAL TRANSACTION READ ONLY":                            everybody,
		"SET PERSIST sort_buffer_size = 1":                            everybody,
		"SET PERSIST_ONLY sort_buffer_size = 1":                       nil,
		"SET @global = 1":                                             nil,
		`SET @user = 'O\'Brien', @role = 'a\\b', @global = '\n'`:      nil, // nor because of what may be read in several ways
		`SET @a = (SELECT user FROM t WHERE b = 'O\'Brien')`:          nil,
		"SET /*!40101 @user = 1, @role */ = 'a'":                      nil,
		"SET sort_buffer_size = @@global.sort_buffer_size":            nil,
		"SET @a = (SELECT 1, @@global.x)":                             nil,
		"SET ROLE r":                                                  nil,
		"SET DEFAULT ROLE r TO u@h, 'v'@'h'":                          {"u", "v"},
		"SET DEFAULT ROLE r FOR u":                                    {"u"},
		"SET DEFAULT ROLE r":                                          {"me"},
		"GRANT SELECT (a, b), INSERT ON d.* TO 'u'@'%', `v`@h":        {"u", "v"},
		"GRANT r, s TO CURRENT_USER()":                                {"me"},
		"GRANT ALL ON *.* TO u IDENTIFIED BY 'x' WITH GRANT OPTION":   {"u"},
		"REVOKE IF EXISTS ALL PRIVILEGES, GRANT OPTION FROM \"u\", v": {"u", "v"},
		"REVOKE":                                {"me"},
		"ALTER USER IF EXISTS u@h ACCOUNT LOCK": {"u"},
		"ALTER USER USER() IDENTIFIED BY 'x'":   {"me"},
		"ALTER TABLE user ADD a INT":            nil,
		"DROP USER u, v@h":                      {"u", "v"},
		"DROP ROLE IF EXISTS r":                 {"r"},
		"DROP TABLE u":                          nil,
		"RENAME USER a@h TO b@h, c TO d":        {"a", "b", "c", "d"},
		"RENAME TABLE a TO b":                   nil,
		"CREATE USER u":                         nil,
		"CREATE OR REPLACE USER u@h IDENTIFIED BY 'x', v REQUIRE SSL": {"u", "v"},
		"CREATE OR REPLACE ROLE r WITH ADMIN u":                       {"r"},
		"CREATE OR REPLACE VIEW user AS SELECT 1":                     nil,
		"FLUSH PRIVILEGES":                            everybody,
		"FLUSH LOCAL TABLES, PRIVILEGES":              everybody,
		"FLUSH TABLES":                                nil,
		"SELECT 1; DROP USER u; SET GLOBAL x = 1":     {"u", ""},
		"DROP USER 'a''b'":                            {"me"}, // read in several ways, or written by nobody
		"SET /*!99999 GLOBAL x = 1, */ @a = 1":        {"me"},
		"DROP USER " + strings.Repeat("u, ", 3) + "v": {"u", "v"},
		"DROP USER " + manyUsers(maxLoginUsers+1):     everybody,
		"SELECT user, role, privileges FROM t":        nil,
		"SET":                                         nil, "DROP USER": nil, ";;": nil, "": nil,
	} {
		c := scan([]byte(sql), false, false)
		var got []string
		if c.has(classLogins) {
			for _, change := range changesLogins([]byte(sql), "me") {
				got = append(got, change.user)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q (seen by the scan: %v)", sql, got, want, c.has(classLogins))
		}
	}
}

func manyUsers(n int) string {
	var names []string
	for i := range n {
		names = append(names, "u"+strings.Repeat("x", i))
	}
	return strings.Join(names, ", ")
}

func TestLoginsAreToldApartByWhatChangedBeforeThem(t *testing.T) {
	r := newRig(t, modernClient)
	key := func() string { return keyOf("app", "", modernClient, 45).Options + r.m.e.loginsBefore("app") }
	own := r.m.info.key.Options
	for _, c := range []struct {
		sql     string
		answer  []byte
		changes bool
	}{
		{"SET GLOBAL sort_buffer_size = 100000", reply(okPlain), true},
		{"SET GLOBAL sort_buffer_size = 100000", reply("\xff\xcb\x04#42000Access denied"), false},
		{"ALTER USER app ACCOUNT LOCK", reply(okPlain), true},
		{"ALTER USER other ACCOUNT LOCK", reply(okPlain), false},
		{"DROP USER app, nobody", reply("\xff\x74\x05#HY000Operation DROP USER failed for 'nobody'"), true}, // the first is dropped
		{"SELECT 1", reply("\xff\x74\x05#HY000Operation DROP USER failed"), false},
		{"SELECT 1; DROP USER app", reply("\xff\x74\x05#HY000Operation DROP USER failed"), false},
		{"DROP USER app; SELECT bad", reply(okMore, errSyntax), true}, // one of them succeeded
		{"SELECT 1; DROP USER app; SELECT bad", reply(okMore, okMore, errSyntax), true},
		{"SELECT 1; DROP USER app", reply(okMore, "\xff\xcb\x04#42000Access denied"), false},
		{"SELECT 1; DROP USER app, nobody", reply(okMore, "\xff\x74\x05#HY000Operation DROP USER failed for 'nobody'"), true},
		{"DROP USER other; DROP USER app; SELECT bad", reply(okMore, "\xff\xcb\x04#42000Access denied"), false},
		{"SELECT 1", reply(okPlain), false},
	} {
		before := key()
		r.ask(query(c.sql), query(c.sql), c.answer)
		if now := key(); now != before != c.changes {
			t.Errorf("%s: %q, then %q", c.sql, before, now)
		}
		if _, charset, err := parseKeyOptions(key()); err != nil || charset != 45 {
			t.Errorf("%s: key options of character set %d, %v", c.sql, charset, err)
		}
		if got := r.m.info.key.Options; got != own {
			t.Errorf("%s: the session that was there has key options %q", c.sql, got)
		}
	}
	r.send(command(protocol.COM_RESET_CONNECTION, ""))
	if got := r.m.info.key.Options; got != key() {
		t.Errorf("a session that begins afresh has key options %q, want %q", got, key())
	}
}

func TestAStatementAboutLoginsThatIsLostMayHaveBeenExecuted(t *testing.T) {
	r := newRig(t, modernClient)
	before := r.m.e.loginsBefore("app")
	r.send(query("REVOKE ALL ON *.* FROM app"))
	r.lose()
	if r.m.e.loginsBefore("app") == before {
		t.Error("logins to come are served by those that are there")
	}
}

func FuzzWhatChangesForLoginsIsBounded(f *testing.F) {
	f.Add([]byte("grant select (a) on d.* to `u`@'%', v"))
	f.Add([]byte("set @@global.a = (1, 2), persist b = '\\'"))
	f.Add([]byte("drop user if exists /*! x */ \"u\"; flush privileges -- y"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if n := len(changesLogins(text, "me")); n > maxLoginUsers {
			t.Errorf("%d users", n)
		}
	})
}
