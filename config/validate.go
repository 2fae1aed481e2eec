package config

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The providers of secrets, as references begin.
const (
	providerFile = "file:"
	providerEnv  = "env:"
)

// minHealthCheck is the least that makes sense as interval or timeout of a health check.
const minHealthCheck = 100 * time.Millisecond

// minLogin is the least in which a client may be expected to log in.
const minLogin = 100 * time.Millisecond

// A name becomes a metric label and part of log lines.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

var sha256Sum = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

// validator checks what a single value's type cannot say.
type validator struct {
	*findings
	config *Config
	bound  []boundAddress // what the process is going to listen on
}

// boundAddress is an address with the path that configures it.
type boundAddress struct {
	address
	path string
}

// validate notes everything that is wrong with c.
func validate(c *Config, f *findings) {
	v := &validator{findings: f, config: c}
	v.admin(c.Admin)
	v.between("runtime.loops", c.Runtime.Loops, 0, 1024)
	v.between("runtime.max_logins", c.Runtime.MaxLogins, 0, 1<<16)
	v.listeners(c.Listeners)
	v.targetGroups(c.TargetGroups)
}

func (v *validator) admin(a Admin) {
	address, ok := v.bind("admin.address", a.Address)
	if strings.ContainsFunc(a.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		// RFC 6750 section 2.1: what a bearer token may consist of.
		v.of("admin.token", "must be printable ASCII without spaces")
	}
	if ok && !address.isLoopback() && a.Token == "" {
		v.of("admin.address", "%s is not loopback: set admin.token as well, or write 127.0.0.1:port", quoted(a.Address))
	}
}

func (v *validator) listeners(listeners []Listener) {
	if len(listeners) == 0 {
		v.of("listeners", "no listener is configured: add one")
	}
	seen := map[string]string{}
	for i, l := range listeners {
		path := indexed("listeners", i)
		v.name(path, l.Name, seen)
		v.required(path+".engine", string(l.Engine), oneOf(l.Engine.allowed()))
		v.bind(path+".address", l.Address)
		v.listenerTLS(path+".tls", l.TLS)
		if l.LoginTimeout == 0 {
			v.of(path+".login_timeout", "0 would let a client hold a login forever: write a duration like 15s")
		} else {
			v.atLeast(path+".login_timeout", l.LoginTimeout, minLogin)
		}
		v.between(path+".max_client_connections", l.MaxClientConnections, 1, 1<<24)
		v.between(path+".max_connections_per_user", l.MaxConnectionsPerUser, 0, 1<<24)
		v.between(path+".max_connections_per_database", l.MaxConnectionsPerDatabase, 0, 1<<24)
		v.connectionLimits(path+".connection_limits", l.ConnectionLimits)
		v.listenerGroup(path, l)
	}
}

func (v *validator) connectionLimits(path string, limits []ConnectionLimit) {
	seen := map[ConnectionLimit]string{}
	for i, l := range limits {
		at := indexed(path, i)
		whose := ConnectionLimit{User: l.User, Database: l.Database}
		first, twice := seen[whose]
		switch {
		case (l.User == "") == (l.Database == ""):
			v.of(at, "is of nobody, or of two: write either user or database")
		case twice:
			v.of(at, "%s has a limit in %s already: remove one", quoted(l.User+l.Database), first)
		default:
			seen[whose] = at
		}
		if v.given(at + ".max_connections") {
			v.between(at+".max_connections", l.MaxConnections, 0, 1<<24)
		} else {
			v.of(at+".max_connections", "is missing: write a number, 0 for no limit")
		}
	}
}

// listenerGroup checks a listener against the target group behind it.
func (v *validator) listenerGroup(path string, l Listener) {
	at := path + ".target_group"
	if !v.required(at, l.TargetGroup, "the name of a target group") {
		return
	}
	i := slices.IndexFunc(v.config.TargetGroups, func(g TargetGroup) bool { return g.Name == l.TargetGroup })
	if i < 0 {
		v.noGroup(at, l.TargetGroup)
		return
	}
	group := v.config.TargetGroups[i]
	groupPath := indexed("target_groups", i)
	if l.Engine != "" && group.Engine != "" && l.Engine != group.Engine {
		v.of(path+".engine", "%s, but target group %s has engine %s: use a group of the same engine",
			l.Engine, l.TargetGroup, group.Engine)
	}
	for j, auth := range group.Auth {
		if auth.IAMAuth == IAMRequired && l.TLS.Mode == ListenerTLSDisable {
			v.of(path+".tls.mode", "disable, but %s.auth[%d] has iam_auth required, which needs TLS: write allow or require",
				groupPath, j)
		}
	}
}

