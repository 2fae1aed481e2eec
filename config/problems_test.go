package config

import (
	"errors"
	"strings"
	"testing"
)

// with returns the minimal configuration with every old replaced by the new that follows it, and more at its end.
func with(more string, oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(minimal) + more
}

const pool = "    connection_pool:\n"

// badFiles are files with the exact lines that they are answered with. The minimal configuration has 13 lines.
var badFiles = []struct {
	name    string
	text    string
	environ []string
	want    string
}{
	{"an empty file", "", nil, `
berth.yaml:1:1: listeners: no listener is configured: add one
berth.yaml:1:1: target_groups: no target group is configured: add one`},

	{"not YAML", "log:\n  level: info\n format: [\n", nil, `
berth.yaml:3:1: not valid YAML: did not find expected key`},

	{"a tab as indentation", "log:\n\tlevel: info\n", nil, `
berth.yaml:2:1: not valid YAML: found character that cannot start any token`},

	{"two documents", minimal + "---\nlog: {}\n", nil, `
berth.yaml:14:1: a second YAML document begins here: write everything in one`},

	{"no mapping at all", "- a\n", nil, `
berth.yaml:1:1: must be a section with the keys admin, log, runtime, listeners or target_groups`},

	{"discovery that cannot work", with("    discovery: {source: dns, interval: 1ms, name: db}\n"), nil, `
berth.yaml:14:40: target_groups[0].discovery.interval: 1ms is too short: write at least 100ms
berth.yaml:14:51: target_groups[0].discovery.name: "db" is not an address: write host:port`},

	{"srv without a name", with("    discovery: {source: srv}\n"), nil, `
berth.yaml:14:5: target_groups[0].discovery.name: is missing: write a name such as _postgresql._tcp.example.com`},

	{"patroni without nodes", with("    discovery: {source: patroni}\n"), nil, `
berth.yaml:14:5: target_groups[0].discovery.patroni: no node is configured: add one such as "- url: http://10.0.0.1:8008"`},

	{"a node that is no URL, with a password", with("    discovery: {source: patroni, patroni: [{url: \"user:secret@h\"}]}\n"), nil, `
berth.yaml:14:50: target_groups[0].discovery.patroni[0].url: is not a URL: write http://host:8008 or https://host:8008`},

	{"a cluster without a port", with("    discovery: {source: aurora, name: db.cluster-abc.eu-central-1.rds.amazonaws.com}\n"), nil, `
berth.yaml:14:39: target_groups[0].discovery.name: "db.cluster-abc.eu-central-1.rds.amazonaws.com" is not an address: write host:port`},

	{"a plugin without a program", with("    discovery: {source: plugin}\n"), nil, `
berth.yaml:14:5: target_groups[0].discovery.plugin.path: is missing: write the path of a program`},

	{"a plugin that is told the same twice, with a checksum of another kind", with("    discovery:\n      source: plugin\n      plugin:\n" +
		"        path: p\n        sha256: d41d8cd98f00b204e9800998ecf8427e\n        settings: [{name: a, value: secret}, {name: a}]\n"), nil, `
berth.yaml:18:17: target_groups[0].discovery.plugin.sha256: "d41d8cd98f00b204e9800998ecf8427e" is no SHA-256 checksum: write the 64 hexadecimal digits that sha256sum prints
berth.yaml:19:53: target_groups[0].discovery.plugin.settings[1].name: "a" is already the name of target_groups[0].discovery.plugin.settings[0]: choose another`},

	{"a key that begins like a known one", with(pool + "      max_conn: 5\n"), nil, `
berth.yaml:15:7: target_groups[0].connection_pool.max_conn: unknown key (did you mean max_connections?)`},

	{"a misspelt key that is required is not missed as well", with("", "    address: 127.0.0.1:6432", "    adress: x"), nil, `
berth.yaml:4:5: listeners[0].adress: unknown key (did you mean address?)`},

	{"a key of another section", with("    max_connections: 5\nadmin:\n  drain_timeout: 5s\n"), nil, `
berth.yaml:14:5: target_groups[0].max_connections: unknown key (did you mean target_groups[].connection_pool.max_connections?)
berth.yaml:16:3: admin.drain_timeout: unknown key (did you mean runtime.drain_timeout?)`},

	{"a key like no other", with("log:\n  colour: true\n"), nil, `
berth.yaml:15:3: log.colour: unknown key (nearest known key: format; all here: level, format, pin_format)`},

	{"a key that would break the output", with("\"\\e[1m\\n\": x\n"), nil, `
berth.yaml:14:1: ?[1m?: unknown key (nearest known key: admin; all here: admin, log, runtime, listeners, target_groups)`},

	{"a key given twice", with("log:\n  level: info\n  format: json\n  level: warn\n"), nil, `
berth.yaml:17:3: log.level: given twice, first in line 15: remove one`},

	{"a key that is no name", with("? [a]\n: b\n"), nil, `
berth.yaml:14:3: a key must be a plain name: admin, log, runtime, listeners or target_groups`},

	{"aliases and merge keys", "log: &log\n  level: info\nadmin: *log\nruntime:\n  <<: *log\n" +
		"listeners: [*log]\ntarget_groups: *log\n", nil, `
berth.yaml:3:8: admin: YAML aliases are not supported: write the value out
berth.yaml:5:3: runtime.<<: merge keys are not supported: write the keys out
berth.yaml:6:13: listeners[0]: YAML aliases are not supported: write the section out
berth.yaml:7:16: target_groups: YAML aliases are not supported: write the value out`},

	{"values of the wrong shape", "log: debug\nruntime:\n  loops: [1]\nlisteners: {name: a}\ntarget_groups:\n  - 5\n", nil, `
berth.yaml:1:6: log: must be a section with the keys level, format or pin_format
berth.yaml:3:10: runtime.loops: must be a single value: write a whole number
berth.yaml:4:12: listeners: must be a list of sections: begin each with a dash
berth.yaml:6:5: target_groups[0]: must be a section with the keys name, engine, targets, discovery, tls, health_check, replicas, connection_pool or auth`},

	{"values that are missing", with(pool + "      init_query:\n      max_connections: ~\n      session_pinning_filters: [~]\n" +
		"log:\n  level:\n"), nil, `
berth.yaml:15:7: target_groups[0].connection_pool.init_query: has no value: remove the key to get the default, or write text, "" if it is to be empty
berth.yaml:16:7: target_groups[0].connection_pool.max_connections: has no value: remove the key to get the default, or write a whole number
berth.yaml:17:33: target_groups[0].connection_pool.session_pinning_filters[0]: has no value: remove the key to get the default, or write EXCLUDE_VARIABLE_SETS, EXCLUDE_TEMPORARY_TABLES, EXCLUDE_PREPARED_STATEMENTS, EXCLUDE_NAMED_LOCKS or EXCLUDE_SEQUENCES
berth.yaml:19:3: log.level: has no value: remove the key to get the default, or write debug, info, warn or error`},

	{"text that is none", with("admin:\n  token: 12345\n", "name: primary", "name: 2024-01-01", "name: orders\n", "name: true\n"), nil, `
berth.yaml:7:11: target_groups[0].name: is not text as YAML reads it: put it in quotes
berth.yaml:10:15: target_groups[0].targets[0].name: is not text as YAML reads it: put it in quotes
berth.yaml:15:10: admin.token: is not text as YAML reads it: put it in quotes`},

	{"not YAML, by the scanner", "log:\n  level: \"info\n", nil, `
berth.yaml:2:1: not valid YAML: found unexpected end of stream`},

	{"numbers", with(pool + "      max_connections: \"40\"\n      max_connections_percent: 1_0\n      max_concurrent_dials: 1.5\n" +
		"runtime:\n  loops: 99999999999999999999\n  max_logins: 0x10\n"), nil, `
berth.yaml:15:24: target_groups[0].connection_pool.max_connections: "40" is not a whole number: write one without quotes
berth.yaml:16:32: target_groups[0].connection_pool.max_connections_percent: "1_0" is not a whole number
berth.yaml:17:29: target_groups[0].connection_pool.max_concurrent_dials: "1.5" is not a whole number
berth.yaml:19:10: runtime.loops: "99999999999999999999" is not a whole number
berth.yaml:20:15: runtime.max_logins: "0x10" is not a whole number`},

	{"numbers out of range", with(pool+"      max_connections_percent: 0\n      max_connections: -1\n      max_concurrent_dials: 0\n"+
		"runtime:\n  loops: -1\n  max_logins: 100000\n",
		"target_group: orders", "target_group: orders\n    max_client_connections: 0"), nil, `
berth.yaml:6:29: listeners[0].max_client_connections: 0 is out of range: write a number from 1 to 16777216
berth.yaml:16:32: target_groups[0].connection_pool.max_connections_percent: 0 is out of range: write a number from 1 to 100
berth.yaml:17:24: target_groups[0].connection_pool.max_connections: -1 is out of range: write a number from 0 to 1048576
berth.yaml:18:29: target_groups[0].connection_pool.max_concurrent_dials: 0 is out of range: write a number from 1 to 1024
berth.yaml:20:10: runtime.loops: -1 is out of range: write a number from 0 to 1024
berth.yaml:21:15: runtime.max_logins: 100000 is out of range: write a number from 0 to 65536`},

	{"reads that have no time to wait, nor a connection", with(pool + "      connection_borrow_timeout: 100ms\n      max_connections: 1\n" +
		"    replicas: {read_your_writes: committed, catch_up_timeout: 100ms}\n"), nil, `
berth.yaml:16:24: target_groups[0].connection_pool.max_connections: 1 is too few with replicas.read_your_writes, which needs a connection of its own: write at least 2
berth.yaml:17:63: target_groups[0].replicas.catch_up_timeout: 100ms is not shorter than connection_borrow_timeout, 100ms, within which reads wait: write less`},

	{"limits of nobody, of two, twice and of no number", with("", "target_group: orders", "target_group: orders\n"+
		"    max_connections_per_user: -1\n    max_connections_per_database: 99999999\n    connection_limits:\n"+
		"      - max_connections: 1\n      - {user: a, database: b, max_connections: 1}\n"+
		"      - {user: app, max_connections: 1}\n      - {database: app, max_connections: 0}\n      - {user: app, max_connections: 2}\n"+
		"      - {user: other}\n      - {user: third, max_connections: -1}"), nil, `
berth.yaml:6:31: listeners[0].max_connections_per_user: -1 is out of range: write a number from 0 to 16777216
berth.yaml:7:35: listeners[0].max_connections_per_database: 99999999 is out of range: write a number from 0 to 16777216
berth.yaml:9:9: listeners[0].connection_limits[0]: is of nobody, or of two: write either user or database
berth.yaml:10:9: listeners[0].connection_limits[1]: is of nobody, or of two: write either user or database
berth.yaml:13:9: listeners[0].connection_limits[4]: "app" has a limit in listeners[0].connection_limits[2] already: remove one
berth.yaml:14:9: listeners[0].connection_limits[5].max_connections: is missing: write a number, 0 for no limit
berth.yaml:15:40: listeners[0].connection_limits[6].max_connections: -1 is out of range: write a number from 0 to 16777216`},

	{"health checks that leave no time", with("    health_check:\n      interval: 99ms\n      timeout: 0\n" + pool), nil, `
berth.yaml:15:17: target_groups[0].health_check.interval: 99ms is too short: write at least 100ms
berth.yaml:16:16: target_groups[0].health_check.timeout: 0s is too short: write at least 100ms`},

	{"more idle connections than connections", with(pool + "      max_connections_percent: 20\n      max_idle_connections_percent: 21\n"), nil, `
berth.yaml:16:37: target_groups[0].connection_pool.max_idle_connections_percent: 21 is out of range: write a number from 0 to 20`},

	{"a login in no time", with("", "target_group: orders", "target_group: orders\n    login_timeout: 1ms"), nil, `
berth.yaml:6:20: listeners[0].login_timeout: 1ms is too short: write at least 100ms`},

	{"durations", with(pool+"      connection_borrow_timeout: 120\n      idle_connection_timeout: 5 minutes\n      max_connection_lifetime: -1h\n",
		"target_group: orders", "target_group: orders\n    login_timeout: 0"), nil, `
berth.yaml:6:20: listeners[0].login_timeout: 0 would let a client hold a login forever: write a duration like 15s
berth.yaml:16:34: target_groups[0].connection_pool.connection_borrow_timeout: "120" has no unit: write a duration like 30s or 5m
berth.yaml:17:32: target_groups[0].connection_pool.idle_connection_timeout: "5 minutes" is not a duration: write one like 30s, 5m or 1h30m
berth.yaml:18:32: target_groups[0].connection_pool.max_connection_lifetime: "-1h" is negative: write a duration like 30s, or 0`},

	{"enums", with("    tls: {mode: verify}\nlog: {level: INFO, format: 1}\n",
		"engine: postgres\n    address", "engine: oracle\n    role: primary\n    tls: {mode: prefer}\n    address",
		"file:secrets/orders.json", "file:s\n        iam_auth: true"), nil, `
berth.yaml:3:13: listeners[0].engine: "oracle" is not known: write postgres or mysql
berth.yaml:4:11: listeners[0].role: "primary" is not known: write read_write or read_only
berth.yaml:5:17: listeners[0].tls.mode: "prefer" is not known: write disable, allow or require
berth.yaml:16:19: target_groups[0].auth[0].iam_auth: "true" is not known: write disabled, enabled or required
berth.yaml:17:17: target_groups[0].tls.mode: "verify" is not known: write disable, prefer, require, verify-ca or verify-full
berth.yaml:18:14: log.level: "INFO" is not known: write debug, info, warn or error
berth.yaml:18:28: log.format: "1" is not known: write auto, json or console`},

	{"a password type of the other engine", with("        client_password_auth_type: mysql_native_password\n"), nil, `
berth.yaml:14:36: target_groups[0].auth[0].client_password_auth_type: "mysql_native_password" is not known for this engine: write postgres_scram_sha_256 or postgres_md5`},

	{"everything required is missing", "listeners:\n  - {}\ntarget_groups:\n  - targets:\n    - {}\n", nil, `
berth.yaml:2:5: listeners[0].address: is missing: write host:port, such as 127.0.0.1:6432
berth.yaml:2:5: listeners[0].engine: is missing: write postgres or mysql
berth.yaml:2:5: listeners[0].name: is missing: write a name that is unique in this list
berth.yaml:2:5: listeners[0].target_group: is missing: write the name of a target group
berth.yaml:4:5: target_groups[0].auth: nobody can log in: add an entry such as "- secret: file:secrets/name.json"
berth.yaml:4:5: target_groups[0].engine: is missing: write postgres or mysql
berth.yaml:4:5: target_groups[0].name: is missing: write a name that is unique in this list
berth.yaml:5:7: target_groups[0].targets[0].address: is missing: write host:port, such as 127.0.0.1:6432
berth.yaml:5:7: target_groups[0].targets[0].name: is missing: write a name that is unique in this list`},

	{"no targets", with("", "    targets:\n      - name: primary\n        address: 127.0.0.1:5432\n", "    targets:\n"), nil, `
berth.yaml:9:5: target_groups[0].targets: no target is configured: add one with name and address`},

	{"names", with("  - name: orders\n    engine: mysql\n    targets: [{name: a, address: \"x:1\"}, {name: a, address: \"y:1\"}]\n"+
		"    auth: [{secret: \"env:X\"}]\n", "name: primary", "name: the primary", "name: orders-pg", "name: \"\""), nil, `
berth.yaml:2:11: listeners[0].name: is empty: write a name that is unique in this list
berth.yaml:10:15: target_groups[0].targets[0].name: "the primary" is not a valid name: write up to 63 letters, digits, dots, dashes and underscores, beginning with a letter or digit
berth.yaml:14:11: target_groups[1].name: "orders" is already the name of target_groups[0]: choose another
berth.yaml:16:49: target_groups[1].targets[1].name: "a" is already the name of target_groups[1].targets[0]: choose another`},

	{"a target group that does not exist", with("", "target_group: orders", "target_group: order"), nil, `
berth.yaml:5:19: listeners[0].target_group: there is no target group "order" (did you mean orders?)`},

	{"a target group like no other", with("", "target_group: orders", "target_group: stock"), nil, `
berth.yaml:5:19: listeners[0].target_group: there is no target group "stock": write orders`},

	{"engines that differ", with("", "engine: postgres\n    address", "engine: mysql\n    address"), nil, `
berth.yaml:3:13: listeners[0].engine: mysql, but target group orders has engine postgres: use a group of the same engine`},

	{"addresses", with("admin: {address: 7070}\n", "127.0.0.1:6432", "\"::1:6432\"",
		"        address: 127.0.0.1:5432\n", `        address: localhost
      - {name: a, address: ":5432"}
      - {name: b, address: "x:postgres"}
      - {name: c, address: "x:65536"}
      - {name: d, address: "x:0"}
      - {name: e, address: "10.0.0.256:1"}
      - {name: f, address: "-x:1"}
      - {name: g, address: "x:1"}
      - {name: h, address: "X:1"}
`), nil, `
berth.yaml:4:14: listeners[0].address: "::1:6432" is not an address: an IPv6 address goes in brackets: write [::1]:port
berth.yaml:11:18: target_groups[0].targets[0].address: "localhost" is not an address: write host:port
berth.yaml:12:28: target_groups[0].targets[1].address: ":5432" has no host: write host:port
berth.yaml:13:28: target_groups[0].targets[2].address: "x:postgres" is not an address: the port must be a number up to 65535
berth.yaml:14:28: target_groups[0].targets[3].address: "x:65536" is not an address: the port must be a number up to 65535
berth.yaml:15:28: target_groups[0].targets[4].address: "x:0" has no port to connect to: write a port from 1 to 65535
berth.yaml:16:28: target_groups[0].targets[5].address: "10.0.0.256:1" is not an address: the host is neither a name nor an IP address
berth.yaml:17:28: target_groups[0].targets[6].address: "-x:1" is not an address: the host is neither a name nor an IP address
berth.yaml:19:28: target_groups[0].targets[8].address: "X:1" is already target_groups[0].targets[7].address: give each target its own
berth.yaml:22:18: admin.address: is not text as YAML reads it: put it in quotes`},

	{"an address that is taken", with("", "127.0.0.1:6432", "localhost:7070"), nil, `
berth.yaml:4:14: listeners[0].address: "localhost:7070" is already taken by admin.address: choose another port`},

	{"half a certificate", with("", "target_group: orders", "target_group: orders\n    tls: {cert_file: c}"), nil, `
berth.yaml:6:22: listeners[0].tls.cert_file: needs key_file as well`},

	{"the other half, and a client authority for nobody", with("",
		"target_group: orders", "target_group: orders\n    tls: {mode: disable, key_file: c, client_ca_file: d}"), nil, `
berth.yaml:6:36: listeners[0].tls.key_file: needs cert_file as well
berth.yaml:6:55: listeners[0].tls.client_ca_file: has no effect with mode disable: write mode require`},

	{"an authority that verifies nothing", with("    tls: {mode: require, ca_file: x}\n"), nil, `
berth.yaml:14:35: target_groups[0].tls.ca_file: has no effect with mode require: write mode verify-ca or verify-full`},

	{"IAM without TLS", with("        iam_auth: required\n", "target_group: orders", "target_group: orders\n    tls: {mode: disable}"), nil, `
berth.yaml:6:17: listeners[0].tls.mode: disable, but target_groups[0].auth[0] has iam_auth required, which needs TLS: write allow or require`},

	{"an open admin address without a token", with("admin: {address: \":7070\"}\n"), nil, `
berth.yaml:14:18: admin.address: ":7070" is not loopback: set admin.token as well, or write 127.0.0.1:port`},

	{"a token that no client can send", with("admin: {token: \"hunter 2\"}\n"), nil, `
berth.yaml:14:16: admin.token: must be printable ASCII without spaces`},

	{"secrets, which are not shown", with("      - secret: hunter2\n      - secret: vault:hunter2\n      - secret: \"file:\"\n" +
		"      - secret: file:hunter2/\n      - secret: env:hunter-2\n      - secret: env:A\n      - secret: env:A\n      - {}\n"), nil, `
berth.yaml:14:17: target_groups[0].auth[1].secret: has no known provider: write file:path or env:NAME
berth.yaml:15:17: target_groups[0].auth[2].secret: has no known provider: write file:path or env:NAME
berth.yaml:16:17: target_groups[0].auth[3].secret: has no path after file: (write file:path)
berth.yaml:17:17: target_groups[0].auth[4].secret: names a directory: write the path of a file
berth.yaml:18:17: target_groups[0].auth[5].secret: does not name an environment variable after env: (write env:NAME)
berth.yaml:20:17: target_groups[0].auth[7].secret: is the same as target_groups[0].auth[6].secret: remove one
berth.yaml:21:9: target_groups[0].auth[8].secret: is missing: write file:path or env:NAME`},

	{"variables", with(pool+"      init_query: \"${NONE} ${A\"\n      max_connections: ${WORD}\nlog: {level: \"${}\"}\n",
		"name: primary", "name: ${A"), []string{"WORD=hunter2"}, `
berth.yaml:10:15: target_groups[0].targets[0].name: ${ has no closing brace: write ${NAME}, or $${ for a literal ${
berth.yaml:15:19: target_groups[0].connection_pool.init_query: environment variable NONE is not set: set it, or write $${ for a literal ${
berth.yaml:16:24: target_groups[0].connection_pool.max_connections: "${WORD}" is not a whole number
berth.yaml:17:14: log.level: ${} does not name an environment variable: write ${NAME}, or $${ for a literal ${`},

	{"overrides", with("log: {format: auto}\n"), []string{
		"BERTH_LOG__LEVEL=loud", "BERTH_LOG__LEVL=x", "BERTH_log__level=x", "BERTH_LOG__LEVEL__X=x", "BERTH_LOG__=x",
		"BERTH_LISTENERS__0__NAME=x", "BERTH_LISTENER__0__NAME=x", "BERTH_ADMIN__ADDRESS=0.0.0.0:1",
		"BERTH_RUNTIME__LOOPS=x", "BERTH_RUNTIME__MAX_LOGINS=-1",
	}, `
BERTH_ADMIN__ADDRESS: admin.address: "0.0.0.0:1" is not loopback: set admin.token as well, or write 127.0.0.1:port
BERTH_LISTENERS__0__NAME: listeners: is a list, and what is in lists cannot be set from the environment: write ${NAME} in the file instead
BERTH_LISTENER__0__NAME: unknown configuration variable (nearest is listeners, a list, which only the file can set)
BERTH_LOG__: unknown configuration variable (did you mean BERTH_LOG__LEVEL?)
BERTH_LOG__LEVEL: log.level: "loud" is not known: write debug, info, warn or error
BERTH_LOG__LEVEL__X: log.level: is a single value: set it with BERTH_LOG__LEVEL
BERTH_LOG__LEVL: unknown configuration variable (did you mean BERTH_LOG__LEVEL?)
BERTH_RUNTIME__LOOPS: runtime.loops: "x" is not a whole number
BERTH_RUNTIME__MAX_LOGINS: runtime.max_logins: -1 is out of range: write a number from 0 to 65536
BERTH_log__level: unknown configuration variable (did you mean BERTH_LOG__LEVEL?)`},

	{"the file's problems come before the environment's", with("log: {level: loud}\n"), []string{"BERTH_LOG__LEVL=x"}, `
berth.yaml:14:14: log.level: "loud" is not known: write debug, info, warn or error
BERTH_LOG__LEVL: unknown configuration variable (did you mean BERTH_LOG__LEVEL?)`},
}

