package differential

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/integration/harness"
)

// answerWithin bounds the wait for an answer. Sessions wait for each other's connections meanwhile.
const answerWithin = time.Minute

// firstUserOID is the first number of what users make: such numbers are not the same in two runs.
const firstUserOID = 16384

// pgRequest is messages sent at once. There is an answer of its own to each Query, Sync and FunctionCall.
type pgRequest []pgproto3.FrontendMessage

func (q pgRequest) String() string {
	var parts []string
	for _, m := range q {
		parts = append(parts, pgMessage(m))
	}
	return strings.ReplaceAll(strings.Join(parts, " "), pgAllSettings, "(all settings)")
}

func pgMessage(m pgproto3.FrontendMessage) string {
	switch m := m.(type) {
	case *pgproto3.Query:
		return fmt.Sprintf("Query(%s)", pgText(m.String))
	case *pgproto3.Parse:
		return fmt.Sprintf("Parse(%s: %s %v)", m.Name, pgText(m.Query), m.ParameterOIDs)
	case *pgproto3.Bind:
		var values []string
		for _, v := range m.Parameters {
			values = append(values, pgValue(v))
		}
		return fmt.Sprintf("Bind(%s<-%s %s %v)", m.DestinationPortal, m.PreparedStatement, strings.Join(values, ","), m.ResultFormatCodes)
	case *pgproto3.Describe:
		return fmt.Sprintf("Describe(%c %s)", m.ObjectType, m.Name)
	case *pgproto3.Execute:
		return fmt.Sprintf("Execute(%s %d)", m.Portal, m.MaxRows)
	case *pgproto3.Close:
		return fmt.Sprintf("Close(%c %s)", m.ObjectType, m.Name)
	case *pgproto3.CopyData:
		return fmt.Sprintf("CopyData(%q)", m.Data)
	case *pgproto3.FunctionCall:
		return fmt.Sprintf("FunctionCall(%d %q)", m.Function, m.Arguments)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
}

// pgText is SQL as it is printed.
func pgText(sql string) string {
	if utf8.ValidString(sql) {
		return sql
	}
	return fmt.Sprintf("%q", sql)
}

// pgClient is a connection to PostgreSQL.
type pgClient struct {
	conn     net.Conn
	protocol *pgproto3.Frontend
	statuses map[string]string // parameters as last reported
	told     map[string]string // and as they were at the end of the last answer
}

func openPostgres(e harness.Endpoint, s *session) (*pgClient, string, error) {
	cfg, err := e.Pgx(s.login)
	if err != nil {
		return nil, "", err
	}
	maps.Copy(cfg.RuntimeParams, s.startup)
	ctx, stop := context.WithTimeout(context.Background(), answerWithin)
	defer stop()
	c, err := pgconn.ConnectConfig(ctx, &cfg.Config)
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		return nil, "", fmt.Errorf("%s %s %s", refused.Severity, refused.Code, refused.Message)
	} else if err != nil {
		return nil, "", err
	}
	h, err := c.Hijack()
	if err != nil {
		return nil, "", err
	}
	p := &pgClient{h.Conn, h.Frontend, h.ParameterStatuses, map[string]string{}}
	return p, p.changes(), nil
}

func (c *pgClient) close() {
	c.protocol.Send(&pgproto3.Terminate{})
	_ = c.protocol.Flush() // it may be gone
	_ = c.conn.Close()
}

func (c *pgClient) do(q request) (string, error) {
	awaited := 0
	for _, m := range q.(pgRequest) {
		switch m.(type) {
		case *pgproto3.Query, *pgproto3.Sync, *pgproto3.FunctionCall:
			awaited++
		}
		c.protocol.Send(m)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerWithin)); err != nil {
		return "", err
	}
	if err := c.protocol.Flush(); err != nil {
		return "", err
	}
	var b strings.Builder
	for awaited > 0 {
		m, err := c.protocol.Receive()
		if err != nil {
			return b.String(), err
		}
		switch m := m.(type) {
		case *pgproto3.ParameterStatus:
			c.statuses[m.Name] = m.Value
			continue
		case *pgproto3.ReadyForQuery:
			awaited--
		case *pgproto3.NoticeResponse:
			if strings.HasPrefix(m.Message, "rehashing catalog cache") { // of its size, with all that was done on the connection before
				continue
			}
		}
		b.WriteString(pgAnswer(m))
		b.WriteByte('\n')
	}
	b.WriteString(c.changes())
	return b.String(), nil
}

