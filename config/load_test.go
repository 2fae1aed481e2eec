package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// documented is the example of the documentation: every key with its default, where there is one.
const documented = `admin:
  address: 127.0.0.1:7070          # /healthz /readyz /metrics /api/v1/... and the dashboard at /
log:
  level: info                      # debug | info | warn | error
  format: auto                     # auto | json | console
  pin_format: berth                # berth | rds
listeners:
  - name: orders-pg
    engine: postgres               # postgres | mysql
    address: 127.0.0.1:6432
    target_group: orders
    role: read_write               # read_write | read_only
    tls:
      mode: allow                  # disable | allow | require
      cert_file: ""
      key_file: ""
      client_ca_file: ""
    idle_client_timeout: 30m
    max_client_connections: 10000
target_groups:
  - name: orders
    engine: postgres
    targets:
      - name: primary
        address: 127.0.0.1:5432
    tls:
      mode: prefer                 # disable | prefer | require | verify-ca | verify-full
      ca_file: ""
    health_check:
      interval: 2s
      timeout: 3s
    discovery:
      source: none                         # none | dns | srv | patroni | aurora | rds_multi_az | plugin
      interval: 5s
      name: ""
      resolver: ""
      ca_file: ""
      instance_host_pattern: ""
    replicas:
      max_lag: 0s
      fallback: writer                     # writer | none
      read_your_writes: off                # off | committed
      catch_up_timeout: 500ms
    connection_pool:
      max_connections_percent: 100
      max_connections: 0
      max_idle_connections_percent: 50
      connection_borrow_timeout: 120s
      session_pinning_preset: multiplex    # multiplex | strict-aws
      session_pinning_filters: []
      unseen_changes: verify               # verify | pin | trust
      pinned_session_on_loss: continue     # continue | close
      init_query: ""
    auth:
      - secret: file:secrets/orders.json
        iam_auth: disabled
        client_password_auth_type: ""
`

// minimal has only what has no default.
const minimal = `listeners:
  - name: orders-pg
    engine: postgres
    address: 127.0.0.1:6432
    target_group: orders
target_groups:
  - name: orders
    engine: postgres
    targets:
      - name: primary
        address: 127.0.0.1:5432
    auth:
      - secret: file:secrets/orders.json
`

const testDir = "/etc/berth"

func expected() *Config {
	return &Config{
		Admin:   Admin{Address: "127.0.0.1:7070"},
		Log:     Log{Level: "info", Format: "auto", PinFormat: "berth"},
		Runtime: Runtime{Loops: 0, MaxLogins: 0, DrainTimeout: 30 * time.Second, HandOverTimeout: 10 * time.Minute},
		Listeners: []Listener{{
			Name:                 "orders-pg",
			Engine:               "postgres",
			Address:              "127.0.0.1:6432",
			TargetGroup:          "orders",
			Role:                 "read_write",
			TLS:                  ListenerTLS{Mode: "allow"},
			LoginTimeout:         15 * time.Second,
			IdleClientTimeout:    30 * time.Minute,
			MaxClientConnections: 10000,
		}},
		TargetGroups: []TargetGroup{{
			Name:        "orders",
			Engine:      "postgres",
			Targets:     []Target{{Name: "primary", Address: "127.0.0.1:5432"}},
			TLS:         TargetTLS{Mode: "prefer"},
			HealthCheck: HealthCheck{Interval: 2 * time.Second, Timeout: 3 * time.Second},
			Replicas:    Replicas{Fallback: "writer", ReadYourWrites: "off", CatchUpTimeout: 500 * time.Millisecond},
			Discovery:   Discovery{Source: "none", Interval: 5 * time.Second},
			ConnectionPool: ConnectionPool{
				MaxConnectionsPercent:     100,
				MaxIdleConnectionsPercent: 50,
				ConnectionBorrowTimeout:   120 * time.Second,
				MaxConnectionLifetime:     24 * time.Hour,
				IdleConnectionTimeout:     5 * time.Minute,
				MaxConcurrentDials:        8,
				SessionPinningPreset:      "multiplex",
				UnseenChanges:             "verify",
				PinnedSessionOnLoss:       "continue",
			},
			Auth: []Auth{{
				Secret:                 "file:/etc/berth/secrets/orders.json",
				IAMAuth:                "disabled",
				ClientPasswordAuthType: "postgres_scram_sha_256",
			}},
		}},
	}
}

