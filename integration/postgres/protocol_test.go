package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// eachOpen runs a test on every server, over TLS and in clear, with a connection through a proxy. Afterwards the connection
// must still work, and the budget be whole without it.
func eachOpen(t *testing.T, test func(t *testing.T, r *rig, c *pgx.Conn)) {
	t.Helper()
	each(t, harness.Route{MaxConnections: 3}, func(t *testing.T, r *rig) {
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				c := connect(t, r.Endpoint, login)
				test(t, r, c)
				if got := ask(t, c.PgConn(), "select 'alive'"); got != "alive" {
					t.Errorf("afterwards the connection answers %q", got)
				}
				if tx := c.PgConn().TxStatus(); tx != 'I' {
					t.Errorf("afterwards the connection is in state %c", tx)
				}
				_ = c.Close(t.Context())
				r.whole(t)
			})
		}
	})
}

// eachRaw is eachOpen for tests that send single messages.
func eachRaw(t *testing.T, test func(t *testing.T, r *rig, f *raw)) {
	t.Helper()
	each(t, harness.Route{MaxConnections: 3}, func(t *testing.T, r *rig) {
		for name, login := range logins {
			t.Run(name, func(t *testing.T) {
				f := frontend(t, conn(t, r.Endpoint, login))
				test(t, r, f)
				f.send(&pgproto3.Query{String: "select 'alive'"})
				f.expect("T D(alive) C(SELECT 1) Z(I)")
				_ = f.conn.Close()
				r.whole(t)
			})
		}
	})
}

func TestCopyInAndOutMovesEveryRow(t *testing.T) {
	const rows = 50_000
	eachOpen(t, func(t *testing.T, r *rig, c *pgx.Conn) {
		ctx := t.Context()
		name := table(t, r.server, "(n int, s text)")
		n, err := c.CopyFrom(ctx, pgx.Identifier{name}, []string{"n", "s"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
			return []any{i, strings.Repeat("x", i%100)}, nil
		}))
		if err != nil || n != rows {
			t.Fatalf("%d rows copied in binary, %v", n, err)
		}
		var text bytes.Buffer
		if _, err := c.PgConn().CopyTo(ctx, &text, "copy "+name+" to stdout"); err != nil {
			t.Fatal(err)
		}
		ask(t, c.PgConn(), "truncate "+name)
		tag, err := c.PgConn().CopyFrom(ctx, &text, "copy "+name+" from stdin")
		if err != nil || tag.RowsAffected() != rows {
			t.Errorf("%v copied in as text, %v", tag, err)
		}
		if got := ask(t, c.PgConn(), "select count(*), sum(n), sum(length(s)) from "+name); got != "50000 1249975000 2475000" {
			t.Errorf("the table has %s", got)
		}
	})
}

func TestACopyThatFailsLeavesASessionThatGoesOn(t *testing.T) {
	eachOpen(t, func(t *testing.T, r *rig, c *pgx.Conn) {
		ctx := t.Context()
		name := table(t, r.server, "(n int primary key)")
		pg := c.PgConn()
		torn := errors.New("torn")
		// The client gives up: CopyFail.
		_, err := pg.CopyFrom(ctx, io.MultiReader(strings.NewReader("1\n2\n"), faulty{torn}), "copy "+name+" from stdin")
		if !errors.Is(err, torn) && code(err) != "57014" {
			t.Errorf("a copy that the client ends: %v", err)
		}
		// The server gives up at once, while the client goes on sending.
		long := strings.Repeat("3\n", 500_000)
		_, err = pg.CopyFrom(ctx, strings.NewReader("not a number\n"+long), "copy "+name+" from stdin")
		wantCode(t, err, "22P02")
		// And after the last row.
		_, err = pg.CopyFrom(ctx, strings.NewReader("4\n4\n"), "copy "+name+" from stdin")
		wantCode(t, err, "23505")
		_, err = c.CopyFrom(ctx, pgx.Identifier{name}, []string{"n"}, pgx.CopyFromRows([][]any{{5}, {5}}))
		wantCode(t, err, "23505")
		_, err = pg.CopyTo(ctx, io.Discard, "copy (select 1 / (100000 - i) from generate_series(1, 200000) i) to stdout")
		wantCode(t, err, "22012")
		if got := ask(t, pg, "select count(*) from "+name); got != "0" {
			t.Errorf("%s rows are there", got)
		}
	})
}

