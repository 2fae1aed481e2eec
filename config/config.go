package config

import "time"

// Config is a whole configuration, checked and with all defaults filled in. It must not be written to.
type Config struct {
	Admin        Admin         `koanf:"admin"`
	Log          Log           `koanf:"log"`
	Runtime      Runtime       `koanf:"runtime"`
	Listeners    []Listener    `koanf:"listeners"`
	TargetGroups []TargetGroup `koanf:"target_groups"`
}

// Admin is where health, metrics, the status API and the dashboard are served.
type Admin struct {
	Address string `koanf:"address"`
	// Token is what a client must show as bearer token. It is never empty if Address is not loopback.
	Token Token `koanf:"token"`
}

// Log says what is logged and how.
type Log struct {
	Level     LogLevel  `koanf:"level"`
	Format    LogFormat `koanf:"format"`
	PinFormat PinFormat `koanf:"pin_format"`
}

// Runtime is about the process itself.
type Runtime struct {
	Loops        int           `koanf:"loops"`         // event loops; 0: one per core
	MaxLogins    int           `koanf:"max_logins"`    // logins at work at once; 0: automatic
	DrainTimeout time.Duration `koanf:"drain_timeout"` // how long a drain waits for sessions; 0: not at all
	// HandOverTimeout is how long sessions may stay with a process that has handed over its listeners; 0: not at all.
	HandOverTimeout time.Duration `koanf:"hand_over_timeout"`
}

// Listener is an address that clients connect to.
type Listener struct {
	Name              string        `koanf:"name"`
	Engine            Engine        `koanf:"engine"`
	Address           string        `koanf:"address"` // host:port; the host may be empty (every address), the port 0 (any)
	TargetGroup       string        `koanf:"target_group"`
	Role              Role          `koanf:"role"`
	TLS               ListenerTLS   `koanf:"tls"`
	LoginTimeout      time.Duration `koanf:"login_timeout"`       // never 0
	IdleClientTimeout time.Duration `koanf:"idle_client_timeout"` // 0: idle clients stay
	// How long things of a session may take; 0: any time.
	QueryTimeout             time.Duration `koanf:"query_timeout"`
	TransactionTimeout       time.Duration `koanf:"transaction_timeout"`
	IdleInTransactionTimeout time.Duration `koanf:"idle_in_transaction_timeout"`
	MaxClientConnections     int           `koanf:"max_client_connections"`
	// Of the sessions of one user, and of those with one database, for whom ConnectionLimits says nothing; 0: no limit.
	MaxConnectionsPerUser     int               `koanf:"max_connections_per_user"`
	MaxConnectionsPerDatabase int               `koanf:"max_connections_per_database"`
	ConnectionLimits          []ConnectionLimit `koanf:"connection_limits"`
}

// ConnectionLimit is a limit of one user or one database of a listener. Exactly one of them is given.
type ConnectionLimit struct {
	User           string `koanf:"user"`
	Database       string `koanf:"database"`
	MaxConnections int    `koanf:"max_connections"` // 0: no limit
}

// ListenerTLS is TLS towards clients. Its paths are absolute, or empty.
type ListenerTLS struct {
	Mode         ListenerTLSMode `koanf:"mode"`
	CertFile     string          `koanf:"cert_file"` // empty: a self-signed certificate made in memory
	KeyFile      string          `koanf:"key_file"`  // empty exactly if CertFile is
	ClientCAFile string          `koanf:"client_ca_file"`
}

// TargetGroup is the database behind listeners.
type TargetGroup struct {
	Name           string         `koanf:"name"`
	Engine         Engine         `koanf:"engine"`
	Targets        []Target       `koanf:"targets"` // at least one, unless they are discovered
	Discovery      Discovery      `koanf:"discovery"`
	TLS            TargetTLS      `koanf:"tls"`
	HealthCheck    HealthCheck    `koanf:"health_check"`
	Replicas       Replicas       `koanf:"replicas"`
	ConnectionPool ConnectionPool `koanf:"connection_pool"`
	Auth           []Auth         `koanf:"auth"` // at least one
}

// Target is one database server.
type Target struct {
	Name    string `koanf:"name"`
	Address string `koanf:"address"` // host:port, both given
}

// Discovery says where the targets of a group are found. The targets that are given are used until the first answer.
type Discovery struct {
	Source   DiscoverySource `koanf:"source"`
	Interval time.Duration   `koanf:"interval"` // between two questions; at least 100ms
	Name     string          `koanf:"name"`     // of dns, aurora and rds_multi_az: host:port; of srv: the records' name
	Resolver string          `koanf:"resolver"` // host:port of a DNS server; empty: the system's resolution
	Patroni  []PatroniNode   `koanf:"patroni"`
	CAFile   string          `koanf:"ca_file"` // for Patroni; absolute; empty: the system's certificates
	// InstanceHostPattern is an instance's host, or host:port, with a ? for its ID; empty: it follows from Name.
	InstanceHostPattern string           `koanf:"instance_host_pattern"`
	Plugin              DiscoveryProgram `koanf:"plugin"`
}

// DiscoveryProgram is a program that tells where the targets are.
type DiscoveryProgram struct {
	Path     string          `koanf:"path"`   // absolute
	SHA256   string          `koanf:"sha256"` // of the file, in hexadecimal; empty: it is not looked at
	Settings []PluginSetting `koanf:"settings"`
}

// PluginSetting is something that a plugin is told. It may be a secret.
type PluginSetting struct {
	Name  string `koanf:"name"`
	Value Token  `koanf:"value"`
}