func (v *validator) noGroup(path, name string) {
	if v.isSpoiled("target_groups") {
		return
	}
	var known []string
	for i, g := range v.config.TargetGroups {
		if v.isSpoiled(indexed("target_groups", i) + ".name") {
			return // it may be this one
		}
		if g.Name != "" {
			known = append(known, g.Name)
		}
	}
	if len(known) == 0 {
		v.of(path, "there is no target group %s: add it to target_groups", quoted(name))
		return
	}
	nearest, plausible := nearestOf(name, known)
	if plausible {
		v.of(path, "there is no target group %s (did you mean %s?)", quoted(name), printable(nearest))
		return
	}
	v.of(path, "there is no target group %s: write %s", quoted(name), printable(oneOf(known)))
}

func (v *validator) listenerTLS(path string, tls ListenerTLS) {
	switch {
	case tls.CertFile != "" && tls.KeyFile == "":
		v.of(path+".cert_file", "needs key_file as well")
	case tls.CertFile == "" && tls.KeyFile != "":
		v.of(path+".key_file", "needs cert_file as well")
	}
	if tls.ClientCAFile != "" && tls.Mode == ListenerTLSDisable {
		v.of(path+".client_ca_file", "has no effect with mode disable: write mode require")
	}
}

func (v *validator) targetGroups(groups []TargetGroup) {
	if len(groups) == 0 {
		v.of("target_groups", "no target group is configured: add one")
	}
	seen := map[string]string{}
	for i, g := range groups {
		path := indexed("target_groups", i)
		v.name(path, g.Name, seen)
		v.required(path+".engine", string(g.Engine), oneOf(g.Engine.allowed()))
		if g.Discovery.Source == DiscoveryNone || len(g.Targets) > 0 {
			v.targets(path+".targets", g.Targets)
		}
		v.discovery(path+".discovery", g.Discovery)
		if g.TLS.CAFile != "" && g.TLS.Mode != TargetTLSVerifyCA && g.TLS.Mode != TargetTLSVerifyFull {
			v.of(path+".tls.ca_file", "has no effect with mode %s: write mode verify-ca or verify-full", g.TLS.Mode)
		}
		v.atLeast(path+".health_check.interval", g.HealthCheck.Interval, minHealthCheck)
		v.atLeast(path+".health_check.timeout", g.HealthCheck.Timeout, minHealthCheck)
		v.pool(path+".connection_pool", g.ConnectionPool)
		v.readYourWrites(path, g)
		v.auth(path+".auth", g.Engine, g.Auth)
	}
}

func (v *validator) targets(path string, targets []Target) {
	if len(targets) == 0 {
		v.of(path, "no target is configured: add one with name and address")
	}
	seen := map[string]string{}
	addresses := map[string]string{}
	for i, t := range targets {
		at := indexed(path, i)
		v.name(at, t.Name, seen)
		address, ok := v.address(at+".address", t.Address)
		switch first, twice := addresses[strings.ToLower(t.Address)]; {
		case !ok:
		case address.host == "":
			v.of(at+".address", "%s has no host: write host:port", quoted(t.Address))
		case address.port == 0:
			v.of(at+".address", "%s has no port to connect to: write a port from 1 to 65535", quoted(t.Address))
		case twice:
			// The budget is per target: one server twice would get twice the connections.
			v.of(at+".address", "%s is already %s: give each target its own", quoted(t.Address), first)
		default:
			addresses[strings.ToLower(t.Address)] = at + ".address"
		}
	}
}

func (v *validator) discovery(path string, d Discovery) {
	v.atLeast(path+".interval", d.Interval, minHealthCheck)
	if d.Resolver != "" {
		v.address(path+".resolver", d.Resolver)
	}
	switch d.Source {
	case DiscoveryDNS, DiscoveryAurora, DiscoveryMultiAZ:
		if a, ok := v.address(path+".name", d.Name); ok && (a.host == "" || a.port == 0) {
			v.of(path+".name", "%s lacks a host or a port: write host:port", quoted(d.Name))
		}
	case DiscoverySRV:
		if v.required(path+".name", d.Name, "a name such as _postgresql._tcp.example.com") && !hostName.MatchString(d.Name) {
			v.of(path+".name", "%s is no name: write one such as _postgresql._tcp.example.com", quoted(d.Name))
		}
	case DiscoveryPatroni:
		if len(d.Patroni) == 0 {
			v.of(path+".patroni", "no node is configured: add one such as \"- url: http://10.0.0.1:8008\"")
		}
	case DiscoveryPlugin:
		v.required(path+".plugin.path", d.Plugin.Path, "the path of a program")
	}
	v.plugin(path+".plugin", d.Plugin)
	for i, n := range d.Patroni {
		at := indexed(path+".patroni", i) + ".url"
		if !v.required(at, n.URL, "http://host:8008") {
			continue
		}
		// It is not shown: it may have a password.
		if u, err := url.Parse(n.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			v.of(at, "is not a URL: write http://host:8008 or https://host:8008")
		}
	}
}

func (v *validator) plugin(path string, p DiscoveryProgram) {
	if p.SHA256 != "" && !sha256Sum.MatchString(p.SHA256) {
		v.of(path+".sha256", "%s is no SHA-256 checksum: write the 64 hexadecimal digits that sha256sum prints", quoted(p.SHA256))
	}
	seen := map[string]string{}
	for i, s := range p.Settings {
		v.name(indexed(path+".settings", i), s.Name, seen)
	}
}

