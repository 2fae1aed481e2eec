package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Keys are configuration keys that are written as they are, over what the harness would write.
type Keys map[string]any

// Route is a listener with a target group of its own behind it.
type Route struct {
	Name           string    // of the listener and its group; the server's name if empty
	Server         *Server   // its target, named primary
	Replica        *Server   // another one, named replica; nil: none
	Replicas       []*Server // further ones, named replica1, replica2, ...
	ReadOnly       string    // the name of a second listener to the same group, of role read_only; empty: none
	MaxConnections int       // the pool's limit; 0 leaves it to max_connections_percent
	Users          []Account // who may log in; App if empty
	Plain          bool      // in clear to the server; else with TLS and its certificate verified
	Unused         bool      // no listener leads to its group
	Port           int       // 0: a free one

	Listener Keys // further keys of the listener
	Group    Keys // of the target group
	Pool     Keys // of its connection_pool

	readOnlyPort int
}

// Account is a user of a target group.
type Account struct {
	User, Password string
	AuthType       string // client_password_auth_type; the engine's default if empty
}

// Config is what a proxy is started with.
type Config struct {
	Routes    []Route
	AdminPort int  // 0: a free one
	Top       Keys // further sections, such as runtime
	Env       []string
	// Unready makes the start return as soon as the listeners accept: a target may be down.
	Unready bool
}

// render writes the configuration, its secrets and the proxy's certificate into dir and returns the file's path.
// It fills in the ports and names that were left open.
func (c *Config) render(dir string) (path string, err error) {
	authority, err := newAuthority(dir)
	if err != nil {
		return "", err
	}
	if c.AdminPort == 0 {
		if c.AdminPort, err = FreePort(); err != nil {
			return "", err
		}
	}
	top := Keys{
		"admin":   Keys{"address": "127.0.0.1:" + strconv.Itoa(c.AdminPort)},
		"log":     Keys{"level": "info", "format": "json"},
		"runtime": Keys{"drain_timeout": "2s"},
	}
	var listeners, groups []Keys
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Name == "" {
			r.Name = r.Server.Name
		}
		if r.Port == 0 {
			if r.Port, err = FreePort(); err != nil {
				return "", err
			}
		}
		if !r.Unused {
			listeners = append(listeners, r.listener(authority))
		}
		if r.ReadOnly != "" {
			readOnly, err := r.readOnlyListener(authority)
			if err != nil {
				return "", err
			}
			listeners = append(listeners, readOnly)
		}
		group, err := r.group(dir)
		if err != nil {
			return "", err
		}
		groups = append(groups, group)
	}
	top["listeners"], top["target_groups"] = listeners, groups
	for key, value := range c.Top {
		top.lay(key, value)
	}
	text, err := yaml.Marshal(top)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "berth.yaml")
	return path, os.WriteFile(path, text, 0o600)
}

// lay sets a key, merging sections.
func (k Keys) lay(key string, value any) {
	below, isSection := k[key].(Keys)
	over, both := value.(Keys)
	if !isSection || !both {
		k[key] = value
		return
	}
	for name, v := range over {
		below.lay(name, v)
	}
}

func (r *Route) listener(a authority) Keys {
	k := Keys{
		"name": r.Name, "engine": string(r.Server.Engine), "target_group": r.Name,
		"address": "127.0.0.1:" + strconv.Itoa(r.Port),
		"tls":     Keys{"mode": "allow", "cert_file": a.cert, "key_file": a.key},
	}
	for name, v := range r.Listener {
		k.lay(name, v)
	}
	return k
}

func (r *Route) readOnlyListener(a authority) (Keys, error) {
	var err error
	if r.readOnlyPort == 0 {
		r.readOnlyPort, err = FreePort()
	}
	k := r.listener(a)
	k["name"], k["role"], k["address"] = r.ReadOnly, "read_only", "127.0.0.1:"+strconv.Itoa(r.readOnlyPort)
	return k, err
}

func (r *Route) targets() []Keys {
	all := []Keys{{"name": "primary", "address": r.Server.Address()}}
	if r.Replica != nil {
		all = append(all, Keys{"name": "replica", "address": r.Replica.Address()})
	}
	for i, s := range r.Replicas {
		all = append(all, Keys{"name": fmt.Sprintf("replica%d", i+1), "address": s.Address()})
	}
	return all
}

func (r *Route) group(dir string) (Keys, error) {
	pool := Keys{}
	if r.MaxConnections != 0 {
		pool["max_connections"] = r.MaxConnections
	}
	for name, v := range r.Pool {
		pool.lay(name, v)
	}
	tls := Keys{"mode": "verify-full", "ca_file": r.Server.CAFile}
	if r.Plain {
		tls = Keys{"mode": "disable"}
	}
	users := r.Users
	if len(users) == 0 {
		users = []Account{{User: App().User, Password: App().Password}}
	}
	var auth []Keys
	for _, u := range users {
		file := filepath.Join(dir, fmt.Sprintf("%s-%s.json", r.Name, u.User))
		text, err := json.Marshal(map[string]string{"username": u.User, "password": u.Password})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return nil, err
		}
		entry := Keys{"secret": "file:" + file}
		if u.AuthType != "" {
			entry["client_password_auth_type"] = u.AuthType
		}
		auth = append(auth, entry)
	}
	k := Keys{
		"name": r.Name, "engine": string(r.Server.Engine), "tls": tls, "connection_pool": pool, "auth": auth,
		"targets": r.targets(),
	}
	for name, v := range r.Group {
		k.lay(name, v)
	}
	return k, nil
}