// faulty is a reader that fails.
type faulty struct{ err error }

func (f faulty) Read([]byte) (int, error) { return 0, f.err }

func TestACopyBesideOtherStatementsOfOneQueryKeepsTheOrderOfAnswers(t *testing.T) {
	eachRaw(t, func(t *testing.T, r *rig, f *raw) {
		name := table(t, r.server, "(n int)")
		f.send(&pgproto3.Query{String: "select 1; copy " + name + " from stdin; select count(*) from " + name + "; copy " + name + " to stdout; select 2"})
		f.expect("T D(1) C(SELECT 1) G")
		f.send(&pgproto3.CopyData{Data: []byte("7\n")}, &pgproto3.Flush{}, &pgproto3.Sync{}, &pgproto3.CopyData{Data: []byte("8\n")}, &pgproto3.CopyDone{})
		f.expect("C(COPY 2) T D(2) C(SELECT 1) H d d c C(COPY 2) T D(2) C(SELECT 1) Z(I)")
		// The client sends what it has although the server has refused the copy.
		f.send(&pgproto3.Query{String: "copy nowhere from stdin"}, &pgproto3.CopyData{Data: []byte("9\n")}, &pgproto3.CopyDone{})
		f.expect("E(42P01) Z(I)")
		// In the extended protocol a Sync in the data means nothing, and one after an error ends it.
		f.send(&pgproto3.Parse{Query: "copy " + name + " from stdin"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{},
			&pgproto3.CopyData{Data: []byte("9\n")}, &pgproto3.CopyDone{}, &pgproto3.Sync{})
		f.expect("1 2 G C(COPY 1) Z(I)")
		f.send(&pgproto3.Parse{Query: "copy " + name + " from stdin"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{})
		f.expect("1 2 G")
		f.send(&pgproto3.CopyFail{Message: "no more"}, &pgproto3.Sync{}, &pgproto3.Query{String: "select 3"})
		f.expect("E(57014) Z(I) T D(3) C(SELECT 1) Z(I)")
	})
}

func TestPsqlCopiesFilesBothWays(t *testing.T) {
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		name := table(t, r.server, "(n int, s text)")
		in, out := filepath.Join(t.TempDir(), "in"), filepath.Join(t.TempDir(), "out")
		var lines strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&lines, "%d\tline %d\n", i, i)
		}
		if err := os.WriteFile(in, []byte(lines.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		psql(t, r, harness.App(), `\copy `+name+` from `+in, `\copy (select * from `+name+` order by n) to `+out)
		got, err := os.ReadFile(out)
		if err != nil || string(got) != lines.String() {
			t.Errorf("%d bytes came back of %d, %v", len(got), lines.Len(), err)
		}
	})
}

// psql runs commands in one session of the newest psql and returns what it prints.
func psql(t *testing.T, r *rig, l harness.Login, commands ...string) string {
	t.Helper()
	out, err := psqlWith(t, r.PsqlArgs(l), l, commands...)
	if err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
	return out
}

