package harness

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// startWithin covers downloading a server.
const startWithin = 10 * time.Minute

// Server is a running database server.
type Server struct {
	Endpoint
	Name string // scripts/db's name
	Dir  string // its data, log and tls
}

// engines says what speaks what.
var engines = map[string]Engine{
	"pg15": Postgres, "pg17": Postgres, "pg18": Postgres,
	"mariadb1011": MySQL, "mariadb118": MySQL, "mysql97": MySQL, "mysql57": MySQL,
}

// sharedPort is a shared server's port above the base.
var sharedPort = map[string]int{"pg15": 15, "pg18": 18, "mariadb1011": 10, "mysql97": 97}

// PostgresNames and MySQLNames are the shared servers.
func PostgresNames() []string { return []string{"pg15", "pg18"} }
func MySQLNames() []string    { return []string{"mariadb1011", "mysql97"} }

// starts makes every shared server start once per process.
var starts struct {
	mu     sync.Mutex
	shared map[string]*Server
}

// SharedServer starts one of the shared servers unless it runs.
func SharedServer(ctx context.Context, name string) (*Server, error) {
	starts.mu.Lock()
	defer starts.mu.Unlock()
	if s, ok := starts.shared[name]; ok {
		return s, nil
	}
	above, ok := sharedPort[name]
	if !ok {
		return nil, fmt.Errorf("%s is not a shared server", name)
	}
	base := 24100
	if text := os.Getenv("BERTH_TEST_PORT_BASE"); text != "" {
		var err error
		if base, err = strconv.Atoi(text); err != nil || base < 1024 || base > 32600 {
			return nil, fmt.Errorf("BERTH_TEST_PORT_BASE=%s: write a number from 1024 to 32600", text)
		}
	}
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	s, err := StartServer(ctx, name, filepath.Join(dir, name), base+above, "max_connections=300")
	if err != nil {
		return nil, err
	}
	if starts.shared == nil {
		starts.shared = map[string]*Server{}
	}
	starts.shared[name] = s
	return s, nil
}

// StartServer starts a server in dir, or finds it running there with the same options (name=value).
func StartServer(ctx context.Context, name, dir string, port int, options ...string) (*Server, error) {
	engine, ok := engines[name]
	if !ok {
		return nil, fmt.Errorf("%s is not a server of scripts/db", name)
	}
	ctx, stop := context.WithTimeout(ctx, startWithin)
	defer stop()
	if _, err := db(ctx, append([]string{"start", name, dir, strconv.Itoa(port)}, options...)...); err != nil {
		return nil, err
	}
	e := Endpoint{Engine: engine, Port: port, CAFile: filepath.Join(dir, "tls", "ca.crt")}
	return &Server{Endpoint: e, Name: name, Dir: dir}, nil
}

// Stop stops the server.
func (s *Server) Stop(ctx context.Context) error {
	_, err := db(ctx, "stop", s.Dir)
	return err
}

// Crash kills the server as a power failure would. Restart brings it back.
func (s *Server) Crash(ctx context.Context) error {
	_, err := db(ctx, "stop", "-9", s.Dir)
	return err
}

// Restart starts the server again after Stop or Crash, on its port. options must be what it was started with.
func (s *Server) Restart(ctx context.Context, options ...string) error {
	_, err := StartServer(ctx, s.Name, s.Dir, s.Port, options...)
	return err
}

// StartReplica starts a replica of s, which runs, in dir.
func (s *Server) StartReplica(ctx context.Context, dir string, port int) (*Server, error) {
	ctx, stop := context.WithTimeout(ctx, startWithin)
	defer stop()
	args := []string{"replica", dir, strconv.Itoa(port), s.Dir}
	if s.Host != "" {
		args = append(args, s.Host)
	}
	if _, err := db(ctx, args...); err != nil {
		return nil, err
	}
	e := Endpoint{Engine: s.Engine, Port: port, CAFile: s.CAFile}
	return &Server{Endpoint: e, Name: s.Name, Dir: dir}, nil
}

