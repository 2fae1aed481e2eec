package config

import (
	"fmt"
	"io"
)

// enum is a string type of which only some values exist.
type enum interface{ allowed() []string }

// Engine is a database protocol.
type Engine string

// The engines.
const (
	EnginePostgres Engine = "postgres"
	EngineMySQL    Engine = "mysql"
)

func (Engine) allowed() []string { return names(EnginePostgres, EngineMySQL) }

// Role is what a listener's clients may do.
type Role string

// The roles.
const (
	RoleReadWrite Role = "read_write"
	RoleReadOnly  Role = "read_only"
)

func (Role) allowed() []string { return names(RoleReadWrite, RoleReadOnly) }

// LogLevel is the least important level that is logged.
type LogLevel string

// The levels.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

func (LogLevel) allowed() []string { return names(LevelDebug, LevelInfo, LevelWarn, LevelError) }

// LogFormat is how log lines look. FormatAuto is console on a terminal and JSON elsewhere.
type LogFormat string

// The formats.
const (
	FormatAuto    LogFormat = "auto"
	FormatJSON    LogFormat = "json"
	FormatConsole LogFormat = "console"
)

func (LogFormat) allowed() []string { return names(FormatAuto, FormatJSON, FormatConsole) }

// PinFormat is whose words the log's lines on pins use.
type PinFormat string

// The pin formats.
const (
	PinFormatBerth PinFormat = "berth"
	PinFormatRDS   PinFormat = "rds" // RDS Proxy's, for parsers of its logs
)

func (PinFormat) allowed() []string { return names(PinFormatBerth, PinFormatRDS) }

// ListenerTLSMode says whether clients may, or must, use TLS.
type ListenerTLSMode string

// The modes of a listener.
const (
	ListenerTLSDisable ListenerTLSMode = "disable"
	ListenerTLSAllow   ListenerTLSMode = "allow"
	ListenerTLSRequire ListenerTLSMode = "require"
)

func (ListenerTLSMode) allowed() []string {
	return names(ListenerTLSDisable, ListenerTLSAllow, ListenerTLSRequire)
}

// TargetTLSMode says how the proxy uses TLS towards targets, in libpq's terms.
type TargetTLSMode string

// The modes towards targets.
const (
	TargetTLSDisable    TargetTLSMode = "disable"
	TargetTLSPrefer     TargetTLSMode = "prefer"
	TargetTLSRequire    TargetTLSMode = "require"
	TargetTLSVerifyCA   TargetTLSMode = "verify-ca"
	TargetTLSVerifyFull TargetTLSMode = "verify-full"
)

func (TargetTLSMode) allowed() []string {
	return names(TargetTLSDisable, TargetTLSPrefer, TargetTLSRequire, TargetTLSVerifyCA, TargetTLSVerifyFull)
}

// PinningFilter excludes one kind of session state from pinning.
type PinningFilter string

// The pinning filters. The first is RDS Proxy's, the others are Berth's own.
const (
	ExcludeVariableSets       PinningFilter = "EXCLUDE_VARIABLE_SETS"
	ExcludeTemporaryTables    PinningFilter = "EXCLUDE_TEMPORARY_TABLES"
	ExcludePreparedStatements PinningFilter = "EXCLUDE_PREPARED_STATEMENTS"
	ExcludeNamedLocks         PinningFilter = "EXCLUDE_NAMED_LOCKS"
	ExcludeSequences          PinningFilter = "EXCLUDE_SEQUENCES"
)

func (PinningFilter) allowed() []string {
	return names(ExcludeVariableSets, ExcludeTemporaryTables, ExcludePreparedStatements,
		ExcludeNamedLocks, ExcludeSequences)
}

// PinningPreset is what pins, before the filters.
type PinningPreset string

// The presets.
const (
	PresetMultiplex PinningPreset = "multiplex"
	PresetStrictAWS PinningPreset = "strict-aws"
)

func (PinningPreset) allowed() []string { return names(PresetMultiplex, PresetStrictAWS) }

// UnseenChanges is what becomes of session state that code changed which no scan of a statement sees.
type UnseenChanges string

