package mysql

import (
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// FuzzMachine plays bytes of both sides to a machine, in pieces: of every five, one says from which side and how many
// follow. Nothing may panic, nothing may be consumed that was not given, and a wire's rules hold (see wire).
func FuzzMachine(f *testing.F) {
	seed := func(caps uint8, parts ...[]byte) {
		var script []byte
		for i, p := range parts {
			for len(p) > 0 {
				n := min(len(p), 127)
				script = append(script, byte(n)<<1|byte(i&1))
				script = append(script, p[:n]...)
				p = p[n:]
			}
		}
		f.Add(caps, script)
	}
	for i, c := range conversions {
		seed(uint8(i), c.request, c.answer)
	}
	seed(0, query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"), reply("\xfbx"), pack(2, "a", ""), pack(4, okPlain))
	seed(1, command(protocol.COM_RESET_CONNECTION, ""), reply(okPlain), query("INSERT INTO t VALUES (1)"), reply(insertMySQL),
		nil, reply("\x01", columnOne, "\x0242", endMySQL), nil, reply(okPlain))
	seed(2, command(protocol.COM_CHANGE_USER, "app\x00\x00\x00\x2d\x00mysql_native_password\x00"), nil, pack(2, "12345678901234567890"))
	seed(2, command(protocol.COM_STMT_PREPARE, "DO ?"), prepareOK(40, 1), about(protocol.COM_STMT_EXECUTE, 1, once+typed+seven), reply(okMySQL),
		about(protocol.COM_STMT_SEND_LONG_DATA, 1, "\x00\x00x"), nil, about(protocol.COM_STMT_EXECUTE, 1, read+"\x00\x00"+seven),
		reply("\x01", columnA, "\xfe\x00\x00\x42\x00\x00\x00"), about(protocol.COM_STMT_FETCH, 1, "\x01\x00\x00\x00"), reply(okPlain),
		about(protocol.COM_STMT_RESET, 1, ""), reply(okPlain), query("SET sql_mode = 'ANSI'"), reply(okMySQL),
		about(protocol.COM_STMT_CLOSE, 1, ""), nil, command(protocol.COM_RESET_CONNECTION, ""), reply(okPlain))
	seed(5, command(protocol.COM_STMT_PREPARE, "DO ?"), prepareOK(40, 1), about(comBulkExecute, 1, "\x80\x00\x08\x00\x00"+seven), reply(okMySQL))
	f.Fuzz(func(t *testing.T, caps uint8, script []byte) {
		kinds := [...]uint32{oldClient, trackClient, modernClient, trackedModern, trackedModern | protocol.CLIENT_QUERY_ATTRIBUTES, trackedModern | bulkOperations}
		r := newRig(t, kinds[int(caps)%len(kinds)])
		r.pool.State.(*backendState).capabilities = r.m.info.capabilities & bulkOperations
		for len(script) > 0 && !r.closed {
			side, n := script[0]&1, int(script[0]>>1)
			script = script[1:]
			n = min(n, len(script))
			piece := append([]byte(nil), script[:n]...)
			script = script[n:]
			if side == 0 {
				if r.feed(&r.fromClient, piece, r.m.FromClient) != nil {
					return
				}
				if work := r.aside; work != nil {
					then := work(t.Context())
					r.aside = nil
					then(r.wire)
				}
				continue
			}
			if r.held == nil {
				continue
			}
			if err := r.feed(&r.fromBackend, piece, r.m.FromBackend); err != nil {
				r.held, r.pins, r.fromBackend = nil, 0, nil
				r.m.BackendLost(err, r.wire)
				r.pool = &engine.Backend{State: &backendState{}}
			}
			if r.held == nil {
				r.fromBackend = nil
			}
			if r.deliver(&r.fromClient, r.m.FromClient) != nil {
				return
			}
		}
		r.m.Stop(engine.ErrShutdown, r.wire)
	})
}
