package postgres

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/berthdb/berth/integration/harness"
)

// refusal is what a login as l is told, "" if it succeeds.
func (r *rig) refusal(t *testing.T, l harness.Login) string {
	t.Helper()
	c, err := dial(t.Context(), r.Endpoint, l)
	if err == nil {
		hangUp(c)
		return ""
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		t.Fatalf("%v", err)
	}
	return refused.Severity + " " + refused.Code + " " + refused.Message
}

// getsIn waits until l gets in, and hangs up.
func (r *rig) getsIn(t *testing.T, l harness.Login) {
	t.Helper()
	harness.Eventually(t, settleWithin, l.User+" gets in", func() bool { return r.refusal(t, l) == "" })
}

func TestAUserAndADatabaseHaveAsManySessionsAsTheyMay(t *testing.T) {
	app, root, elsewhere := harness.App(), harness.Superuser(), harness.Superuser()
	elsewhere.Database = "postgres"
	route := harness.Route{
		MaxConnections: 2,
		Users:          []harness.Account{{User: app.User, Password: app.Password}, {User: root.User, Password: root.Password}},
		Listener: harness.Keys{
			"max_connections_per_user": 2, "max_connections_per_database": 4,
			"connection_limits": []harness.Keys{{"user": root.User, "max_connections": 0}},
		},
	}
	each(t, route, func(t *testing.T, r *rig) {
		const user, database = `FATAL 53300 too many connections for role "app"`, `FATAL 53300 too many connections for database "app"`
		for range 2 {
			first, second := conn(t, r.Endpoint, app), conn(t, r.Endpoint, app)
			if got := r.refusal(t, app); got != user {
				t.Errorf("one too many of a user: %q", got)
			}
			wrong := app
			wrong.Password = "guess"
			_, err := dial(t.Context(), r.Endpoint, wrong)
			wantCode(t, err, "28P01") // a stranger does not learn that there are too many
			third, fourth := conn(t, r.Endpoint, root), conn(t, r.Endpoint, root)
			if got := r.refusal(t, root); got != database {
				t.Errorf("one too many of a database: %q", got)
			}
			if got := ask(t, conn(t, r.Endpoint, elsewhere), "select current_database()"); got != "postgres" {
				t.Errorf("in another database: %q", got)
			}
			hangUp(first) // without a word
			r.getsIn(t, app)
			third.Conn().Close()
			fourth.Conn().Close()
			_ = second.Close(t.Context())
			r.whole(t)
			// A login that fails after it was counted gives its place back.
			nowhere := app
			nowhere.Database = "nowhere"
			for range 5 {
				_, err := dial(t.Context(), r.Endpoint, nowhere)
				wantCode(t, err, "3D000")
			}
			r.getsIn(t, app)
			r.whole(t)
		}
		for limit, least := range map[string]float64{"max_connections_per_user": 2, "max_connections_per_database": 2, "max_client_connections": 0} {
			if n, err := r.proxy.Sum(t.Context(), "berth_client_connections_refused_total", limit); err != nil || n < least {
				t.Errorf("%v were refused for %s, %v", n, limit, err)
			}
		}
	})
}

func TestAReloadChangesHowManySessionsAUserMayHave(t *testing.T) {
	route := harness.Route{MaxConnections: 2, Listener: harness.Keys{"max_connections_per_user": 2}}
	each(t, route, func(t *testing.T, r *rig) {
		first, second := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		r.proxy.Rewrite(t, "max_connections_per_user: 2", "max_connections_per_user: 3")
		r.getsIn(t, harness.App())
		r.proxy.Rewrite(t, "max_connections_per_user: 3", "max_connections_per_user: 1")
		harness.Eventually(t, settleWithin, "it is full", func() bool { return r.refusal(t, harness.App()) != "" })
		ask(t, first, "select 1")
		_ = first.Close(t.Context())
		harness.Eventually(t, settleWithin, "one is left", func() bool {
			l, err := r.proxy.Listener(t.Context(), r.server.Name)
			return err == nil && l.ClientConnections == 1
		})
		if r.refusal(t, harness.App()) == "" {
			t.Error("one more than there may be came in")
		}
		ask(t, second, "select 1")
		_ = second.Close(t.Context())
		r.getsIn(t, harness.App())
	})
}