// changes are the parameters whose value is another one than at the end of the last answer.
func (c *pgClient) changes() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.statuses)) {
		if now := c.statuses[name]; now != c.told[name] {
			fmt.Fprintf(&b, "%s is %q\n", name, now)
		}
	}
	c.told = maps.Clone(c.statuses)
	return b.String()
}

// pgAnswer renders a message of the server.
func pgAnswer(m pgproto3.BackendMessage) string {
	switch m := m.(type) {
	case *pgproto3.RowDescription:
		var fields []string
		for _, f := range m.Fields {
			fields = append(fields, fmt.Sprintf("%s %s(%d,%d) %d of %s.%d", f.Name, pgOID(f.DataTypeOID), f.DataTypeSize, f.TypeModifier,
				f.Format, pgOID(f.TableOID), f.TableAttributeNumber))
		}
		return "RowDescription " + strings.Join(fields, "; ")
	case *pgproto3.DataRow:
		var values []string
		for _, v := range m.Values {
			values = append(values, pgValue(v))
		}
		return "DataRow " + strings.Join(values, "; ")
	case *pgproto3.CommandComplete:
		return "CommandComplete " + string(m.CommandTag)
	case *pgproto3.ErrorResponse:
		return "ErrorResponse " + pgReport(m)
	case *pgproto3.NoticeResponse:
		return "NoticeResponse " + pgReport((*pgproto3.ErrorResponse)(m))
	case *pgproto3.ReadyForQuery:
		return fmt.Sprintf("ReadyForQuery %c", m.TxStatus)
	case *pgproto3.ParameterDescription:
		var types []string
		for _, oid := range m.ParameterOIDs {
			types = append(types, pgOID(oid))
		}
		return "ParameterDescription " + strings.Join(types, " ")
	case *pgproto3.NotificationResponse:
		return fmt.Sprintf("NotificationResponse %s %q", m.Channel, m.Payload)
	case *pgproto3.CopyData:
		return fmt.Sprintf("CopyData %q", m.Data)
	case *pgproto3.FunctionCallResponse:
		return "FunctionCallResponse " + pgValue(m.Result)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*pgproto3.")
}

// pgReport is what an error says, but not where in the server's source it was raised.
func pgReport(e *pgproto3.ErrorResponse) string {
	text := fmt.Sprintf("%s %s %q detail %q hint %q at %d, %d of %q in %q; %s.%s.%s %s %s", e.Severity, e.Code, e.Message, e.Detail, e.Hint,
		e.Position, e.InternalPosition, e.InternalQuery, e.Where, e.SchemaName, e.TableName, e.ColumnName, e.DataTypeName, e.ConstraintName)
	return pgPivot.ReplaceAllString(pgOwnName.ReplaceAllString(text, "pg_own"), "$1 own")
}

func pgOID(oid uint32) string {
	if oid >= firstUserOID {
		return "own"
	}
	return fmt.Sprint(oid)
}

// pgOwnName are names with a number that is another one in each run: a connection's temporary schema, and what belongs to a table.
// pgPivot is such a number, too: a transaction's.
var (
	pgOwnName = regexp.MustCompile(`pg_(temp|toast|toast_temp)_\d+`)
	pgPivot   = regexp.MustCompile(`(pivot|conflict out to old committed transaction) \d+`)
)

func pgValue(v []byte) string {
	switch {
	case v == nil:
		return "NULL"
	case utf8.Valid(v):
		return fmt.Sprintf("%q", pgOwnName.ReplaceAll(v, []byte("pg_own")))
	}
	return "0x" + hex.EncodeToString(v)
}