func psqlWith(t *testing.T, connection string, l harness.Login, commands ...string) (string, error) {
	t.Helper()
	args := []string{"-XAtq", "-v", "ON_ERROR_STOP=1", connection}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	cmd := exec.CommandContext(t.Context(), harness.Program(t, "pg18", "PSQL"), args...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+l.Password)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestValuesOf64MegabytesPassBothWays(t *testing.T) {
	const size = 64 << 20
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		c := connect(t, r.Endpoint, harness.App())
		value := bytes.Repeat([]byte("0123456789abcdef"), size/16)
		var back []byte
		var sum string
		if err := c.QueryRow(t.Context(), "select $1::bytea, md5($1::bytea)", value).Scan(&back, &sum); err != nil {
			t.Fatal(err)
		}
		var want string
		if err := c.QueryRow(t.Context(), "select md5(convert_to(repeat('0123456789abcdef', $1::int), 'SQL_ASCII'))", size/16).Scan(&want); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back, value) || sum != want {
			t.Errorf("%d bytes came back with the sum %s, not %d with %s", len(back), sum, len(value), want)
		}
		// As the text of a query, too, between small rows.
		results, err := c.PgConn().Exec(t.Context(), "select 1; select length('"+string(value[:size/4])+"'); select repeat('y', 1 << 24); select 2").ReadAll()
		if err != nil || len(results) != 4 || len(results[2].Rows[0][0]) != 1<<24 || joined(results[1], results[3]) != "16777216 2" {
			t.Errorf("%d results, %v", len(results), err)
		}
		// Whoever comes next finds the connection in order.
		if got := ask(t, conn(t, r.Endpoint, harness.App()), "select 'next'"); got != "next" {
			t.Errorf("the next session got %q", got)
		}
	})
}

// The second batch waits to know what became of the first one's, with a message of its own that the server answers at the Sync.
func TestABatchBehindOneThatMayHaveFailedIsAnswered(t *testing.T) {
	each(t, alone(), func(t *testing.T, r *rig) {
		l := ownDatabase(t, r.server, "batches", "create table counted (n bigserial)")
		ask(t, conn(t, r.Endpoint, l), "insert into counted default values")
		f := frontend(t, conn(t, r.Endpoint, l))
		execute := func(sql string) []pgproto3.FrontendMessage {
			return []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}}
		}
		f.send(slices.Concat(execute("select 1/0"), execute("select lastval()"), []pgproto3.FrontendMessage{&pgproto3.Sync{}},
			execute("begin"), execute("select lastval()"), []pgproto3.FrontendMessage{&pgproto3.Sync{}})...)
		f.expect("1 E(22012) Z(I) 1 2 C(BEGIN) 1 2 E(55000) Z(E)")
	})
}

func TestAFunctionCallIsARequestOfItsOwn(t *testing.T) {
	eachRaw(t, func(t *testing.T, _ *rig, f *raw) {
		// length(text) is 1317, int4div 154. Their answers end with ReadyForQuery as a query's do (54.2.5).
		f.send(&pgproto3.FunctionCall{Function: 1317, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("four")}})
		f.expect("V(4) Z(I)")
		f.send(&pgproto3.FunctionCall{Function: 154, Arguments: [][]byte{[]byte("1"), []byte("0")}}, &pgproto3.Query{String: "select 1"})
		f.expect("E(22012) Z(I) T D(1) C(SELECT 1) Z(I)")
	})
}

