package mysql

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unsafe"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

func TestTheGreetingIsTheServersOwn(t *testing.T) {
	for _, c := range []struct {
		server      serverInfo
		tls         engine.TLSMode
		plugin      string
		set, absent uint32
	}{
		{mysqlServer, engine.TLSDisable, "caching_sha2_password",
			protocol.CLIENT_LONG_PASSWORD | protocol.CLIENT_QUERY_ATTRIBUTES | protocol.CLIENT_SESSION_TRACK, protocol.CLIENT_SSL},
		{mysqlServer, engine.TLSAllow, "caching_sha2_password", protocol.CLIENT_SSL | protocol.CLIENT_DEPRECATE_EOF, 0},
		{mariaServer, engine.TLSRequire, "mysql_native_password", protocol.CLIENT_SSL | protocol.CLIENT_LOCAL_FILES,
			protocol.CLIENT_LONG_PASSWORD | protocol.CLIENT_QUERY_ATTRIBUTES},
	} {
		e := testEngine(Config{Credentials: users("")}, c.server)
		conn, _ := startLogin(t, e, engine.AcceptOptions{ID: 123456, TLS: engine.ClientTLS{Mode: c.tls}})
		payload := newPeer(t, conn).get()
		g, err := parseGreeting(payload)
		if err != nil {
			t.Fatal(err)
		}
		if g.version != c.server.version || g.id != 123456 || g.charset != c.server.charset || g.plugin != c.plugin {
			t.Errorf("greeting %+v", g)
		}
		if len(g.salt) != saltSize || bytes.ContainsAny(g.salt, "\x00$") {
			t.Errorf("salt %q", g.salt)
		}
		never := c.absent | protocol.CLIENT_COMPRESS | protocol.CLIENT_ZSTD_COMPRESSION_ALGORITHM |
			protocol.CLIENT_OPTIONAL_RESULTSET_METADATA | protocol.CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS
		if g.capabilities&c.set != c.set || g.capabilities&never != 0 {
			t.Errorf("capabilities %#x", g.capabilities)
		}
		extended := payload[1+len(g.version)+1+4+8+1+2+1+2+2+1+6:][:4]
		if !bytes.Equal(extended, make([]byte, 4)) {
			t.Errorf("MariaDB's extended capabilities are %x", extended)
		}
	}
}

func TestExtendedMetadataAndBulkOperationsAreAgreedOnAmongMariaDBsExtendedCapabilities(t *testing.T) {
	maria := mariaServer
	maria.capabilities |= extendedCapabilities
	for _, c := range []struct {
		server   serverInfo
		caps     uint32
		extended byte
		want     uint32
	}{
		{maria, clientCaps &^ protocol.CLIENT_LONG_PASSWORD, 0xff, extendedCapabilities},
		{maria, clientCaps &^ protocol.CLIENT_LONG_PASSWORD, 0x08, extendedMetadata},
		{maria, clientCaps &^ protocol.CLIENT_LONG_PASSWORD, 0x04, bulkOperations},
		{maria, clientCaps | protocol.CLIENT_LONG_PASSWORD, 0x0c, 0}, // no MariaDB's client: these bytes mean nothing
		{maria, clientCaps&^protocol.CLIENT_LONG_PASSWORD | extendedCapabilities, 0, 0},
		{mariaServer, clientCaps &^ protocol.CLIENT_LONG_PASSWORD, 0x0c, 0},
		{mysqlServer, clientCaps &^ protocol.CLIENT_LONG_PASSWORD, 0x0c, 0},
	} {
		offers := c.server.offers(false)
		payload := greeting(&c.server, 1, offers, fakeSalt)
		g, err := parseGreeting(payload)
		if err != nil || g.capabilities != offers {
			t.Errorf("offered %#x, greeted %#x, %v", offers, g.capabilities, err)
		}
		answer := append(fixedPart(c.caps), "u\x00\x00"...)
		answer[sslRequestSize-4] = c.extended
		r, err := parseResponse(answer, offers)
		if err != nil || r.capabilities&extendedCapabilities != c.want {
			t.Errorf("%s, capabilities %#x and %#x: %+v, %v", c.server.version, c.caps, c.extended, r, err)
		}
		flags, _, err := parseKeyOptions(keyOf("u", "", r.capabilities, 45).Options)
		if err != nil || flags&extendedCapabilities != c.want&extendedMetadata { // a backend can do bulk operations for everybody
			t.Errorf("the key says %#x, %v", flags, err)
		}
	}
}

