package harness

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// Engine is a database protocol, as the configuration names it.
type Engine string

const (
	Postgres Engine = "postgres"
	MySQL    Engine = "mysql"
)

// Login is who logs in, and how.
type Login struct {
	User, Password, Database string
	Plain                    bool // without TLS; else with TLS and a verified certificate
}

// App is the user of the tests, Superuser the one who may see everybody's connections. Both exist on every server.
func App() Login       { return Login{User: "app", Password: "secret", Database: "app"} }
func Superuser() Login { return Login{User: "root2", Password: "secret", Database: "app"} }

// InClear is l without TLS.
func (l Login) InClear() Login { l.Plain = true; return l }

// connectWithin bounds a login of a test. It is long because whole crowds log in at once.
const connectWithin = 60 * time.Second

// Endpoint is an address to log in to. The programs that are given it as arguments find it on this machine only.
type Endpoint struct {
	Engine Engine
	Host   string // an IP address; empty: this machine
	Port   int
	CAFile string // who signed its certificate
}

func (e Endpoint) host() string { return cmp.Or(e.Host, "127.0.0.1") }

// Address is host and port.
func (e Endpoint) Address() string { return net.JoinHostPort(e.host(), strconv.Itoa(e.Port)) }

// TLS verifies the endpoint's certificate.
func (e Endpoint) TLS() (*tls.Config, error) {
	pem, err := os.ReadFile(e.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", e.CAFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, ServerName: "localhost"}, nil
}

// Pgx is pgx's configuration for l, in its default mode: it prepares each statement by name, and describes it.
func (e Endpoint) Pgx(l Login) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port = e.host(), uint16(e.Port)
	cfg.User, cfg.Password, cfg.Database = l.User, l.Password, l.Database
	cfg.ConnectTimeout = connectWithin
	cfg.Fallbacks = nil
	if !l.Plain {
		if cfg.TLSConfig, err = e.TLS(); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// PgxConn logs in with pgx.
func (e Endpoint) PgxConn(ctx context.Context, l Login) (*pgx.Conn, error) {
	cfg, err := e.Pgx(l)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// GoMySQL is go-sql-driver's configuration for l, in its default mode: it prepares each statement that has parameters.
func (e Endpoint) GoMySQL(l Login) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", e.Address()
	cfg.User, cfg.Passwd, cfg.DBName = l.User, l.Password, l.Database
	cfg.Timeout = connectWithin
	cfg.Logger = &mysql.NopLogger{} // it repeats on stderr what it returns
	if !l.Plain {
		var err error
		if cfg.TLS, err = e.TLS(); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// GoMySQLDB is a pool of go-sql-driver; it opens nothing yet.
func (e Endpoint) GoMySQLDB(l Login) (*sql.DB, error) {
	cfg, err := e.GoMySQL(l)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// PsqlArgs are psql's and pgbench's connection string for l; the password goes into PGPASSWORD.
func (e Endpoint) PsqlArgs(l Login) string {
	s := fmt.Sprintf("host=localhost hostaddr=127.0.0.1 port=%d user=%s dbname=%s connect_timeout=60 ", e.Port, l.User, l.Database)
	if l.Plain {
		return s + "sslmode=disable"
	}
	return s + "sslmode=verify-full sslrootcert=" + e.CAFile
}

// MySQLArgs are the arguments of MySQL's mysql for l; the password goes into MYSQL_PWD.
func (e Endpoint) MySQLArgs(l Login) []string {
	args := []string{
		"--no-defaults", "-h127.0.0.1", fmt.Sprintf("-P%d", e.Port), "-u" + l.User, "-D" + l.Database, "--protocol=tcp", "-BN",
	}
	if l.Plain {
		return append(args, "--ssl-mode=DISABLED", "--get-server-public-key")
	}
	return append(args, "--ssl-mode=VERIFY_IDENTITY", "--ssl-ca="+e.CAFile)
}

// MariaDBArgs are the arguments of MariaDB's client for l; the password goes into MYSQL_PWD.
func (e Endpoint) MariaDBArgs(l Login) []string {
	args := []string{
		"--no-defaults", "-h127.0.0.1", fmt.Sprintf("-P%d", e.Port), "-u" + l.User, "-D" + l.Database, "--protocol=tcp", "-BN",
	}
	if l.Plain {
		return append(args, "--skip-ssl")
	}
	return append(args, "--ssl-verify-server-cert", "--ssl-ca="+e.CAFile)
}
