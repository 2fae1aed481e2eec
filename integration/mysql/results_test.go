package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// result is the answer to one statement.
type result struct {
	columns  []column
	rows     [][]string
	affected uint64
	insertID uint64
	status   uint16
	begun    uint16 // the status behind the columns, for clients that are told where these end
	warnings uint16
	tracked  []string // session state, "type: data"
	err      error    // an ERR, and nothing else
}

type column struct {
	name      string
	collation uint16
	kind      byte
	unsigned  bool
	extended  string // the type that is MariaDB's own
}

// null is how NULL is shown.
const null = "NULL"

// String is what a client sees: rows, or what went wrong.
func (r result) String() string {
	switch {
	case r.err != nil:
		return fmt.Sprintf("error %d", numberOf(r.err))
	case r.columns == nil:
		return fmt.Sprintf("ok %d", r.affected)
	}
	var rows []string
	for _, row := range r.rows {
		rows = append(rows, strings.Join(row, ","))
	}
	return "[" + strings.Join(rows, ";") + "]"
}

// attribute is a query attribute, a string.
type attribute struct{ name, value string }

// query sends a text and reads all its results.
func (w *wire) query(text string, attributes ...attribute) ([]result, error) {
	if err := w.ask(text, attributes...); err != nil {
		return nil, err
	}
	return w.results(false)
}

// ask sends a text and reads nothing.
func (w *wire) ask(text string, attributes ...attribute) error {
	var body []byte
	if w.caps&protocol.CLIENT_QUERY_ATTRIBUTES != 0 {
		body = append(body, byte(len(attributes)), 1)
		if len(attributes) > 0 {
			body = append(body, make([]byte, (len(attributes)+7)/8)...)
			body = append(body, 1)
			for _, a := range attributes {
				body = append(body, protocol.MYSQL_TYPE_VAR_STRING, 0)
				body = appendString(body, a.name)
			}
			for _, a := range attributes {
				body = appendString(body, a.value)
			}
		}
	}
	return w.command(protocol.COM_QUERY, append(body, text...)...)
}

func appendString(p []byte, s string) []byte { return append(appendInteger(p, len(s)), s...) }