func TestALoginWaitsForTheFirstServerToBeReached(t *testing.T) {
	e := New(Config{Credentials: users("")})
	conn, _ := startLogin(t, e, engine.AcceptOptions{ID: 1})
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("a greeting without a version")
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	e.reach(mariaServer)
	if g := newPeer(t, conn).greetingFrom(); g.version != mariaServer.version {
		t.Errorf("version %q", g.version)
	}
}

func TestALoginWithoutAnyServerIsRefused(t *testing.T) {
	e := New(Config{Credentials: users("")})
	client, server := loopback(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := e.accept(ctx, socket.New(server), engine.AcceptOptions{ID: 1}); err == nil {
		t.Fatal("accepted")
	}
	if n := parseERR(newPeer(t, client).get()).Number; n != 1105 && n != 1159 {
		t.Errorf("error %d", n)
	}
}

// refusal is the ERR that a client gets, whether it has a SQLSTATE, and what accept returned.
func refusal(t *testing.T, conn *peer, done <-chan outcome) (e *engine.ServerError, state bool, err error) {
	t.Helper()
	o := within(t, done)
	if o.err == nil {
		t.Fatalf("accepted: %+v", o.info)
	}
	payload := conn.get()
	if payload[0] != errHeader {
		t.Fatalf("no error but %q", payload)
	}
	if _, err := conn.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("more after the error: %v", err)
	}
	return parseERR(payload), len(payload) > 3 && payload[3] == '#', o.err
}

func TestBadResponsesAreRefused(t *testing.T) {
	const all = clientCaps | protocol.CLIENT_CONNECT_ATTRS | protocol.CLIENT_CONNECT_WITH_DB
	const lenenc = all | protocol.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
	full := func(caps uint32, tail string) []byte { return append(fixedPart(caps), tail...) }
	huge := "\xfe\xff\xff\xff\xff\xff\xff\xff\xff"
	for name, c := range map[string]struct {
		payload []byte
		number  uint16
		state   bool
	}{
		"empty":                           {nil, 1043, false},
		"one byte":                        {[]byte{1}, 1043, false},
		"without PROTOCOL_41":             {[]byte("\x05\x00\x00\x00\x00root\x00"), 1251, false},
		"without SECURE_CONNECTION":       {full(clientCaps&^protocol.CLIENT_SECURE_CONNECTION, "app\x00"), 1251, false},
		"two bytes":                       {[]byte{0x00, 0x82}, 1043, false},
		"shorter than the fixed part":     {fixedPart(clientCaps)[:31], 1043, false},
		"without a user's end":            {full(clientCaps, "app"), 1043, true},
		"without a proof":                 {full(clientCaps, "app\x00"), 1043, true},
		"proof cut off":                   {full(clientCaps, "app\x00\x14short"), 1043, true},
		"proof of 2^64-1 bytes":           {full(lenenc, "app\x00"+huge), 1043, true},
		"proof's length cut off":          {full(lenenc, "app\x00\xfe\x01"), 1043, true},
		"proof of NULL length":            {full(lenenc, "app\x00\xfb"), 1043, true},
		"proof of invalid length":         {full(lenenc, "app\x00\xff"), 1043, true},
		"attributes of 2^64-1 bytes":      {full(all, "app\x00\x00db\x00p\x00"+huge), 1043, true},
		"attributes cut off":              {full(all, "app\x00\x00db\x00p\x00\xfc"), 1043, true},
		"attributes longer than packet":   {full(all, "app\x00\x00db\x00p\x00\x09\x01a"), 1043, true},
		"attribute key of 2^64-1 bytes":   {full(all, "app\x00\x00db\x00p\x00\x09"+huge), 1043, true},
		"attribute value of 2^64-1 bytes": {full(all, "app\x00\x00db\x00p\x00\x0b\x01a"+huge), 1043, true},
		"attribute without value":         {full(all, "app\x00\x00db\x00p\x00\x02\x01a"), 1043, true},
		"tls that was not offered":        {fixedPart(clientCaps | protocol.CLIENT_SSL), 1043, true},
		"caching_sha2 without PLUGIN_AUTH": {full(clientCaps&^protocol.CLIENT_PLUGIN_AUTH, "app\x00\x00"),
			1251, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEngine(Config{Credentials: users(cachingSHA2)}, mysqlServer)
			conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1})
			p := newPeer(t, conn)
			p.get()
			p.put(c.payload)
			if got, state, err := refusal(t, p, done); got.Number != c.number || state != c.state {
				t.Errorf("told %+v (state %v), returned %v", got, state, err)
			}
		})
	}
}

