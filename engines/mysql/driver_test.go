package mysql

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	protocol "github.com/go-mysql-org/go-mysql/mysql"
	sqldriver "github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/core/engine"
)

// attempt is one login of a client.
type attempt struct {
	user, password, database string
	tls                      *tls.Config
}

// clients are the three that must be able to log in: Go's driver, go-mysql's client, and this package's own Dial.
var clients = map[string]func(address string, a attempt) error{
	"go-sql-driver": func(address string, a attempt) error {
		cfg := sqldriver.NewConfig()
		cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", address, a.user, a.password, a.database
		cfg.TLS, cfg.Timeout = a.tls, 5*time.Second
		cfg.Logger = &sqldriver.NopLogger{}
		connector, err := sqldriver.NewConnector(cfg)
		if err != nil {
			return err
		}
		c, err := connector.Connect(context.Background())
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return c.(driver.Pinger).Ping(context.Background())
	},
	"go-mysql": func(address string, a attempt) error {
		c, err := client.Connect(address, a.user, a.password, a.database, func(c *client.Conn) error {
			if a.tls != nil {
				c.SetTLSConfig(a.tls)
			}
			return nil
		})
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		return c.Ping()
	},
	"dial": func(address string, a attempt) error {
		e := New(Config{Credentials: accounts{passwords: map[string]string{a.user: a.password}}})
		t := engine.Target{Name: "proxy", Address: address}
		if a.tls != nil {
			t.TLS = engine.TargetTLS{Mode: engine.TargetTLSVerifyFull, RootCAs: a.tls.RootCAs, ServerName: "localhost"}
		}
		d, err := e.Dial(context.Background(), t, keyOf(a.user, a.database, 0, 45))
		if err != nil {
			return err
		}
		return d.Conn.Close()
	},
}

// number finds a server's error number in the error of any client.
func number(err error) uint16 {
	var a *sqldriver.MySQLError
	var b *protocol.MyError
	var c *engine.ServerError
	switch {
	case errors.As(err, &a):
		return a.Number
	case errors.As(err, &b):
		return b.Code
	case errors.As(err, &c):
		return c.Number
	}
	return 0
}

func TestClientsLogInWithEveryMethodAndServer(t *testing.T) {
	cert, roots := certificate(t)
	listener := engine.ClientTLS{Mode: engine.TLSAllow, Config: &tls.Config{Certificates: []tls.Certificate{cert}}}
	for _, c := range []struct {
		name   string
		config Config
		server serverInfo
	}{
		{"native of mysql", Config{Credentials: users(native)}, mysqlServer},
		{"native of mariadb", Config{Credentials: users(native)}, mariaServer},
		{"caching_sha2 of mysql", Config{Credentials: users(cachingSHA2)}, mysqlServer},
		{"caching_sha2 of mariadb", Config{Credentials: users(cachingSHA2)}, mariaServer},
		{"the default of mysql", Config{Credentials: users("")}, mysqlServer},
		{"the default of mariadb", Config{Credentials: users("")}, mariaServer},
		{"full caching_sha2", Config{Credentials: users(cachingSHA2), FullAuthentication: true}, mysqlServer},
		{"full caching_sha2 of mariadb", Config{Credentials: users(cachingSHA2), FullAuthentication: true}, mariaServer},
	} {
		e := testEngine(c.config, c.server)
		for name, connect := range clients {
			for _, cfg := range []*tls.Config{nil, {RootCAs: roots, ServerName: "localhost"}} {
				transport := " in clear"
				if cfg != nil {
					transport = " over tls"
				}
				t.Run(c.name+"/"+name+transport, func(t *testing.T) {
					address, done := serve(t, e, engine.AcceptOptions{ID: 7, TLS: listener})
					for _, a := range []attempt{{"app", password, "", cfg}, {"open", "", "", cfg}, {"app", password, "shop", cfg}} {
						if err := connect(address, a); err != nil {
							t.Fatalf("%s: %v", a.user, err)
						}
						o := within(t, done)
						if o.err != nil || o.info.key.User != a.user || o.info.tls != (cfg != nil) {
							t.Fatalf("login: %+v", o)
						}
						if name != "dial" && o.info.database != a.database {
							t.Fatalf("database is %q, not %q", o.info.database, a.database)
						}
					}
				})
			}
		}
	}
}

func TestClientsAreDeniedAlikeForEveryReason(t *testing.T) {
	for _, c := range []struct {
		name   string
		config Config
		server serverInfo
	}{
		{"native", Config{Credentials: users(native)}, mysqlServer},
		{"caching_sha2", Config{Credentials: users(cachingSHA2)}, mysqlServer},
		{"native of mariadb", Config{Credentials: users(native)}, mariaServer},
		{"full", Config{Credentials: users(cachingSHA2), FullAuthentication: true}, mysqlServer},
	} {
		e := testEngine(c.config, c.server)
		for name, connect := range clients {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				address, done := serve(t, e, engine.AcceptOptions{ID: 7})
				for _, a := range []attempt{
					{user: "app", password: "wrong"}, {user: "app"}, {user: "open", password: "any"},
					{user: "nobody", password: "any"}, {user: "nobody"}, {password: "any"},
				} {
					err := connect(address, a)
					using := "(using password: NO)"
					if a.password != "" {
						using = "(using password: YES)"
					}
					want := "Access denied for user '" + a.user + "'@'127.0.0.1' " + using
					if err == nil || number(err) != 1045 || !strings.Contains(err.Error(), want) {
						t.Errorf("%q with %q: %v", a.user, a.password, err)
					}
					o := within(t, done)
					known := a.user == "app" || a.user == "open"
					if errors.Is(o.err, engine.ErrDenied) != known || errors.Is(o.err, engine.ErrNoCredential) == known {
						t.Errorf("%q: the log would say %v", a.user, o.err)
					}
				}
			})
		}
	}
}

func TestAListenerThatRequiresTLSTellsClientsInClearSo(t *testing.T) {
	cert, roots := certificate(t)
	e := testEngine(Config{Credentials: users("")}, mysqlServer)
	address, _ := serve(t, e, engine.AcceptOptions{ID: 7, TLS: engine.ClientTLS{Mode: engine.TLSRequire,
		Config: &tls.Config{Certificates: []tls.Certificate{cert}}}})
	for name, connect := range clients {
		if err := connect(address, attempt{user: "app", password: password}); number(err) != 3159 {
			t.Errorf("%s in clear: %v", name, err)
		}
		cfg := &tls.Config{RootCAs: roots, ServerName: "localhost"}
		if err := connect(address, attempt{user: "app", password: password, tls: cfg}); err != nil {
			t.Errorf("%s over tls: %v", name, err)
		}
	}
}

func TestARefusedClientHearsTheReasonInPlaceOfTheGreeting(t *testing.T) {
	e := New(Config{Credentials: users("")}) // no server was reached, and none is needed
	for reason, want := range map[error]uint16{engine.ErrTooManyClients: 1040, engine.ErrShutdown: 1053} {
		address, done := serve(t, e, engine.AcceptOptions{ID: 7, Refuse: reason})
		for name, connect := range clients {
			if err := connect(address, attempt{user: "app", password: password}); number(err) != want {
				t.Errorf("%s: %v", name, err)
			}
			if o := within(t, done); !errors.Is(o.err, reason) {
				t.Errorf("accept returned %v", o.err)
			}
		}
	}
}
