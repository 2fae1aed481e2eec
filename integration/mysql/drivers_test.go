package mysql

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

func TestGoSQLDriverWorksWithAndWithoutPreparedStatements(t *testing.T) {
	for _, interpolate := range []bool{false, true} {
		t.Run(fmt.Sprintf("interpolating %t", interpolate), func(t *testing.T) {
			shared(t, func(t *testing.T, f front) {
				name := table(t, f.server, "driver", "(id int auto_increment primary key, s varchar(50))")
				cfg, err := f.GoMySQL(plain())
				if err != nil {
					t.Fatal(err)
				}
				cfg.InterpolateParams = interpolate
				connector, err := mysql.NewConnector(cfg)
				if err != nil {
					t.Fatal(err)
				}
				db := sql.OpenDB(connector)
				defer func() { _ = db.Close() }()
				db.SetMaxOpenConns(1)
				for i := range 20 {
					r, err := db.ExecContext(t.Context(), "insert into "+name+" (s) values (?)", fmt.Sprintf("it's %d", i))
					if err != nil {
						t.Fatal(err)
					}
					if id, err := r.LastInsertId(); err != nil || id != int64(i+1) {
						t.Errorf("id %d, %v", id, err)
					}
				}
				tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := tx.ExecContext(t.Context(), "insert into "+name+" (s) values ('x')"); err == nil {
					t.Error("a read-only transaction writes")
				}
				if err := tx.Rollback(); err != nil {
					t.Error(err)
				}
				var s string
				if err := db.QueryRowContext(t.Context(), "select s from "+name+" where id = ?", 20).Scan(&s); err != nil || s != "it's 19" {
					t.Errorf("%q, %v", s, err)
				}
			})
		})
	}
}

func TestGoMySQLClientWorks(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for _, l := range []harness.Login{harness.App(), plain()} {
			conn, err := client.Connect(f.Address(), l.User, l.Password, l.Database, func(c *client.Conn) error {
				if l.Plain {
					return nil
				}
				config, err := f.TLS()
				c.SetTLSConfig(config)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				for _, args := range [][]any{nil, {7}} {
					q := "select 6 + 1"
					if args != nil {
						q = "select ?"
					}
					r, err := conn.Execute(q, args...)
					if err != nil {
						t.Fatal(err)
					}
					if n, err := r.GetInt(0, 0); err != nil || n != 7 {
						t.Errorf("%s: %d, %v", q, n, err)
					}
				}
			}
			if err := conn.Ping(); err != nil {
				t.Error(err)
			}
			if err := conn.Quit(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestCommandLineClientsSendQueryAttributesAndFieldLists(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		l := harness.App()
		for clientName, args := range map[string][]string{"mysql97": f.MySQLArgs(l), "mariadb1011": f.MariaDBArgs(l)} {
			script := "select 1; select 2;\n"
			if clientName == "mysql97" {
				args = append(args, "--commands", "--named-commands")
				script = "query_attributes n1 v1 n2 v2;\nselect 1;\nselect 2;\n"
			}
			cmd := exec.CommandContext(t.Context(), harness.Program(t, clientName, "MYSQL"), append(args, "--auto-rehash", "--comments")...)
			cmd.Env = append(os.Environ(), "MYSQL_PWD="+l.Password)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = in.Write([]byte(script)); _ = in.Close() }()
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "1\n2\n" {
				t.Errorf("%s: %v: %q", clientName, err, out)
			}
		}
	})
}