func TestPacketsOutOfBoundsEndTheLogin(t *testing.T) {
	for name, raw := range map[string]string{ // the answer's sequence follows the header's
		"longer than 1 MiB":     "\x01\x00\x10\x01",
		"of 16 MiB and more":    "\xff\xff\xff\x01",
		"with a wrong sequence": "\x20\x00\x00\x02",
	} {
		t.Run(name, func(t *testing.T) {
			e := testEngine(Config{Credentials: users("")}, mysqlServer)
			conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1})
			p := newPeer(t, conn)
			p.get()
			if _, err := conn.Write([]byte(raw)); err != nil {
				t.Fatal(err)
			}
			o := within(t, done)
			var violation *engine.ProtocolError
			if !errors.As(o.err, &violation) || violation.Side != engine.SideClient {
				t.Errorf("returned %v", o.err)
			}
			p.sequence = raw[3] + 1
			if got := parseERR(p.get()); got.Number != 1835 {
				t.Errorf("told %+v", got)
			}
		})
	}
}

func TestAClientThatGoesAwayIsAnErrorAndNoMore(t *testing.T) {
	for _, sent := range []string{"", "\x20\x00", "\x20\x00\x00\x01half"} {
		e := testEngine(Config{Credentials: users("")}, mysqlServer)
		conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1})
		newPeer(t, conn).get()
		if _, err := conn.Write([]byte(sent)); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		if o := within(t, done); o.err == nil || errors.Is(o.err, engine.ErrLoginTimeout) {
			t.Errorf("after %q: %v", sent, o.err)
		}
	}
}

func TestASlowClientIsToldOfTheLoginTimeout(t *testing.T) {
	e := testEngine(Config{Credentials: users("")}, mysqlServer)
	client, server := loopback(t)
	if err := server.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := e.accept(context.Background(), socket.New(server), engine.AcceptOptions{ID: 1})
		done <- err
	}()
	p := newPeer(t, client)
	p.get()
	if _, err := client.Write([]byte("\x40\x00\x00\x01slow")); err != nil {
		t.Fatal(err)
	}
	if err := within(t, done); !errors.Is(err, engine.ErrLoginTimeout) {
		t.Errorf("returned %v", err)
	}
	p.sequence = 2
	if got := parseERR(p.get()); got.Number != 1159 {
		t.Errorf("told %+v", got)
	}
}

func TestALoginEndsWhenTheProxyStops(t *testing.T) {
	e := testEngine(Config{Credentials: users("")}, mysqlServer)
	client, server := loopback(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := e.accept(ctx, socket.New(server), engine.AcceptOptions{ID: 1})
		done <- err
	}()
	p := newPeer(t, client)
	p.get()
	cancel()
	if err := within(t, done); !errors.Is(err, engine.ErrShutdown) {
		t.Errorf("returned %v", err)
	}
	p.sequence = 1
	if got := parseERR(p.get()); got.Number != 1053 {
		t.Errorf("told %+v", got)
	}
}