// The values of UnseenChanges.
const (
	UnseenVerify UnseenChanges = "verify"
	UnseenPin    UnseenChanges = "pin"
	UnseenTrust  UnseenChanges = "trust"
)

func (UnseenChanges) allowed() []string { return names(UnseenVerify, UnseenPin, UnseenTrust) }

// OnLoss is what becomes of a pinned session whose backend is lost.
type OnLoss string

// The values of OnLoss.
const (
	LossContinue OnLoss = "continue"
	LossClose    OnLoss = "close"
)

func (OnLoss) allowed() []string { return names(LossContinue, LossClose) }

// DiscoverySource is where the targets of a group are found.
type DiscoverySource string

// The sources. DiscoveryNone is the configuration itself.
const (
	DiscoveryNone    DiscoverySource = "none"
	DiscoveryDNS     DiscoverySource = "dns"
	DiscoverySRV     DiscoverySource = "srv"
	DiscoveryPatroni DiscoverySource = "patroni"
	DiscoveryAurora  DiscoverySource = "aurora"
	DiscoveryMultiAZ DiscoverySource = "rds_multi_az"
	DiscoveryPlugin  DiscoverySource = "plugin"
)

func (DiscoverySource) allowed() []string {
	return names(DiscoveryNone, DiscoveryDNS, DiscoverySRV, DiscoveryPatroni, DiscoveryAurora, DiscoveryMultiAZ, DiscoveryPlugin)
}

// Fallback is what read-only sessions use while no replica may be used.
type Fallback string

// The values of Fallback.
const (
	FallbackWriter Fallback = "writer"
	FallbackNone   Fallback = "none" // they wait
)

func (Fallback) allowed() []string { return names(FallbackWriter, FallbackNone) }

// ReadYourWrites is what reads through listeners of role read_only are sure to see.
type ReadYourWrites string

// The values of ReadYourWrites.
const (
	ReadAnything  ReadYourWrites = "off"
	ReadCommitted ReadYourWrites = "committed" // everything that the writer had committed when they came
)

func (ReadYourWrites) allowed() []string { return names(ReadAnything, ReadCommitted) }

// IAMAuth says whether a user may, or must, log in with an IAM token.
type IAMAuth string

// The values of IAMAuth.
const (
	IAMDisabled IAMAuth = "disabled"
	IAMEnabled  IAMAuth = "enabled"
	IAMRequired IAMAuth = "required"
)

func (IAMAuth) allowed() []string { return names(IAMDisabled, IAMEnabled, IAMRequired) }

// AuthType is how a client proves its password. Which exist depends on the engine, so that it is checked with the
// target group and is no enum by itself.
type AuthType string

// The authentication types; the first of each engine is its default.
const (
	AuthPostgresSCRAM    AuthType = "postgres_scram_sha_256"
	AuthPostgresMD5      AuthType = "postgres_md5"
	AuthMySQLCachingSHA2 AuthType = "mysql_caching_sha2_password"
	AuthMySQLNative      AuthType = "mysql_native_password"
)

// authTypes lists the authentication types of an engine, its default first; all of them if the engine is unknown.
func authTypes(e Engine) []string {
	switch e {
	case EnginePostgres:
		return names(AuthPostgresSCRAM, AuthPostgresMD5)
	case EngineMySQL:
		return names(AuthMySQLCachingSHA2, AuthMySQLNative)
	}
	return names(AuthPostgresSCRAM, AuthPostgresMD5, AuthMySQLCachingSHA2, AuthMySQLNative)
}

func defaultAuthType(e Engine) AuthType { return AuthType(authTypes(e)[0]) }

// Token is a secret string that does not print. Reveal is the only way to its value.
type Token string

const redacted = "[redacted]"

// Reveal returns the token itself, to compare it with what a client showed.
func (t Token) Reveal() string { return string(t) }

func (Token) String() string               { return redacted }
func (Token) GoString() string             { return redacted }
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format prints the same for every verb: without it, fmt would show the value of a string type to a verb like %d.
func (Token) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

func names[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}