// PatroniNode is a node whose REST API is asked.
type PatroniNode struct {
	URL string `koanf:"url"` // http or https; it may have a user and a password
}

// TargetTLS is TLS towards the targets of a group.
type TargetTLS struct {
	Mode       TargetTLSMode `koanf:"mode"`
	CAFile     string        `koanf:"ca_file"`     // absolute; empty: the system's certificates
	ServerName string        `koanf:"server_name"` // sent and verified instead of the host in the target's address
}

// HealthCheck says how the targets of a group are watched.
type HealthCheck struct {
	Interval time.Duration `koanf:"interval"` // between two questions to a target that is up; at least 100ms
	Timeout  time.Duration `koanf:"timeout"`  // for an answer; at least 100ms
}

// Replicas says which targets listeners of role read_only lead to.
type Replicas struct {
	MaxLag   time.Duration `koanf:"max_lag"`  // how far a replica may be behind; 0: however far
	Fallback Fallback      `koanf:"fallback"` // what is used while no replica may be
	// ReadYourWrites is what reads are sure to see.
	ReadYourWrites ReadYourWrites `koanf:"read_your_writes"`
	// CatchUpTimeout is how long a read waits for a replica that has that before it uses the writer, if it may. It is less than the
	// pool's ConnectionBorrowTimeout, for then it fails.
	CatchUpTimeout time.Duration `koanf:"catch_up_timeout"`
}

// ConnectionPool limits the database connections of a group. Limits are per target.
type ConnectionPool struct {
	MaxConnectionsPercent int `koanf:"max_connections_percent"` // of the server's max_connections
	MaxConnections        int `koanf:"max_connections"`         // instead of the percentage, if not 0
	// MaxIdleConnectionsPercent is of the same whole as MaxConnectionsPercent and at most that. If it is not
	// given it is half of MaxConnectionsPercent.
	MaxIdleConnectionsPercent int             `koanf:"max_idle_connections_percent"`
	ConnectionBorrowTimeout   time.Duration   `koanf:"connection_borrow_timeout"` // 0: a free pooled connection or an error at once
	SessionPinningPreset      PinningPreset   `koanf:"session_pinning_preset"`
	SessionPinningFilters     []PinningFilter `koanf:"session_pinning_filters"`
	UnseenChanges             UnseenChanges   `koanf:"unseen_changes"`
	PinnedSessionOnLoss       OnLoss          `koanf:"pinned_session_on_loss"`
	InitQuery                 string          `koanf:"init_query"`
	MaxConnectionLifetime     time.Duration   `koanf:"max_connection_lifetime"` // 0: no limit
	IdleConnectionTimeout     time.Duration   `koanf:"idle_connection_timeout"` // 0: idle connections stay
	MaxConcurrentDials        int             `koanf:"max_concurrent_dials"`    // per target
}

// Auth is a user who may log in, on both sides of the proxy.
type Auth struct {
	// Secret is provider:reference. The provider is file, with an absolute path, or env, with a variable's name.
	Secret                 string   `koanf:"secret"`
	IAMAuth                IAMAuth  `koanf:"iam_auth"`
	ClientPasswordAuthType AuthType `koanf:"client_password_auth_type"` // never empty, and of the group's engine
}

func defaultConfig() Config {
	return Config{
		Admin:   Admin{Address: "127.0.0.1:7070"},
		Log:     Log{Level: LevelInfo, Format: FormatAuto, PinFormat: PinFormatBerth},
		Runtime: Runtime{DrainTimeout: 30 * time.Second, HandOverTimeout: 10 * time.Minute},
	}
}

func defaultListener() Listener {
	return Listener{
		Role:                 RoleReadWrite,
		TLS:                  ListenerTLS{Mode: ListenerTLSAllow},
		LoginTimeout:         15 * time.Second,
		IdleClientTimeout:    30 * time.Minute,
		MaxClientConnections: 10000,
	}
}

func defaultTargetGroup() TargetGroup {
	return TargetGroup{
		TLS:         TargetTLS{Mode: TargetTLSPrefer},
		HealthCheck: HealthCheck{Interval: 2 * time.Second, Timeout: 3 * time.Second},
		Replicas:    Replicas{Fallback: FallbackWriter, ReadYourWrites: ReadAnything, CatchUpTimeout: 500 * time.Millisecond},
		Discovery:   Discovery{Source: DiscoveryNone, Interval: 5 * time.Second},
		ConnectionPool: ConnectionPool{
			MaxConnectionsPercent:   100,
			ConnectionBorrowTimeout: 120 * time.Second,
			SessionPinningPreset:    PresetMultiplex,
			UnseenChanges:           UnseenVerify,
			PinnedSessionOnLoss:     LossContinue,
			MaxConnectionLifetime:   24 * time.Hour,
			IdleConnectionTimeout:   5 * time.Minute,
			MaxConcurrentDials:      8,
		},
	}
}

func defaultAuth() Auth { return Auth{IAMAuth: IAMDisabled} }

// fillDerived sets the defaults that depend on other values. given says whether the path was configured.
func fillDerived(c *Config, given func(path string) bool) {
	for i := range c.TargetGroups {
		group := &c.TargetGroups[i]
		pool := &group.ConnectionPool
		if !given(indexed("target_groups", i) + ".connection_pool.max_idle_connections_percent") {
			pool.MaxIdleConnectionsPercent = (pool.MaxConnectionsPercent + 1) / 2
		}
		for j := range group.Auth {
			if group.Auth[j].ClientPasswordAuthType == "" {
				group.Auth[j].ClientPasswordAuthType = defaultAuthType(group.Engine)
			}
		}
	}
}
