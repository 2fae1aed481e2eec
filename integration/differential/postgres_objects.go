package differential

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/berthdb/berth/integration/harness"
)

// postgres makes sessions of PostgreSQL. They have a database of their worker's. Session N has the schemas dN and eN, both with a
// table t, the role rN, and locks of class 4000+N. Nothing is made in public, where they would meet.
type postgres struct {
	worker int
	// code is whether there are functions. They may leave anything in a session, so proxies clean their connections; where there
	// are none, nothing may be created either that could hold code.
	code   bool
	groups map[string]bool // which kinds of requests are made; all if nil
}

func (p postgres) database() string {
	if p.code {
		return fmt.Sprint("code", p.worker)
	}
	return fmt.Sprint("plain", p.worker)
}

func (postgres) login(e harness.Endpoint, s *session) (connection, string, error) {
	c, greeting, err := openPostgres(e, s)
	if err != nil {
		return nil, "", err
	}
	return c, greeting, nil
}

func (p postgres) prepare(t harness.T, s *harness.Server) {
	if err := p.drop(s); err != nil {
		t.Fatalf("%v", err)
	}
	harness.Exec(t, s, "create database "+p.database()+" template template0")
	t.Cleanup(func() {
		if err := p.drop(s); err != nil {
			t.Errorf("%v", err)
		}
	})
	var all []string
	for i := range sessionsOfScript {
		all = append(all, numbered(i, `do $$ begin create role r{i}; exception when duplicate_object or unique_violation then null; end $$`),
			numbered(i, `grant r{i} to app`), numbered(i, postgresObjects))
		if p.code {
			all = append(all, numbered(i, postgresCode))
		}
	}
	c, err := p.open(t.Context(), s)
	if err != nil {
		t.Fatalf("%s: %v", p.database(), err)
	}
	defer func() { _ = c.Close(t.Context()) }()
	for _, q := range all {
		if _, err := c.Exec(t.Context(), q, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %s: %v", p.database(), q, err)
		}
	}
}

// drop drops the database, if it is there: what is left of a test that was killed, too.
func (p postgres) drop(s *harness.Server) error {
	ctx, stop := context.WithTimeout(context.Background(), answerWithin)
	defer stop()
	if c, err := p.open(ctx, s); err == nil {
		err = endPrepared(ctx, c)
		if _ = c.Close(ctx); err != nil {
			return err
		}
	}
	return s.Exec(ctx, "drop database if exists "+p.database()+" with (force)")
}

// endPrepared rolls back what was lost between the phases of a commit.
func endPrepared(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, "select 'rollback prepared ' || quote_literal(gid) from pg_prepared_xacts where database = current_database()")
	if err != nil {
		return err
	}
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, q := range left {
		if _, err := c.Exec(ctx, q, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return nil
}

// open logs in as superuser to the database of the scripts.
func (p postgres) open(ctx context.Context, s *harness.Server) (*pgx.Conn, error) {
	l := harness.Superuser()
	l.Database = p.database()
	return s.PgxConn(ctx, l.InClear())
}

// postgresObjects are one session's.
const postgresObjects = `
create schema d{i} authorization app; create schema e{i} authorization app;
set session authorization app;
create table d{i}.t (id serial, name text); create table e{i}.t (id serial, name text, more int);
create table d{i}.u (id int primary key, name varchar(20) not null check (name <> 'bad'));
create table d{i}.f (id int primary key, ref int references d{i}.f deferrable initially deferred, n int unique deferrable initially deferred);
create sequence d{i}.q;
grant usage on schema d{i} to r{i}; grant select on all tables in schema d{i} to r{i};
reset session authorization`

// postgresCode is what one session's requests of the group functions call.
const postgresCode = `
set session authorization app;
create function d{i}.setter(n text, v text) returns text language plpgsql as $$ begin return set_config(n, v, false); end $$;
create function d{i}.local_setter(n text, v text) returns text language plpgsql as $$ begin return set_config(n, v, true); end $$;
create function d{i}.failer(n text, v text) returns text language plpgsql as $$ begin perform set_config(n, v, false); raise 'failed'; end $$;
create function d{i}.catcher(n text, v text) returns text language plpgsql as $$ begin
	begin perform set_config(n, v, false); perform 1/0; exception when division_by_zero then null; end; return current_setting(n); end $$;
create function d{i}.clause() returns text language sql set work_mem = '11MB' as $$ select current_setting('work_mem') $$;
create function d{i}.maker() returns void language plpgsql as $$ begin create temp table made as select 1 as one; end $$;
create function d{i}.locker() returns void language sql as $$ select pg_advisory_lock(400{i}, 9) $$;
create function d{i}.pure(n int) returns int language sql immutable as $$ select n + 1 $$;
create procedure d{i}.proc(n text, v text) language plpgsql as $$ begin perform set_config(n, v, false); commit; perform set_config(n, v, true); end $$;
reset session authorization`

func (p postgres) reset(s *harness.Server, sessions int) error {
	ctx, stop := context.WithTimeout(context.Background(), answerWithin)
	defer stop()
	c, err := p.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	if err := endPrepared(ctx, c); err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("set lock_timeout = '30s';")
	for i := range sessions {
		b.WriteString(numbered(i, postgresRows))
	}
	_, err = c.Exec(ctx, b.String(), pgx.QueryExecModeSimpleProtocol)
	return err
}

// postgresRows are what is in one session's tables when a script begins.
const postgresRows = `
drop table if exists d{i}.x;
delete from d{i}.t; delete from e{i}.t; delete from d{i}.u; delete from d{i}.f;
insert into d{i}.t values (1, 'one of d{i}'), (2, 'two of d{i}'); insert into e{i}.t values (1, 'one of e{i}', 7);
insert into d{i}.u values (1, 'one'); insert into d{i}.f values (1, null, 1);
alter sequence d{i}.q restart; alter sequence d{i}.t_id_seq restart 10; alter sequence e{i}.t_id_seq restart 20;
`