// awaitRelayLog waits until a MariaDB replica, which receives no more, has executed what it has received.
const awaitRelayLog = `begin not atomic
	while (select count(*) from information_schema.processlist
		where command = 'Slave_SQL' and state like '%has read all relay log%') = 0 do do sleep(0.02); end while;
end`

// Promote makes a replica a writer, and returns when it takes writes. On MySQL it needs performance_schema=ON.
func (s *Server) Promote(ctx context.Context) error {
	switch {
	case s.Engine == Postgres:
		return s.Exec(ctx, "select pg_promote(true, 60)")
	case strings.HasPrefix(s.Name, "mariadb"):
		return s.Exec(ctx, "stop slave io_thread", awaitRelayLog, "stop slave", "reset slave all", "set global read_only = off")
	}
	return s.Exec(ctx, "stop replica io_thread", "do wait_for_executed_gtid_set((select received_transaction_set"+
		" from performance_schema.replication_connection_status), 60)", "stop replica", "reset replica all",
		"set global super_read_only = off", "set global read_only = off")
}

// Exec runs statements as superuser, past any proxy.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	run, end, err := s.superuser(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, q := range statements {
		if err := run(ctx, q); err != nil {
			return fmt.Errorf("%s: %s: %w", s.Name, q, err)
		}
	}
	return nil
}

// superuser logs in and returns what runs a statement.
func (s *Server) superuser(ctx context.Context) (run func(context.Context, string) error, end func(), err error) {
	if s.Engine == Postgres {
		conn, err := s.PgxConn(ctx, Superuser())
		if err != nil {
			return nil, nil, err
		}
		run = func(ctx context.Context, q string) error {
			_, err := conn.Exec(ctx, q, pgx.QueryExecModeSimpleProtocol)
			return err
		}
		return run, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
	}
	pool, err := s.GoMySQLDB(Superuser())
	if err != nil {
		return nil, nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, nil, err
	}
	run = func(ctx context.Context, q string) error {
		_, err := conn.ExecContext(ctx, q)
		return err
	}
	return run, func() { _ = conn.Close(); _ = pool.Close() }, nil
}

// Connections counts a user's connections.
func (s *Server) Connections(ctx context.Context, user string) (Connections, error) {
	count, end, err := s.counter(ctx, user)
	if err != nil {
		return Connections{}, err
	}
	defer end()
	return count(ctx)
}

// counter logs in as superuser and returns what counts a user's connections and, apart, those with a transaction open.
func (s *Server) counter(ctx context.Context, user string) (count func(context.Context) (Connections, error), end func(), err error) {
	if s.Engine == Postgres {
		conn, err := s.PgxConn(ctx, Superuser())
		if err != nil {
			return nil, nil, err
		}
		count = func(ctx context.Context) (c Connections, err error) {
			err = conn.QueryRow(ctx, `select count(*), count(xact_start) from pg_stat_activity
				where usename = $1 and backend_type = 'client backend'`, user).Scan(&c.Open, &c.InTransaction)
			return c, err
		}
		return count, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
	}
	pool, err := s.GoMySQLDB(Superuser())
	if err != nil {
		return nil, nil, err
	}
	pool.SetMaxOpenConns(1)
	pool.SetMaxIdleConns(1)
	count = func(ctx context.Context) (c Connections, err error) {
		return c, countMySQL(ctx, pool, user, &c)
	}
	return count, func() { _ = pool.Close() }, nil
}

func countMySQL(ctx context.Context, pool *sql.DB, user string, c *Connections) error {
	return pool.QueryRowContext(ctx, `select count(*), (select count(*) from information_schema.innodb_trx t
		join information_schema.processlist q on q.id = t.trx_mysql_thread_id where q.user = ?)
		from information_schema.processlist where user = ?`, user, user).Scan(&c.Open, &c.InTransaction)
}