func TestAResponseArrivesByteByByteAndNothingBeyondItIsRead(t *testing.T) {
	e := testEngine(Config{Credentials: users(native)}, mysqlServer)
	client, server := loopback(t)
	done := make(chan outcome, 1)
	go func() {
		info, err := e.accept(context.Background(), socket.New(server), engine.AcceptOptions{ID: 1})
		done <- outcome{info, err}
	}()
	p := newPeer(t, client)
	g := p.greetingFrom()
	var raw bytes.Buffer
	out := packets{conn: &raw, sequence: 1}
	if err := out.write(clientResponse("app", protocol.CalcNativePassword(g.salt, []byte(password)), "")); err != nil {
		t.Fatal(err)
	}
	raw.WriteString("beyond")
	for _, b := range raw.Bytes() {
		if _, err := client.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if o := within(t, done); o.err != nil || o.info.sequence != 2 {
		t.Fatalf("%+v", o)
	}
	rest := make([]byte, 6)
	if _, err := io.ReadFull(server, rest); err != nil || string(rest) != "beyond" {
		t.Errorf("%q is left of what followed: %v", rest, err)
	}
}

func TestWhatTheResponseSaysReachesTheMachine(t *testing.T) {
	long := strings.Repeat("n", 300)
	attributes := func(name string) string {
		kv := string(protocol.PutLengthEncodedInt(12)) + "program_name" +
			string(protocol.PutLengthEncodedInt(uint64(len(name)))) + name
		return string(protocol.PutLengthEncodedInt(uint64(len(kv)))) + kv
	}
	for name, c := range map[string]struct {
		caps        uint32
		tail        string
		database    string
		application string
		key         engine.Key
	}{
		"nothing": {clientCaps, "open\x00\x00mysql_native_password\x00", "", "",
			engine.Key{User: "open", Options: "charset=45"}},
		"no NUL after the plugin": {clientCaps, "open\x00\x00mysql_native_password", "", "",
			engine.Key{User: "open", Options: "charset=45"}},
		"no plugin": {clientCaps &^ protocol.CLIENT_PLUGIN_AUTH, "open\x00\x00", "", "",
			engine.Key{User: "open", Options: "charset=45"}},
		"a database": {clientCaps | protocol.CLIENT_CONNECT_WITH_DB, "open\x00\x00shop\x00mysql_native_password\x00", "shop", "",
			engine.Key{User: "open", Database: "*", Options: "charset=45"}},
		"an empty database": {clientCaps | protocol.CLIENT_CONNECT_WITH_DB, "open\x00\x00\x00mysql_native_password\x00", "", "",
			engine.Key{User: "open", Options: "charset=45"}},
		"an application": {clientCaps | protocol.CLIENT_CONNECT_ATTRS, "open\x00\x00mysql_native_password\x00" + attributes("cli"),
			"", "cli", engine.Key{User: "open", Options: "charset=45"}},
		"an application with a long name": {clientCaps | protocol.CLIENT_CONNECT_ATTRS,
			"open\x00\x00mysql_native_password\x00" + attributes(long), "", long[:maxApplication],
			engine.Key{User: "open", Options: "charset=45"}},
		"attributes of 64 KiB": {clientCaps | protocol.CLIENT_CONNECT_ATTRS,
			"open\x00\x00mysql_native_password\x00" + attributes(strings.Repeat("n", 64<<10-20)), "",
			strings.Repeat("n", maxApplication), engine.Key{User: "open", Options: "charset=45"}},
		"attributes of 900 KiB": {clientCaps | protocol.CLIENT_CONNECT_ATTRS,
			"open\x00\x00mysql_native_password\x00" + attributes(strings.Repeat("n", 900<<10)), "", "",
			engine.Key{User: "open", Options: "charset=45"}},
		"announced attributes that are missing": {clientCaps | protocol.CLIENT_CONNECT_ATTRS,
			"open\x00\x00mysql_native_password\x00", "", "", engine.Key{User: "open", Options: "charset=45"}},
		"every capability": {0xffffffff &^ protocol.CLIENT_SSL, "open\x00\x00shop\x00mysql_native_password\x00\x00", "shop", "",
			engine.Key{User: "open", Database: "*",
				Options: "charset=45,found_rows,ignore_space,interactive,local_files,multi_statements,query_attributes"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := testEngine(Config{Credentials: users(native)}, mysqlServer)
			conn, done := startLogin(t, e, engine.AcceptOptions{ID: 9, ClientAddress: "192.0.2.1:4"})
			p := newPeer(t, conn)
			p.get()
			p.put(append(fixedPart(c.caps), c.tail...))
			o := within(t, done)
			if o.err != nil {
				t.Fatal(o.err)
			}
			i := o.info
			if i.key.User != "open" || i.database != c.database || i.application != c.application || i.key != c.key {
				t.Errorf("%+v", i)
			}
			if i.id != 9 || i.clientAddress != "192.0.2.1:4" || i.charset != 45 || i.sequence != 2 || i.tls {
				t.Errorf("%+v", i)
			}
			if i.capabilities&^mysqlServer.offers(false) != 0 || i.capabilities&^c.caps&^protocol.CLIENT_MULTI_RESULTS != 0 {
				t.Errorf("capabilities %#x were not agreed on", i.capabilities)
			}
		})
	}
}

func TestAcceptReturnsTheSessionWithItsMachine(t *testing.T) {
	e := testEngine(Config{Credentials: users(native)}, mysqlServer)
	client, server := loopback(t)
	p := newPeer(t, client)
	go func() {
		p.get()
		p.put(clientResponse("open", nil, ""))
	}()
	a, err := e.Accept(context.Background(), socket.New(server), engine.AcceptOptions{ID: 1})
	want := engine.Key{User: "open", Options: "charset=45"}
	if err != nil || a.Machine == nil || a.Key != want || a.User != "open" || a.Cancel != nil || a.Secret != nil {
		t.Errorf("%+v, %v", a, err)
	}
	client, server = loopback(t)
	_ = client.Close()
	if a, err := e.Accept(context.Background(), socket.New(server), engine.AcceptOptions{ID: 1}); err == nil || a.Machine != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestMultiStatementsImplyMultiResults(t *testing.T) {
	r, err := parseResponse(append(fixedPart(clientCaps|protocol.CLIENT_MULTI_STATEMENTS), "u\x00\x00"...), offered)
	if err != nil || !r.has(protocol.CLIENT_MULTI_RESULTS) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestALongUserNameIsDeniedLikeAnUnknownOne(t *testing.T) {
	e := testEngine(Config{Credentials: users(native)}, mysqlServer)
	conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1})
	p := newPeer(t, conn)
	p.get()
	p.put(clientResponse(strings.Repeat("u", 100<<10), []byte("x"), "mysql_native_password"))
	got, state, err := refusal(t, p, done)
	if got.Number != 1045 || !state || !errors.Is(err, engine.ErrNoCredential) || len(got.Message) > maxMessage {
		t.Errorf("told %+v, returned %v", got, err)
	}
}

// failing is a secret store that is down.
type failing struct{ accounts }

func (failing) Credential(context.Context, string) (engine.Credential, error) {
	return engine.Credential{}, errors.New("store at 192.0.2.7 is down")
}

func TestAFailingSecretStoreIsNotToldInDetail(t *testing.T) {
	e := testEngine(Config{Credentials: failing{}}, mysqlServer)
	conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1})
	p := newPeer(t, conn)
	p.get()
	p.put(clientResponse("app", []byte("x"), "mysql_native_password"))
	if got, _, _ := refusal(t, p, done); got.Number != 1105 || got.Message != "Unknown error" {
		t.Errorf("told %+v", got)
	}
}