// readYourWrites checks that reads have time to wait for what they must see, and a connection by which that is asked has its place.
func (v *validator) readYourWrites(path string, g TargetGroup) {
	r, p := g.Replicas, g.ConnectionPool
	if r.ReadYourWrites == ReadAnything {
		return
	}
	if r.CatchUpTimeout >= p.ConnectionBorrowTimeout {
		v.of(path+".replicas.catch_up_timeout", "%s is not shorter than connection_borrow_timeout, %s, within which reads wait: "+
			"write less", r.CatchUpTimeout, p.ConnectionBorrowTimeout)
	}
	if p.MaxConnections == 1 {
		v.of(path+".connection_pool.max_connections", "1 is too few with replicas.read_your_writes, which needs a connection of its own: "+
			"write at least 2")
	}
}

func (v *validator) pool(path string, p ConnectionPool) {
	if v.between(path+".max_connections_percent", p.MaxConnectionsPercent, 1, 100) {
		v.between(path+".max_idle_connections_percent", p.MaxIdleConnectionsPercent, 0, p.MaxConnectionsPercent)
	}
	v.between(path+".max_connections", p.MaxConnections, 0, 1<<20)
	v.between(path+".max_concurrent_dials", p.MaxConcurrentDials, 1, 1<<10)
}

func (v *validator) auth(path string, engine Engine, auth []Auth) {
	if len(auth) == 0 {
		v.of(path, "nobody can log in: add an entry such as \"- secret: file:secrets/name.json\"")
	}
	seen := map[string]string{}
	for i, a := range auth {
		at := indexed(path, i)
		v.secret(at+".secret", a.Secret, seen)
		if types := authTypes(engine); !slices.Contains(types, string(a.ClientPasswordAuthType)) {
			v.of(at+".client_password_auth_type", "%s is not known for this engine: write %s",
				quoted(string(a.ClientPasswordAuthType)), oneOf(types))
		}
	}
}

// secret checks a reference without showing it: somebody may have written the password itself.
func (v *validator) secret(path, secret string, seen map[string]string) {
	const want = "file:path or env:NAME"
	if !v.required(path, secret, want) {
		return
	}
	if first, twice := seen[secret]; twice {
		v.of(path, "is the same as %s: remove one", first)
		return
	}
	seen[secret] = path
	file, isFile := strings.CutPrefix(secret, providerFile)
	name, isEnv := strings.CutPrefix(secret, providerEnv)
	switch {
	case isFile && file == "":
		v.of(path, "has no path after file: (write file:path)")
	case isFile && strings.HasSuffix(file, string(filepath.Separator)):
		v.of(path, "names a directory: write the path of a file")
	case isEnv && !variableName.MatchString(name):
		v.of(path, "does not name an environment variable after env: (write env:NAME)")
	case !isFile && !isEnv:
		v.of(path, "has no known provider: write %s", want)
	}
}

// name checks the name of an element of a list, and that it is the first of this name.
func (v *validator) name(path, name string, seen map[string]string) {
	at := path + ".name"
	if !v.required(at, name, "a name that is unique in this list") {
		return
	}
	if !validName.MatchString(name) {
		v.of(at, "%s is not a valid name: write up to 63 letters, digits, dots, dashes and underscores, "+
			"beginning with a letter or digit", quoted(name))
		return
	}
	if first, twice := seen[name]; twice {
		v.of(at, "%s is already the name of %s: choose another", quoted(name), first)
		return
	}
	seen[name] = path
}

// bind checks an address to listen on, and that no other takes it.
func (v *validator) bind(path, text string) (address, bool) {
	a, ok := v.address(path, text)
	if !ok {
		return a, false
	}
	for _, other := range v.bound {
		if a.collides(other.address) {
			v.of(path, "%s is already taken by %s: choose another port", quoted(text), other.path)
			return a, true
		}
	}
	v.bound = append(v.bound, boundAddress{a, path})
	return a, true
}

func (v *validator) address(path, text string) (address, bool) {
	if !v.required(path, text, "host:port, such as 127.0.0.1:6432") {
		return address{}, false
	}
	a, err := parseAddress(text)
	if err != nil {
		v.of(path, "%s is not an address: %s", quoted(text), err)
		return address{}, false
	}
	return a, true
}

// required checks that a text was given.
func (v *validator) required(path, text, want string) bool {
	switch {
	case text != "":
		return true
	case v.given(path):
		v.of(path, "is empty: write %s", want)
	default:
		v.of(path, "is missing: write %s", want)
	}
	return false
}

func (v *validator) atLeast(path string, d, low time.Duration) {
	if d < low {
		v.of(path, "%s is too short: write at least %s", d, low)
	}
}

func (v *validator) between(path string, n, low, high int) bool {
	if n >= low && n <= high {
		return true
	}
	v.of(path, "%d is out of range: write a number from %d to %d", n, low, high)
	return false
}
