package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/berthdb/berth/integration/harness"
)

// Both drivers are used as they come: pgx and go-sql-driver prepare what has parameters.

type postgres struct{}

func (postgres) setup() []string {
	return []string{
		"drop table if exists accounts",
		"create table accounts (id int primary key, balance int not null) with (fillfactor = 50)",
		fmt.Sprintf("insert into accounts select i, %d from generate_series(1, %d) i", balance, accounts),
		"grant all on accounts to app",
	}
}

func (postgres) connect(ctx context.Context, e harness.Endpoint, l harness.Login) (teller, error) {
	conn, err := e.PgxConn(ctx, l)
	if err != nil {
		return nil, err
	}
	return pgxTeller{conn}, nil
}

type pgxTeller struct{ conn *pgx.Conn }

func (t pgxTeller) transfer(ctx context.Context, from, to, amount int) error {
	return pgx.BeginFunc(ctx, t.conn, func(tx pgx.Tx) error {
		return ordered(from, to, amount, func(id, change int) error {
			tag, err := tx.Exec(ctx, "update accounts set balance = balance + $1 where id = $2", change, id)
			if err == nil && tag.RowsAffected() != 1 {
				err = fmt.Errorf("account %d: %s", id, tag)
			}
			return err
		})
	})
}

func (t pgxTeller) total(ctx context.Context) (n int, err error) {
	return n, t.conn.QueryRow(ctx, "select sum(balance) from accounts").Scan(&n)
}

func (t pgxTeller) close() { _ = t.conn.Close(context.Background()) }

type mariadb struct{}

func (mariadb) setup() []string {
	return []string{
		"drop table if exists app.accounts",
		"create table app.accounts (id int primary key, balance int not null)",
		fmt.Sprintf("insert into app.accounts select seq, %d from seq_1_to_%d", balance, accounts),
	}
}

func (mariadb) connect(ctx context.Context, e harness.Endpoint, l harness.Login) (teller, error) {
	db, err := e.GoMySQLDB(l)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return sqlTeller{db, conn}, nil
}

type sqlTeller struct {
	db   *sql.DB
	conn *sql.Conn
}

func (t sqlTeller) transfer(ctx context.Context, from, to, amount int) error {
	tx, err := t.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	err = ordered(from, to, amount, func(id, change int) error {
		result, err := tx.ExecContext(ctx, "update accounts set balance = balance + ? where id = ?", change, id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("account %d: %d rows changed: %w", id, n, err)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (t sqlTeller) total(ctx context.Context) (n int, err error) {
	return n, t.conn.QueryRowContext(ctx, "select sum(balance) from accounts").Scan(&n)
}

func (t sqlTeller) close() {
	_ = t.conn.Close()
	_ = t.db.Close()
}

// ordered makes both changes of a transfer, the lower account first: then no two transfers wait for each other.
func ordered(from, to, amount int, change func(id, by int) error) error {
	first, second := [2]int{from, -amount}, [2]int{to, amount}
	if to < from {
		first, second = second, first
	}
	if err := change(first[0], first[1]); err != nil {
		return err
	}
	return change(second[0], second[1])
}