func TestEveryProblemIsNamedAtItsPlaceAtOnce(t *testing.T) {
	for _, c := range badFiles {
		t.Run(c.name, func(t *testing.T) {
			got, err := parse("berth.yaml", testDir, []byte(c.text), c.environ)
			var problems *Problems
			if got != nil || !errors.As(err, &problems) {
				t.Fatalf("got %+v, %v; want problems", got, err)
			}
			if want := strings.TrimPrefix(c.want, "\n"); err.Error() != want {
				t.Errorf("got:\n%s\nwant:\n%s", err, want)
			}
		})
	}
}

func TestAddressesCollideOnlyIfNotBothCanBeListenedOn(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:1", "127.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", false},
		{"127.0.0.1:1", "127.0.0.2:1", false},
		{":1", "127.0.0.1:1", true},
		{"0.0.0.0:1", "[::1]:1", true},
		{"localhost:1", "127.0.0.1:1", true},
		{"LOCALHOST:1", "localhost:1", true},
		{"localhost:1", "10.0.0.1:1", false},
		{"[::ffff:127.0.0.1]:1", "127.0.0.1:1", true},
		{"127.0.0.1:0", "127.0.0.1:0", false}, // each gets a port of its own
	} {
		a, errA := parseAddress(c.a)
		b, errB := parseAddress(c.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.collides(b) != c.want || b.collides(a) != c.want {
			t.Errorf("%s and %s: %v, %v; want %v", c.a, c.b, a.collides(b), b.collides(a), c.want)
		}
	}
}