func mustParse(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, err := parse("berth.yaml", testDir, []byte(text), environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheDocumentedExampleIsExactlyTheDefaults(t *testing.T) {
	want := expected()
	want.TargetGroups[0].ConnectionPool.SessionPinningFilters = []PinningFilter{}
	if got := mustParse(t, documented); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWhatIsLeftOutGetsTheDefaults(t *testing.T) {
	if got, want := mustParse(t, minimal), expected(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestEveryKeyCanBeSet(t *testing.T) {
	got := mustParse(t, `
admin: {address: "[::]:7070", token: "${TOKEN}"}
log: {level: debug, format: json, pin_format: rds}
runtime: {loops: 3, max_logins: 12, drain_timeout: 1m30s, hand_over_timeout: 1h}
listeners:
  - name: l
    engine: mysql
    address: ":3307"
    target_group: g
    role: read_only
    tls: {mode: require, cert_file: c.pem, key_file: /k.pem, client_ca_file: sub/ca.pem}
    login_timeout: 3s
    idle_client_timeout: 0
    max_client_connections: 7
target_groups:
  - name: g
    engine: mysql
    targets:
      - {name: a, address: "db.example.com:3306"}
      - {name: b, address: "[::1]:3306"}
    tls: {mode: verify-full, ca_file: ../ca.pem, server_name: db.internal}
    health_check: {interval: 250ms, timeout: 4s}
    replicas: {max_lag: 10s, fallback: none, read_your_writes: committed, catch_up_timeout: 20ms}
    discovery:
      {source: patroni, interval: 1s, name: "db.example.com:3306", resolver: "127.0.0.1:53", ca_file: p.pem, instance_host_pattern: "?.x", patroni: [{url: "https://a:b@h:8008"}],
       plugin: {path: x/find, sha256: "0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0aF0", settings: [{name: token, value: "$${p}"}]}}
    connection_pool:
      max_connections_percent: 40
      max_connections: 45
      max_idle_connections_percent: 0
      connection_borrow_timeout: 21ms
      session_pinning_preset: strict-aws
      session_pinning_filters: [EXCLUDE_VARIABLE_SETS, EXCLUDE_SEQUENCES]
      unseen_changes: trust
      pinned_session_on_loss: close
      init_query: "SET a=1; SET b='$${x}'"
      max_connection_lifetime: 1h
      idle_connection_timeout: 200ms
      max_concurrent_dials: 2
    auth:
      - {secret: "file:/run/s.json", iam_auth: enabled, client_password_auth_type: mysql_native_password}
      - {secret: "env:DB_SECRET", iam_auth: required}
`, "TOKEN=abc.def")
	want := &Config{
		Admin:   Admin{Address: "[::]:7070", Token: "abc.def"},
		Log:     Log{Level: LevelDebug, Format: FormatJSON, PinFormat: PinFormatRDS},
		Runtime: Runtime{Loops: 3, MaxLogins: 12, DrainTimeout: 90 * time.Second, HandOverTimeout: time.Hour},
		Listeners: []Listener{{
			Name: "l", Engine: EngineMySQL, Address: ":3307", TargetGroup: "g", Role: RoleReadOnly,
			TLS: ListenerTLS{
				Mode: ListenerTLSRequire, CertFile: "/etc/berth/c.pem", KeyFile: "/k.pem", ClientCAFile: "/etc/berth/sub/ca.pem",
			},
			LoginTimeout: 3 * time.Second, IdleClientTimeout: 0, MaxClientConnections: 7,
		}},
		TargetGroups: []TargetGroup{{
			Name: "g", Engine: EngineMySQL,
			Targets:     []Target{{"a", "db.example.com:3306"}, {"b", "[::1]:3306"}},
			TLS:         TargetTLS{Mode: TargetTLSVerifyFull, CAFile: "/etc/ca.pem", ServerName: "db.internal"},
			HealthCheck: HealthCheck{Interval: 250 * time.Millisecond, Timeout: 4 * time.Second},
			Replicas:    Replicas{MaxLag: 10 * time.Second, Fallback: FallbackNone, ReadYourWrites: ReadCommitted, CatchUpTimeout: 20 * time.Millisecond},
			Discovery: Discovery{
				Source: DiscoveryPatroni, Interval: time.Second, Name: "db.example.com:3306", Resolver: "127.0.0.1:53",
				CAFile: "/etc/berth/p.pem", Patroni: []PatroniNode{{"https://a:b@h:8008"}}, InstanceHostPattern: "?.x",
				Plugin: DiscoveryProgram{"/etc/berth/x/find", strings.Repeat("0aF", 21) + "0", []PluginSetting{{"token", "${p}"}}},
			},
			ConnectionPool: ConnectionPool{
				MaxConnectionsPercent: 40, MaxConnections: 45, MaxIdleConnectionsPercent: 0,
				ConnectionBorrowTimeout: 21 * time.Millisecond,
				SessionPinningPreset:    PresetStrictAWS, UnseenChanges: UnseenTrust, PinnedSessionOnLoss: LossClose,
				SessionPinningFilters: []PinningFilter{ExcludeVariableSets, ExcludeSequences},
				InitQuery:             "SET a=1; SET b='${x}'",
				MaxConnectionLifetime: time.Hour, IdleConnectionTimeout: 200 * time.Millisecond, MaxConcurrentDials: 2,
			},
			Auth: []Auth{
				{"file:/run/s.json", IAMEnabled, AuthMySQLNative},
				{"env:DB_SECRET", IAMRequired, AuthMySQLCachingSHA2},
			},
		}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheIdleLimitFollowsTheConnectionLimit(t *testing.T) {
	for limit, want := range map[string]int{"100": 50, "40": 20, "7": 4, "1": 1} {
		text := minimal + "    connection_pool:\n      max_connections_percent: " + limit + "\n"
		if got := mustParse(t, text).TargetGroups[0].ConnectionPool.MaxIdleConnectionsPercent; got != want {
			t.Errorf("limit %s: idle limit is %d, want %d", limit, got, want)
		}
	}
}

func TestTheEnvironmentOverridesTheFile(t *testing.T) {
	got := mustParse(t, documented,
		"BERTH_LOG__LEVEL=debug", "BERTH_RUNTIME__LOOPS=2", "BERTH_RUNTIME__DRAIN_TIMEOUT=0",
		"BERTH_ADMIN__ADDRESS=0.0.0.0:7070", "BERTH_ADMIN__TOKEN=$${literal}",
		// These are not overrides.
		"BERTH_PARANOID=1", "BERTH_CACHE=/tmp", "BERTH_LISTENERS=x", "BERTH_LOG=x", "LOG__LEVEL=x", "BERTH_", "BERTH_BROKEN")
	want := expected()
	want.Log.Level = LevelDebug
	want.Runtime.Loops = 2
	want.Runtime.DrainTimeout = 0
	want.Admin = Admin{"0.0.0.0:7070", "$${literal}"}
	want.TargetGroups[0].ConnectionPool.SessionPinningFilters = []PinningFilter{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestVariablesExpandInValuesOfEveryKind(t *testing.T) {
	text := strings.NewReplacer(
		"127.0.0.1:6432", "${HOST}:${PORT}",
		"idle_client_timeout: 30m", "idle_client_timeout: ${MINUTES}m",
		"max_client_connections: 10000", "max_client_connections: ${MAX}",
		"level: info", "level: ${LEVEL}",
		`init_query: ""`, `init_query: "${QUERY} $x ${EMPTY}$$"`,
	).Replace(documented)
	c := mustParse(t, text, "HOST=localhost", "PORT=1", "MINUTES=4", "MAX=55", "LEVEL=warn",
		"QUERY=a: [${HOST}]\n- b", "EMPTY=")
	l := c.Listeners[0]
	if l.Address != "localhost:1" || l.IdleClientTimeout != 4*time.Minute || l.MaxClientConnections != 55 ||
		c.Log.Level != LevelWarn {
		t.Errorf("got %+v, %+v", l, c.Log)
	}
	// A value is taken as it is: it is neither YAML nor expanded again.
	if got, want := c.TargetGroups[0].ConnectionPool.InitQuery, "a: [${HOST}]\n- b $x $$"; got != want {
		t.Errorf("init_query is %q, want %q", got, want)
	}
}

func TestEmptySectionsAreDefaults(t *testing.T) {
	want := expected()
	if got := mustParse(t, "admin:\nlog: ~\nruntime: {}\n"+minimal); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLoadResolvesPathsAgainstTheFilesDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.MkdirAll("conf", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("conf/berth.yaml", []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load("conf/berth.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.TargetGroups[0].Auth[0].Secret, "file:"+filepath.Join(dir, "conf/secrets/orders.json"); got != want {
		t.Errorf("secret is %s, want %s", got, want)
	}
}

func TestLoadNamesTheFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.yaml"): ": no such file or directory",
		dir:                             ": is a directory",
		large:                           ": larger than 1024 KiB: this is no configuration of Berth",
	} {
		c, err := Load(path, nil)
		var problems *Problems
		if c != nil || !errors.As(err, &problems) || err.Error() != path+want {
			t.Errorf("got %v, %v; want %s", c, err, path+want)
		}
	}
}