func TestATLSHandshakeThatFailsIsNotAnsweredInClear(t *testing.T) {
	cert, _ := certificate(t)
	e := testEngine(Config{Credentials: users("")}, mysqlServer)
	conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1, TLS: engine.ClientTLS{Mode: engine.TLSRequire,
		Config: &tls.Config{Certificates: []tls.Certificate{cert}}}})
	p := newPeer(t, conn)
	p.get()
	p.put(fixedPart(clientCaps | protocol.CLIENT_SSL))
	if _, err := conn.Write([]byte("this is no client hello")); err != nil {
		t.Fatal(err)
	}
	if o := within(t, done); o.err == nil {
		t.Fatal("accepted")
	}
	answer, _ := io.ReadAll(conn)
	if len(answer) > 0 && answer[0] != 21 { // a TLS alert
		t.Errorf("answered %q", answer)
	}
}

func TestAResponseInClearBehindATLSRequestIsRefused(t *testing.T) {
	cert, _ := certificate(t)
	e := testEngine(Config{Credentials: users("")}, mysqlServer)
	conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1, TLS: engine.ClientTLS{Mode: engine.TLSRequire,
		Config: &tls.Config{Certificates: []tls.Certificate{cert}}}})
	p := newPeer(t, conn)
	p.get()
	p.put(append(fixedPart(clientCaps|protocol.CLIENT_SSL), "app\x00\x00"...))
	if got, _, _ := refusal(t, p, done); got.Number != 1043 {
		t.Errorf("told %+v", got)
	}
}

func TestSaltsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		s := newSalt()
		if seen[string(s)] || len(s) != saltSize || bytes.ContainsAny(s, "\x00$") {
			t.Fatalf("salt %q", s)
		}
		seen[string(s)] = true
	}
}

