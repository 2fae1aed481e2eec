package mysql

import (
	"context"
	"errors"
	"fmt"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// refusal is the error number that a login as l gets with the Go driver, 0 if it succeeds.
func (f front) refusal(t *testing.T, l harness.Login) uint16 {
	t.Helper()
	db, err := f.GoMySQLDB(l)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.PingContext(context.Background())
	var refused *driver.MySQLError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	if err == nil {
		return 0
	}
	return refused.Number
}

func TestAUserAndADatabaseHaveAsManySessionsAsTheyMay(t *testing.T) {
	app, root, nowhere := harness.App(), harness.Superuser(), harness.Superuser()
	nowhere.Database = ""
	r := harness.Route{MaxConnections: pair, Users: accounts(), Listener: harness.Keys{
		"max_connections_per_user": 2, "max_connections_per_database": 4,
		"connection_limits": []harness.Keys{{"user": root.User, "max_connections": 0}},
	}}
	own(t, r, func(t *testing.T, f front) {
		for range 2 {
			first, second := f.client(t), f.client(t)
			if _, err := login(f.Endpoint, plain(), modern); err == nil || numberOf(err) != 1203 ||
				err.Error() != "error 1203 (42000): User app already has more than 'max_user_connections' active connections" {
				t.Errorf("one too many of a user: %v", err)
			}
			if n := f.refusal(t, app); n != 1203 {
				t.Errorf("one too many of a user: %d, want 1203", n)
			}
			wrong := plain()
			wrong.Password = "guess"
			if _, err := login(f.Endpoint, wrong, modern); numberOf(err) != 1045 { // a stranger does not learn that there are too many
				t.Errorf("a wrong password: %v", err)
			}
			third, fourth := dial(t, f.Endpoint, superuser(), modern), dial(t, f.Endpoint, superuser(), modern)
			if n := f.refusal(t, root); n != 1040 {
				t.Errorf("one too many of a database: %d, want 1040", n)
			}
			if n := f.refusal(t, nowhere); n != 0 {
				t.Errorf("without a database: %d", n)
			}
			_ = first.Close() // without a word
			waitFor(t, "the place of who left is free", func() bool { return f.refusal(t, app) == 0 })
			for _, w := range []*wire{second, third, fourth} {
				w.sees(t, "select 1", "[1]")
				w.quit()
			}
			quiet(t, f)
			// A login that fails after it was counted gives its place back.
			lost := app
			lost.Database = "nowhere"
			for range 5 {
				if n := f.refusal(t, lost); n != 1044 && n != 1049 {
					t.Errorf("no such database: %d", n)
				}
			}
			waitFor(t, "places of failed logins are free", func() bool { return f.refusal(t, app) == 0 })
			quiet(t, f)
		}
	})
}

func TestAChangeOfUserMovesTheCount(t *testing.T) {
	r := harness.Route{MaxConnections: pair, Users: accounts(), Listener: harness.Keys{"max_connections_per_user": 1}}
	own(t, r, func(t *testing.T, f front) {
		a := f.client(t)
		if err := a.changeUser("app", "secret", "app"); err != nil { // it does not stand in its own way
			t.Fatalf("to the same user: %v", err)
		}
		if n := f.refusal(t, harness.App()); n != 1203 {
			t.Errorf("beside it: %d", n)
		}
		if err := a.changeUser("root2", "secret", "app"); err != nil {
			t.Fatalf("to another user: %v", err)
		}
		if n := f.refusal(t, harness.Superuser()); n != 1203 {
			t.Errorf("beside the other user: %d", n)
		}
		b := f.client(t) // the first user's place is free
		if err := b.changeUser("root2", "secret", "app"); numberOf(err) != 1203 {
			t.Errorf("to a user who may have no more: %v", err)
		}
		a.sees(t, "select 1", "[1]")
		waitFor(t, "the place of who could not change is free", func() bool { return f.refusal(t, harness.App()) == 0 })
		if err := a.changeUser("app", "guess", "app"); numberOf(err) != 1045 {
			t.Errorf("a wrong password: %v", err)
		}
		waitFor(t, "all places are free", func() bool {
			return f.refusal(t, harness.App()) == 0 && f.refusal(t, harness.Superuser()) == 0
		})
	})
}

func TestAfterAChangeOfUserASessionIsKilledByItsNewUserOnly(t *testing.T) {
	own(t, harness.Route{MaxConnections: pair, Users: accounts()}, func(t *testing.T, f front) {
		a, b := f.client(t), f.client(t)
		if err := a.changeUser("root2", "secret", "app"); err != nil {
			t.Fatal(err)
		}
		if err := b.kills(a); numberOf(err) != 1095 {
			t.Errorf("its user of before: %v, want 1095", err)
		}
		if err := a.kills(b); numberOf(err) != 1095 {
			t.Errorf("a session of its user of before: %v, want 1095", err)
		}
		c := dial(t, f.Endpoint, superuser(), modern)
		if err := c.kills(a); err != nil {
			t.Errorf("its user: %v", err)
		}
	})
}

// kills executes KILL QUERY for another session.
func (w *wire) kills(other *wire) error {
	return firstError(w, fmt.Sprintf("kill query %d", other.id))
}