func appendInteger(p []byte, n int) []byte {
	switch {
	case n < 251:
		return append(p, byte(n))
	case n < 1<<16:
		return append(p, 0xfc, byte(n), byte(n>>8))
	case n < 1<<24:
		return append(p, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(p, 0xfe), uint64(n))
}

// results reads the results of a statement, or of several. An ERR is the last of them, not an error.
func (w *wire) results(binaryRows bool) (all []result, err error) {
	for {
		r, err := w.result(binaryRows)
		if err != nil {
			return all, err
		}
		all = append(all, r)
		if r.err != nil || r.status&protocol.SERVER_MORE_RESULTS_EXISTS == 0 {
			return all, w.quiet()
		}
	}
}

func (w *wire) result(binaryRows bool) (r result, err error) {
	p, err := w.read()
	if err != nil {
		return r, err
	}
	if len(p) == 0 {
		return r, errors.New("an empty packet")
	}
	switch p[0] {
	case 0xff:
		r.err = errOf(p, w.caps)
		if numberOf(r.err) == 0 {
			return r, r.err
		}
		return r, nil
	case 0:
		return r, r.ok(p, w.caps)
	case 0xfb:
		return r, errors.New("the server asks for a file")
	}
	f := reading{p: p}
	if r.columns, err = w.definitions(int(f.integer())); err != nil {
		return r, err
	}
	if w.caps&protocol.CLIENT_DEPRECATE_EOF == 0 {
		if err := w.eof(&r); err != nil {
			return r, err
		}
		if r.status&protocol.SERVER_STATUS_CURSOR_EXISTS != 0 {
			return r, nil
		}
	}
	return r, w.readRows(&r, binaryRows)
}

// eof reads the EOF after definitions.
func (w *wire) eof(r *result) error {
	p, err := w.read()
	if err != nil {
		return err
	}
	w.announced(p)
	if len(p) != 5 || p[0] != 0xfe {
		return fmt.Errorf("no EOF after the columns: %x", p)
	}
	err = r.end(p, w.caps)
	r.begun = r.status
	return err
}

// end reads the packet that ends rows.
func (r *result) end(p []byte, caps uint32) error {
	if caps&protocol.CLIENT_DEPRECATE_EOF != 0 {
		return r.ok(p, caps)
	}
	if len(p) != 5 {
		return fmt.Errorf("an EOF of %d bytes", len(p))
	}
	// MySQL says of the OUT parameters of a procedure that more follows only in front of them.
	before := r.status & (protocol.SERVER_PS_OUT_PARAMS | protocol.SERVER_MORE_RESULTS_EXISTS)
	if before&protocol.SERVER_PS_OUT_PARAMS == 0 {
		before = 0
	}
	r.warnings, r.status = binary.LittleEndian.Uint16(p[1:]), binary.LittleEndian.Uint16(p[3:])|before
	if r.status&protocol.SERVER_SESSION_STATE_CHANGED != 0 {
		return errors.New("an EOF that announces session state")
	}
	return nil
}

// announced takes from an EOF of a server what no proxy may say there: MariaDB announces in it what the next OK reports.
func (w *wire) announced(p []byte) {
	if w.announces && w.caps&protocol.CLIENT_DEPRECATE_EOF == 0 && len(p) == 5 {
		p[4] &^= byte(protocol.SERVER_SESSION_STATE_CHANGED >> 8)
	}
}

func (w *wire) readRows(r *result, binaryRows bool) error {
	for {
		p, err := w.read()
		switch {
		case err != nil:
			return err
		case len(p) == 0:
			return errors.New("an empty row")
		case p[0] == 0xff:
			r.err = errOf(p, w.caps)
			return nil
		case p[0] == 0xfe && len(p) < maxPayload:
			w.announced(p)
			return r.end(p, w.caps)
		}
		row, err := decode(p, r.columns, binaryRows)
		if err != nil {
			return err
		}
		r.rows = append(r.rows, row)
	}
}

func (w *wire) definitions(n int) ([]column, error) {
	columns := make([]column, 0, n)
	for range n {
		p, err := w.read()
		if err != nil {
			return nil, err
		}
		if len(p) > 0 && p[0] == 0xff {
			return nil, errOf(p, w.caps)
		}
		c, err := w.definition(p)
		if err != nil {
			return nil, err
		}
		columns = append(columns, c)
	}
	return columns, nil
}

func (w *wire) definition(p []byte) (column, error) {
	f := reading{p: p}
	for range 4 {
		f.text()
	}
	c := column{name: string(f.text())}
	f.text()
	if w.caps&extended != 0 {
		c.extended = string(f.text())
	}
	f.integer()
	c.collation = f.u16()
	f.n(4)
	c.kind = f.u8()
	c.unsigned = f.u16()&protocol.UNSIGNED_FLAG != 0
	if f.err != nil {
		return c, fmt.Errorf("malformed column definition %x", p)
	}
	return c, nil
}

// ok reads an OK.
func (r *result) ok(p []byte, caps uint32) error {
	f := reading{p: p[1:]}
	r.affected, r.insertID = f.integer(), f.integer()
	r.status, r.warnings = f.u16(), f.u16()
	changed := r.status&protocol.SERVER_SESSION_STATE_CHANGED != 0
	if caps&protocol.CLIENT_SESSION_TRACK == 0 {
		if changed {
			return errors.New("session state for a client that does not know it")
		}
		return f.err
	}
	if len(f.p) > 0 {
		f.text() // info
	}
	if changed {
		state := reading{p: f.text()}
		for len(state.p) > 0 && state.err == nil {
			kind := state.u8()
			r.tracked = append(r.tracked, fmt.Sprintf("%d: %q", kind, state.text()))
		}
		if state.err != nil {
			return fmt.Errorf("malformed session state: %x", p)
		}
	}
	if f.err != nil || len(f.p) > 0 {
		return fmt.Errorf("malformed OK: %x", p)
	}
	return nil
}

func decode(p []byte, columns []column, binaryRow bool) (row []string, err error) {
	f := reading{p: p}
	if !binaryRow {
		for range columns {
			if len(f.p) > 0 && f.p[0] == 0xfb {
				f.n(1)
				row = append(row, null)
				continue
			}
			row = append(row, string(f.text()))
		}
	} else {
		f.n(1)
		nulls := f.n((len(columns) + 9) / 8)
		for i, c := range columns {
			if nulls[(i+2)/8]&(1<<((i+2)%8)) != 0 {
				row = append(row, null)
				continue
			}
			row = append(row, f.value(c))
		}
	}
	if f.err != nil || len(f.p) > 0 {
		return row, errors.New("malformed row")
	}
	return row, nil
}

// value reads a binary value of the kinds that tests use.
func (f *reading) value(c column) string {
	var n uint64
	var bits int
	switch c.kind {
	case protocol.MYSQL_TYPE_TINY:
		n, bits = uint64(f.u8()), 8
	case protocol.MYSQL_TYPE_SHORT, protocol.MYSQL_TYPE_YEAR:
		n, bits = uint64(f.u16()), 16
	case protocol.MYSQL_TYPE_LONG, protocol.MYSQL_TYPE_INT24:
		n, bits = uint64(f.u32()), 32
	case protocol.MYSQL_TYPE_LONGLONG:
		n, bits = f.u64(), 64
	default:
		return string(f.text())
	}
	if c.unsigned {
		return strconv.FormatUint(n, 10)
	}
	return strconv.FormatInt(int64(n<<(64-bits))>>(64-bits), 10)
}

// must is query for a test that wants no trouble on the connection. ERRs are results.
func (w *wire) must(t testing.TB, text string) []result {
	t.Helper()
	all, err := w.query(text)
	if err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	return all
}

// outcome is what a client sees of all results of a text, or how the connection broke.
func (w *wire) outcome(text string) string {
	all, err := w.query(text)
	return show(all, err)
}

func show(all []result, err error) string {
	if err != nil {
		return "broken: " + err.Error()
	}
	var parts []string
	for _, r := range all {
		parts = append(parts, r.String())
	}
	return strings.Join(parts, " ")
}

// do runs statements that must not fail.
func (w *wire) do(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, r := range w.must(t, text) {
			if r.err != nil {
				t.Fatalf("%.80s: %v", text, r.err)
			}
		}
	}
}