func TestALargeObjectIsReadAndWritten(t *testing.T) {
	eachOpen(t, func(t *testing.T, _ *rig, c *pgx.Conn) {
		ctx := t.Context()
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			objects := tx.LargeObjects()
			oid, err := objects.Create(ctx, 0)
			if err != nil {
				return err
			}
			o, err := objects.Open(ctx, oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
			if err != nil {
				return err
			}
			content := bytes.Repeat([]byte("large"), 100_000)
			if _, err := o.Write(content); err != nil {
				return err
			}
			if _, err := o.Seek(0, io.SeekStart); err != nil {
				return err
			}
			back, err := io.ReadAll(o)
			if err == nil && !bytes.Equal(back, content) {
				err = fmt.Errorf("%d bytes came back of %d", len(back), len(content))
			}
			return errors.Join(err, objects.Unlink(ctx, oid))
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestPipelinesAnswerInOrderAndSkipAfterAnErrorToTheirSync(t *testing.T) {
	eachOpen(t, func(t *testing.T, _ *rig, c *pgx.Conn) {
		pipeline := c.PgConn().StartPipeline(t.Context())
		for _, sql := range []string{"select 1", "", "select 2", "sync", "select 3", "select 1/0", "select 4", "sync", "select 5", "sync", "bad sql", "sync", "select 6", "sync"} {
			switch sql {
			case "sync":
				pipeline.SendPipelineSync()
			default:
				pipeline.SendQueryParams(sql, nil, nil, nil, nil)
			}
		}
		if err := pipeline.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := results(t, pipeline); got != "1, , 2, sync, 3, 22012, sync, 5, sync, 42601, sync, 6, sync" {
			t.Errorf("the answers were %s", got)
		}
	})
}

// results reads what a pipeline is answered and ends it.
func results(t *testing.T, pipeline *pgconn.Pipeline) string {
	t.Helper()
	var got []string
	for {
		result, err := pipeline.GetResults()
		if result == nil && err == nil {
			break
		}
		switch result := result.(type) {
		case *pgconn.ResultReader:
			read := result.Read()
			if read.Err != nil {
				got = append(got, code(read.Err))
			} else {
				got = append(got, joined(read))
			}
		case *pgconn.PipelineSync:
			got = append(got, "sync")
		default:
			if got = append(got, code(err)); code(err) == "" {
				t.Fatalf("after %v: %v", got, err)
			}
		}
	}
	if err := pipeline.Close(); err != nil {
		t.Error(err)
	}
	return strings.Join(got, ", ")
}

func TestABatchWithAnErrorInTheMiddleIsRolledBack(t *testing.T) {
	eachOpen(t, func(t *testing.T, r *rig, c *pgx.Conn) {
		name := table(t, r.server, "(n int)")
		batch := &pgx.Batch{}
		for i := range 200 {
			batch.Queue("insert into "+name+" values ($1)", i)
		}
		if err := c.SendBatch(t.Context(), batch).Close(); err != nil {
			t.Fatal(err)
		}
		batch.Queue("insert into " + name + " values (1/0)")
		batch.Queue("insert into " + name + " values (7)")
		wantCode(t, c.SendBatch(t.Context(), batch).Close(), "22012")
		if got := ask(t, c.PgConn(), "select count(*) from "+name); got != "200" {
			t.Errorf("%s rows are there, not the first batch's 200", got)
		}
	})
}

func TestAnswersWithoutASyncComeAtAFlush(t *testing.T) {
	eachRaw(t, func(t *testing.T, _ *rig, f *raw) {
		f.send(&pgproto3.Parse{Query: "select $1::int"}, &pgproto3.Describe{ObjectType: 'S'}, &pgproto3.Flush{})
		f.expect("1 t T")
		f.send(&pgproto3.Bind{Parameters: [][]byte{[]byte("7")}}, &pgproto3.Execute{}, &pgproto3.Flush{})
		f.expect("2 D(7) C(SELECT 1)")
		f.send(&pgproto3.Sync{})
		f.expect("Z(I)")
		// An error comes at once, too, and everything up to Sync is skipped.
		f.send(&pgproto3.Parse{Query: "select 1/0"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{})
		f.expect("1 E(22012)") // at Bind: the server computes constants when it plans
		f.send(&pgproto3.Parse{Query: "select 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{}, &pgproto3.Sync{})
		f.expect("Z(I)")
	})
}

func TestARowLimitSuspendsAPortalUntilItIsAskedAgain(t *testing.T) {
	eachRaw(t, func(t *testing.T, r *rig, f *raw) {
		f.send(&pgproto3.Query{String: "begin"})
		f.expect("C(BEGIN) Z(T)")
		f.send(&pgproto3.Parse{Query: "select generate_series(1, 5)"}, &pgproto3.Bind{DestinationPortal: "p"},
			&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Sync{})
		f.expect("1 2 D(1) D(2) s Z(T)")
		f.send(&pgproto3.Execute{Portal: "p", MaxRows: 2}, &pgproto3.Sync{}, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
		f.expect("D(3) D(4) s Z(T) D(5) C(SELECT 1) Z(T)")
		f.send(&pgproto3.Query{String: "commit"}, &pgproto3.Execute{Portal: "p"}, &pgproto3.Sync{})
		f.expect("C(COMMIT) Z(I) E(34000) Z(I)")
		// Outside a transaction the Sync ends the portal; a Flush does not.
		f.send(&pgproto3.Parse{Query: "select generate_series(1, 5)"}, &pgproto3.Bind{}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Flush{})
		f.expect("1 2 D(1) D(2) s")
		f.send(&pgproto3.Execute{MaxRows: 2}, &pgproto3.Sync{}, &pgproto3.Execute{MaxRows: 2}, &pgproto3.Sync{})
		f.expect("D(3) D(4) s Z(I) E(34000) Z(I)")
		harness.Eventually(t, settleWithin, "the backend goes back", func() bool { return r.session(t, f.pid).Backend == 0 })
	})
}

func TestSimpleQueriesOfManyKindsAreAnsweredAsTheServerDoes(t *testing.T) {
	queries := []string{
		"", ";", ";;", "-- nothing", "select 1; select 2", "select 1; select 1/0; select 2", "begin; select 1/0", "rollback",
		"begin; insert into pg_class values (1); commit", "commit", "select 1; begin; select 2", "savepoint a", "bad", "select 1",
		"rollback to a", "select 2", "commit; select 3", "do $$ begin raise notice 'heard'; end $$", "create table pg_catalog.x ()",
		"select null, '', 'é', E'\\x41'", "explain (costs off) select 1", "values (1, 2), (3, 4)", "show server_version",
		"begin; declare c cursor for select 1; fetch all c; close c; commit", "vacuum; select 1", "select 1 where false",
		"select '" + strings.Repeat("long ", 30_000) + "'", "select $$" + strings.Repeat("x", 70_000) + "$$; select 1", "table",
	}
	each(t, harness.Route{MaxConnections: 2}, func(t *testing.T, r *rig) {
		direct := frontend(t, conn(t, r.server.Endpoint, harness.App()))
		through := frontend(t, conn(t, r.Endpoint, harness.App()))
		for _, q := range queries {
			direct.send(&pgproto3.Query{String: q})
			through.send(&pgproto3.Query{String: q})
			if got, want := through.untilReady(), direct.untilReady(); got != want {
				t.Errorf("%.60s: answered %.300s, the server says %.300s", q, got, want)
			}
		}
		// In the middle of a batch of the extended protocol, too, where versions differ in what becomes of the transaction.
		batch := []pgproto3.FrontendMessage{
			&pgproto3.Parse{Query: "select 1"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Query{String: "select 2"}, &pgproto3.Sync{},
		}
		direct.send(batch...)
		through.send(batch...)
		for range 2 {
			if got, want := through.untilReady(), direct.untilReady(); got != want {
				t.Errorf("a query in a batch: answered %s, the server says %s", got, want)
			}
		}
	})
}

func TestAStatementThatIsDescribedFirstRunsInTheNextRequest(t *testing.T) {
	// lib/pq and psycopg do: Parse, Describe, Sync; then Bind, Execute, Sync. A transaction boundary lies between, and other
	// sessions use the same connection meanwhile.
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		ctx := t.Context()
		c, other := conn(t, r.Endpoint, harness.App()), conn(t, r.Endpoint, harness.App())
		for round := range 20 {
			description, err := c.Prepare(ctx, "", fmt.Sprintf("select $1::int + %d", round), nil)
			if err != nil || len(description.ParamOIDs) != 1 || len(description.Fields) != 1 {
				t.Fatalf("%+v, %v", description, err)
			}
			switch round % 4 {
			case 1:
				_, err = askedExtended(ctx, other, "select 'mine', $1::int", "1")
			case 2:
				_, err = asked(ctx, other, "select 'mine'")
			case 3:
				_, err = askedExtended(ctx, other, "select nowhere")
				if code(err) == "42703" {
					err = nil
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			result := c.ExecPrepared(ctx, "", [][]byte{[]byte("1")}, nil, nil).Read()
			if got := joined(result); got != fmt.Sprint(round+1) || result.Err != nil {
				t.Errorf("round %d: %q, %v", round, got, result.Err)
			}
		}
		// A simple query destroys the unnamed statement (54.2.3).
		if _, err := c.Prepare(ctx, "", "select 1", nil); err != nil {
			t.Fatal(err)
		}
		ask(t, c, "select 2")
		wantCode(t, c.ExecPrepared(ctx, "", nil, nil, nil).Read().Err, "26000")
		// And one that cannot be parsed leaves none.
		_, err := c.Prepare(ctx, "", "not sql", nil)
		wantCode(t, err, "42601")
		wantCode(t, c.ExecPrepared(ctx, "", nil, nil, nil).Read().Err, "26000")
	})
}

func TestParametersThatTheServerReportsReachTheClient(t *testing.T) {
	eachOpen(t, func(t *testing.T, r *rig, c *pgx.Conn) {
		pg := c.PgConn()
		standard := pg.ParameterStatus("TimeZone")
		ask(t, pg, "set client_encoding = 'LATIN1'; set timezone = 'Asia/Tokyo'; set application_name = 'renamed'")
		other := conn(t, r.Endpoint, harness.App())
		ask(t, other, "select 1")
		for name, want := range map[string]string{"client_encoding": "LATIN1", "TimeZone": "Asia/Tokyo", "application_name": "renamed"} {
			if got := pg.ParameterStatus(name); got != want {
				t.Errorf("%s is %q, not %q", name, got, want)
			}
			if other.ParameterStatus(name) == want {
				t.Errorf("another session was told of %s = %s", name, want)
			}
		}
		if got := ask(t, pg, "select U&'\\00e9'"); got != "\xe9" {
			t.Errorf("in LATIN1 it is %q", got)
		}
		ask(t, pg, "discard all")
		if enc, tz := pg.ParameterStatus("client_encoding"), pg.ParameterStatus("TimeZone"); enc != "UTF8" || tz != standard {
			t.Errorf("after DISCARD ALL %s and %s", enc, tz)
		}
	})
}

func TestNoticesReachWhoCausedThemInTime(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		var heard []string
		c := conn(t, r.Endpoint, harness.App(), func(cfg *pgconn.Config) {
			cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { heard = append(heard, n.Severity+":"+n.Message) }
		})
		ask(t, c, "commit")
		ask(t, c, "drop table if exists nowhere_at_all")
		if got := strings.Join(heard, ", "); got != `WARNING:there is no transaction in progress, NOTICE:table "nowhere_at_all" does not exist, skipping` {
			t.Errorf("heard %s", got)
		}
	})
}

func TestADisconnectInTheMiddleOfABatchLeavesNoAnswerToTheNext(t *testing.T) {
	each(t, harness.Route{MaxConnections: 1}, func(t *testing.T, r *rig) {
		for i, begun := range [][]pgproto3.FrontendMessage{
			{&pgproto3.Parse{Query: "select 'stray'"}},
			{&pgproto3.Parse{Query: "select 'stray'"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Flush{}},
			{&pgproto3.Parse{Query: "select 'stray', pg_sleep(0.05)"}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}},
			{&pgproto3.Query{String: "begin; select 'stray' from generate_series(1, 100000)"}},
			{&pgproto3.Query{String: "select 1"}, &pgproto3.Query{String: "select 2"}, &pgproto3.Query{String: "select 3"}},
			{&pgproto3.Query{String: "copy (select generate_series(1, 1000000)) to stdout"}},
		} {
			f := frontend(t, conn(t, r.Endpoint, harness.App().InClear()))
			f.send(begun...)
			_ = f.conn.Close()
			next := conn(t, r.Endpoint, harness.App().InClear())
			if got := ask(t, next, "select 'next'"); got != "next" || next.TxStatus() != 'I' {
				t.Errorf("case %d: the next session got %q in state %c", i, got, next.TxStatus())
			}
			_ = next.Close(context.Background())
		}
		r.whole(t)
	})
}