func TestAnErrorBeforeTheGreetingHasNoSQLSTATE(t *testing.T) {
	e := New(Config{Credentials: users("")})
	conn, done := startLogin(t, e, engine.AcceptOptions{ID: 1, Refuse: engine.ErrTooManyClients})
	got, state, err := refusal(t, newPeer(t, conn), done)
	if got.Number != 1040 || state || !errors.Is(err, engine.ErrTooManyClients) {
		t.Errorf("told %+v (state %v), returned %v", got, state, err)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add(clientResponse("app", make([]byte, 20), "mysql_native_password"), uint32(offered))
	f.Add(append(fixedPart(0xffffffff), "a\x00\x01xdb\x00plugin\x00\x03\x01a\x00"...), uint32(offered))
	f.Add(append(fixedPart(0xffffffff), "a\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff"...), uint32(offered))
	f.Fuzz(func(t *testing.T, payload []byte, offered uint32) {
		r, err := parseResponse(payload, offered)
		if err != nil {
			return
		}
		if len(payload) < sslRequestSize || len(r.proof) > len(payload) || len(r.application) > maxApplication {
			t.Fatalf("%d bytes became %+v", len(payload), r)
		}
		if r.capabilities&extendedMetadata != 0 && payload[28]&wireExtendedMetadata == 0 {
			t.Fatal("extended metadata, which the client lacks")
		}
		if r.capabilities&bulkOperations != 0 && payload[28]&wireBulkOperations == 0 {
			t.Fatal("bulk operations, which the client lacks")
		}
		if r.capabilities&^protocol.CLIENT_MULTI_RESULTS&^extendedCapabilities&^binary.LittleEndian.Uint32(payload) != 0 {
			t.Fatalf("capabilities %#x that the client lacks", r.capabilities)
		}
	})
}

// deaf is a connection whose peer has said all that it will.
type deaf struct {
	net.Conn
	in  *bytes.Reader
	out int
}

func (d *deaf) Read(p []byte) (int, error)     { return d.in.Read(p) }
func (d *deaf) Write(p []byte) (int, error)    { d.out += len(p); return len(p), nil }
func (*deaf) SetReadDeadline(time.Time) error  { return nil }
func (*deaf) SetWriteDeadline(time.Time) error { return nil }
func (*deaf) RemoteAddr() net.Addr             { return nil }

// FuzzLogin feeds arbitrary bytes to whole logins: nobody gets in without the password, and every answer is short.
func FuzzLogin(f *testing.F) {
	var raw bytes.Buffer
	script := packets{conn: &raw, sequence: 1}
	if err := script.write(clientResponse("app", make([]byte, 32), "")); err != nil {
		f.Fatal(err)
	}
	script.sequence = 3
	if err := script.write([]byte{requestPublicKey}); err != nil {
		f.Fatal(err)
	}
	f.Add(raw.Bytes(), true, false)
	f.Add(raw.Bytes(), false, true)
	f.Add([]byte("\x02\x00\x00\x01\x00\x00"), false, false)
	var engines [2][2]*Engine
	for i, full := range []bool{false, true} {
		for j, s := range []serverInfo{mysqlServer, mariaServer} {
			c := Config{Credentials: accounts{map[string]string{"app": password}, ""}, FullAuthentication: full}
			engines[i][j] = testEngine(c, s)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, full, maria bool) {
		i, j := 0, 0
		if full {
			i = 1
		}
		if maria {
			j = 1
		}
		conn := &deaf{in: bytes.NewReader(in)}
		_, err := engines[i][j].accept(context.Background(), socket.New(conn), engine.AcceptOptions{ID: 1})
		if err == nil || conn.out > 4<<10 {
			t.Fatalf("%v after %d bytes", err, conn.out)
		}
	})
}

func TestSessionsOfOneUserHaveTheirNamesInCommon(t *testing.T) {
	e := New(Config{Credentials: users(native)})
	l := func() *login {
		return &login{e: e, salt: newSalt(), response: response{user: strings.Clone("app"), database: strings.Clone("shop"), charset: 45}}
	}
	a, b := l().session(), l().session()
	for _, pair := range [][2]string{{a.key.User, b.key.User}, {a.key.Options, b.key.Options}, {a.database, b.database}} {
		if pair[0] != pair[1] || unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%q is kept twice", pair[0])
		}
	}
}