// sees checks what a query shows.
func (w *wire) sees(t testing.TB, query, want string) {
	t.Helper()
	if got := w.outcome(query); got != want {
		t.Errorf("%.120s: %.200s, want %.200s", query, got, want)
	}
}

// statement is a prepared statement.
type statement struct {
	id              uint32
	params, columns int
}

func (w *wire) prepare(text string) (s statement, err error) {
	if err := w.command(protocol.COM_STMT_PREPARE, []byte(text)...); err != nil {
		return s, err
	}
	p, err := w.read()
	if err != nil {
		return s, err
	}
	if len(p) > 0 && p[0] == 0xff {
		return s, errOf(p, w.caps)
	}
	f := reading{p: p}
	f.n(1)
	s.id, s.columns, s.params = f.u32(), int(f.u16()), int(f.u16())
	if f.err != nil {
		return s, f.err
	}
	for _, n := range []int{s.params, s.columns} {
		if _, err := w.definitions(n); err != nil {
			return s, err
		}
		if n > 0 && w.caps&protocol.CLIENT_DEPRECATE_EOF == 0 {
			if err := w.eof(&result{}); err != nil {
				return s, err
			}
		}
	}
	return s, w.quiet()
}

// execute runs a prepared statement. Arguments are strings, int64s, nil or long.
func (w *wire) execute(s statement, cursor byte, args ...any) ([]result, error) {
	if err := w.command(protocol.COM_STMT_EXECUTE, w.executeBody(s, cursor, args)...); err != nil {
		return nil, err
	}
	return w.results(true)
}

// long says that an argument's data was sent before.
type long struct{}

func (w *wire) executeBody(s statement, cursor byte, args []any) []byte {
	p := binary.LittleEndian.AppendUint32(nil, s.id)
	p = append(p, cursor, 1, 0, 0, 0)
	if len(args) == 0 {
		return p
	}
	attributes := w.caps&protocol.CLIENT_QUERY_ATTRIBUTES != 0
	if attributes {
		p[4] |= 8 // PARAMETER_COUNT_AVAILABLE
		p = append(p, byte(len(args)))
	}
	nulls, kinds, values := make([]byte, (len(args)+7)/8), []byte(nil), []byte(nil)
	for i, a := range args {
		kind := byte(protocol.MYSQL_TYPE_VAR_STRING)
		switch v := a.(type) {
		case nil:
			nulls[i/8] |= 1 << (i % 8)
		case int64:
			kind = protocol.MYSQL_TYPE_LONGLONG
			values = binary.LittleEndian.AppendUint64(values, uint64(v))
		case string:
			values = appendString(values, v)
		case long:
			kind = protocol.MYSQL_TYPE_BLOB
		}
		kinds = append(kinds, kind, 0)
		if attributes {
			kinds = append(kinds, 0)
		}
	}
	p = append(append(p, nulls...), 1)
	return append(append(p, kinds...), values...)
}

// fetch reads up to n rows of a cursor into r.
func (w *wire) fetch(s statement, r *result, n uint32) error {
	body := binary.LittleEndian.AppendUint32(nil, s.id)
	if err := w.command(protocol.COM_STMT_FETCH, binary.LittleEndian.AppendUint32(body, n)...); err != nil {
		return err
	}
	if err := w.readRows(r, true); err != nil {
		return err
	}
	return w.quiet()
}

// one sends a command that is answered by one OK or ERR.
func (w *wire) one(command byte, body ...byte) (r result, err error) {
	if err := w.command(command, body...); err != nil {
		return r, err
	}
	p, err := w.read()
	switch {
	case err != nil:
		return r, err
	case len(p) > 0 && p[0] == 0xff:
		return r, errOf(p, w.caps)
	case len(p) > 0 && (p[0] == 0 || p[0] == 0xfe && len(p) >= 7):
		err = r.ok(p, w.caps)
	case len(p) == 5 && p[0] == 0xfe:
		err = r.end(p, 0)
	default:
		return r, fmt.Errorf("neither OK nor ERR: %x", p)
	}
	return r, errors.Join(err, w.quiet())
}
