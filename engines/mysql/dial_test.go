package mysql

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// fakeServer lets script answer every connection to the target that it returns.
func fakeServer(t testing.TB, script func(p *peer)) engine.Target {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			go func() {
				defer func() { _ = nc.Close() }()
				script(newPeer(t, nc))
			}()
		}
	}()
	return engine.Target{Name: "one", Address: ln.Addr().String()}
}

var fakeSalt = []byte("abcdefghijklmnopqrst")

// greet sends a greeting with more or less capabilities than those of a MySQL 9.
func (p *peer) greet(plugin string, set, unset uint32) {
	s := mysqlServer
	caps := s.capabilities&^protocol.CLIENT_SSL&^unset | set
	g := greeting(&s, 4711, caps, fakeSalt)
	g = g[:len(g)-1-len(defaultMethod(&s).plugin())]
	_ = p.write(append(append(g, plugin...), 0))
}

// fail and succeed end a login or a command.
func (p *peer) fail(number uint16, message string) {
	_, _ = p.conn.Write(appendERR(nil, p.sequence, clientCaps, number, "HY000", message))
}

func (p *peer) succeed() { _, _ = p.conn.Write(appendOK(nil, p.sequence, statusAutocommit)) }

// commands answers what arrives with OK and sends the texts on, until the peer leaves.
func (p *peer) commands(seen chan<- string) {
	for {
		p.sequence = 0
		c, err := p.read()
		if err != nil || len(c) == 0 {
			return
		}
		seen <- string(c)
		if c[0] == protocol.COM_QUIT {
			return
		}
		if row := variablesFor(c); row != nil {
			_, _ = p.conn.Write(row)
			continue
		}
		p.succeed()
	}
}

func testDial(e *Engine, target engine.Target) (engine.Dialed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return e.Dial(ctx, target, keyOf("app", "shop", protocol.CLIENT_FOUND_ROWS|protocol.CLIENT_QUERY_ATTRIBUTES, 33))
}

func TestABackendIsOpenedAsItsKeySays(t *testing.T) {
	responses, seen := make(chan []byte, 1), make(chan string, 10)
	target := fakeServer(t, func(p *peer) {
		p.greet(protocol.AUTH_NATIVE_PASSWORD, 0, 0)
		r, _ := p.read()
		responses <- r
		p.succeed()
		p.commands(seen)
	})
	target.InitQuery = "SET time_zone='+01:00'"
	e := New(Config{Credentials: users("")})
	d, err := testDial(e, target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Conn.Close() }()
	r, err := parseResponse(within(t, responses), 0xffffffff)
	if err != nil {
		t.Fatal(err)
	}
	proof := protocol.CalcNativePassword(fakeSalt, []byte(password))
	if r.user != "app" || r.database != "" || r.charset != 33 || r.application != "berth" ||
		r.plugin != protocol.AUTH_NATIVE_PASSWORD || string(r.proof) != string(proof) {
		t.Errorf("response %+v", r)
	}
	const always = wanted | protocol.CLIENT_FOUND_ROWS | protocol.CLIENT_QUERY_ATTRIBUTES
	if r.capabilities != always {
		t.Errorf("capabilities %#x, not %#x", r.capabilities, uint32(always))
	}
	if q := within(t, seen); q != "\x03\x00\x01"+trackers {
		t.Errorf("first query %q", q)
	}
	if q := within(t, seen); q != "\x03\x00\x01"+target.InitQuery {
		t.Errorf("second query %q", q)
	}
	if q := within(t, seen); q != "\x03\x00\x01SELECT "+identity+", @@SESSION."+strings.Join(fundamental, ", @@SESSION.")+", @@GLOBAL.max_prepared_stmt_count, @@GLOBAL.init_connect, CURRENT_ROLE()" {
		t.Errorf("third query %q", q)
	}
	want := &backendState{id: 4711, server: "7 7", version: "9.7.4", dialect: dialect{version: 90704}, capabilities: always, charset: 33, imposed: 8, user: "app", status: 2, role: "SET ROLE 7"}
	for _, name := range fundamental {
		want.base, _ = want.base.with(name, "7")
	}
	want.arm = trackers // and all that init_connect may have set, whatever that is
	for _, v := range want.base.all {
		want.arm += ", @@SESSION." + v.name + "=7"
	}
	want.unseen = e.unseenBy(target, want.server, "app")
	want.statements.place = &place{shelf: e.shelves.byServer["7 7"], server: "7 7"}
	if got := d.State.(*backendState); !reflect.DeepEqual(got, want) {
		t.Errorf("state %+v", got)
	}
	if len(d.Conn.Rest) != 0 {
		t.Errorf("%d bytes were read ahead", len(d.Conn.Rest))
	}
	if e.server.Load().version != "9.7.4" {
		t.Error("the greeting was forgotten")
	}
}

func TestAServersRefusalIsKeptInItsOwnWords(t *testing.T) {
	for number, permanent := range map[uint16]bool{
		1045: true, 1044: true, 1049: true, 1698: true, 1862: true, 3118: true, 1130: true, 1231: true, 1251: true,
		1040: false, 1203: false, 1226: false, 1053: false, 2002: false, 1129: false,
	} {
		for _, early := range []bool{true, false} {
			target := fakeServer(t, func(p *peer) {
				if !early {
					p.greet(protocol.AUTH_NATIVE_PASSWORD, 0, 0)
					_, _ = p.read()
				}
				p.fail(number, "no")
			})
			e := New(Config{Credentials: users("")})
			_, err := testDial(e, target)
			if (e.server.Load() == nil) != early {
				t.Errorf("%d: the greeting is known without being sent, or was forgotten", number)
			}
			var server *engine.ServerError
			if !errors.As(err, &server) || server.Number != number || server.Message != "no" || server.Code != "HY000" {
				t.Errorf("%d: %v", number, err)
			}
			if engine.IsPermanent(err) != permanent {
				t.Errorf("%d: permanent is %v", number, !permanent)
			}
		}
	}
}

// badServer is a server that no backend can be opened on, and why.
type badServer struct {
	script    func(p *peer)
	permanent bool
	says      string
}

func refuseAll(t *testing.T, servers map[string]badServer) {
	t.Helper()
	for name, c := range servers {
		t.Run(name, func(t *testing.T) {
			_, err := testDial(New(Config{Credentials: users("")}), fakeServer(t, c.script))
			var dial *engine.DialError
			if !errors.As(err, &dial) || dial.Target != "one" || dial.Permanent != c.permanent ||
				!strings.Contains(err.Error(), c.says) {
				t.Errorf("%v (permanent %v)", err, engine.IsPermanent(err))
			}
		})
	}
}

func TestAServerWithABadGreetingIsRefused(t *testing.T) {
	refuseAll(t, map[string]badServer{
		"closes at once":      {func(*peer) {}, false, "EOF"},
		"another protocol":    {func(p *peer) { _ = p.write([]byte("\x09old")) }, false, "version 10"},
		"an empty greeting":   {func(p *peer) { _ = p.write(nil) }, false, "version 10"},
		"a truncated one":     {func(p *peer) { _ = p.write([]byte("\x0a8.0\x00\x01\x02")) }, false, "truncated"},
		"a greeting too long": {func(p *peer) { _, _ = p.conn.Write([]byte("\xff\xff\xff\x00")) }, false, "bytes during"},
		"no DEPRECATE_EOF": {func(p *peer) { p.greet("mysql_native_password", 0, protocol.CLIENT_DEPRECATE_EOF) }, true,
			"lacks capabilities"},
	})
}

func TestABadAuthenticationIsRefused(t *testing.T) {
	refuseAll(t, map[string]badServer{
		"an unknown method": {func(p *peer) {
			p.greet("authentication_windows", 0, 0)
			_, _ = p.read()
			_ = p.write([]byte("\xfeauthentication_windows\x00" + string(fakeSalt) + "\x00"))
		}, true, "not supported"},
		"the password in clear": {func(p *peer) {
			p.greet("mysql_clear_password", 0, 0)
			r, _ := p.read()
			if strings.Contains(string(r), password) {
				p.t.Error("the password was sent in clear")
			}
			_ = p.write([]byte("\xfemysql_clear_password\x00"))
			if r, err := p.read(); err == nil {
				p.t.Errorf("%q was sent", r)
			}
		}, true, "needs tls"},
		"two switches": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			for range 2 {
				_, _ = p.read()
				_ = p.write([]byte("\xfemysql_native_password\x00" + string(fakeSalt) + "\x00"))
			}
		}, false, "second"},
		"a short switch": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			_, _ = p.read()
			_ = p.write([]byte("\xfemysql_native_password\x00short"))
		}, false, "truncated"},
		"an empty packet": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			_, _ = p.read()
			_ = p.write(nil)
		}, false, "empty"},
		"a truncated OK": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			_, _ = p.read()
			_ = p.write([]byte{0, 0})
		}, false, "truncated OK"},
		"an rsa key that is none": {func(p *peer) {
			p.greet("caching_sha2_password", 0, 0)
			_, _ = p.read()
			_ = p.write([]byte{1, 4})
			_, _ = p.read()
			_ = p.write([]byte("\x01not a key"))
		}, false, "pem"},
		"an rsa key that nobody asked for": {func(p *peer) {
			p.greet("caching_sha2_password", 0, 0)
			_, _ = p.read()
			_ = p.write([]byte("\x01-----BEGIN"))
		}, false, "malformed"},
		"more data than native has": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			_, _ = p.read()
			_ = p.write([]byte{1, 4})
		}, false, "unexpected"},
	})
}

func TestAServerThatCannotBePreparedIsRefused(t *testing.T) {
	refuseAll(t, map[string]badServer{
		"no trackers": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			_, _ = p.read()
			p.succeed()
			p.sequence = 0
			_, _ = p.read()
			p.fail(1193, "Unknown system variable 'session_track_schema'")
		}, true, "session trackers"},
		"a file is asked for": {func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			_, _ = p.read()
			p.succeed()
			p.sequence = 0
			_, _ = p.read()
			_ = p.write([]byte("\xfb/etc/passwd"))
			if file, _ := p.read(); len(file) > 0 {
				p.t.Errorf("%q was sent", file)
			}
			p.succeed()
		}, false, "file"},
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	target := fakeServer(t, func(p *peer) {
		p.greet("mysql_native_password", 0, 0)
		_, _ = p.read()
		_, _ = p.read() // for ever
	})
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	_, err := New(Config{Credentials: users("")}).Dial(ctx, target, keyOf("app", "", 0, 45))
	if !errors.Is(err, context.DeadlineExceeded) || engine.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

func TestDialWithoutACredentialIsPermanent(t *testing.T) {
	_, err := New(Config{Credentials: users("")}).Dial(context.Background(), engine.Target{}, keyOf("nobody", "", 0, 45))
	if !engine.IsPermanent(err) || !errors.Is(err, engine.ErrNoCredential) {
		t.Errorf("%v", err)
	}
	_, err = New(Config{Credentials: failing{}}).Dial(context.Background(), engine.Target{}, keyOf("app", "", 0, 45))
	if err == nil || engine.IsPermanent(err) {
		t.Errorf("%v", err)
	}
	_, err = New(Config{Credentials: users("")}).Dial(context.Background(), engine.Target{}, engine.Key{User: "app"})
	if !engine.IsPermanent(err) {
		t.Errorf("%v", err)
	}
}

func TestThePasswordIsEncryptedForAServerWithoutTLS(t *testing.T) {
	key, err := newRSAKey()
	if err != nil {
		t.Fatal(err)
	}
	target := fakeServer(t, func(p *peer) {
		p.greet(protocol.AUTH_CACHING_SHA2_PASSWORD, 0, 0)
		_, _ = p.read()
		_ = p.write([]byte{authMoreData, performFullAuth})
		if ask, _ := p.read(); string(ask) != "\x02" {
			p.t.Errorf("asked %q", ask)
		}
		_ = p.write(append([]byte{authMoreData}, key.public...))
		sealed, _ := p.read()
		clear, err := rsa.DecryptOAEP(sha1.New(), rand.Reader, key.private, sealed, nil)
		if err != nil || string(protocol.Xor(clear, fakeSalt)) != password+"\x00" {
			p.fail(1045, "no")
			return
		}
		p.succeed()
		p.commands(make(chan string, 10))
	})
	d, err := testDial(New(Config{Credentials: users("")}), target)
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Conn.Close()
}

// secureServer is a fake server that speaks TLS and wants the password in clear by plugin.
func secureServer(t *testing.T, cert tls.Certificate, plugin string, passwords chan<- string) engine.Target {
	return fakeServer(t, func(p *peer) {
		p.greet(plugin, protocol.CLIENT_SSL, 0)
		if request, err := p.read(); err != nil || len(request) != sslRequestSize {
			return
		}
		secure := tls.Server(p.conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		p.packets.conn = secure
		if _, err := p.read(); err != nil {
			return
		}
		if plugin == protocol.AUTH_CLEAR_PASSWORD {
			_ = p.write([]byte("\xfemysql_clear_password\x00"))
		} else {
			_ = p.write([]byte{authMoreData, performFullAuth})
		}
		clear, err := p.read()
		if err != nil {
			return
		}
		passwords <- string(clear)
		_ = p.write([]byte{0, 0, 0, 2, 0, 0, 0})
		p.sequence = 0
		_, _ = p.read()
		_ = p.write([]byte{0, 0, 0, 2, 0, 0, 0})
		p.sequence = 0
		c, _ := p.read()
		for rest := variablesFor(c); len(rest) > 0; {
			n, _ := packetHeader(rest)
			_ = p.write(rest[headerSize : headerSize+n])
			rest = rest[headerSize+n:]
		}
	})
}

func TestTLSOfATargetDecidesWhoGetsAPassword(t *testing.T) {
	cert, roots := certificate(t)
	_, strangers := certificate(t)
	const clear, sha2 = protocol.AUTH_CLEAR_PASSWORD, protocol.AUTH_CACHING_SHA2_PASSWORD
	for _, c := range []struct {
		mode   engine.TargetTLSMode
		roots  *x509.CertPool
		name   string
		plugin string
		ok     bool
	}{
		{engine.TargetTLSDisable, roots, "", sha2, false}, // this server has TLS only
		{engine.TargetTLSPrefer, nil, "", sha2, true},
		{engine.TargetTLSRequire, strangers, "", sha2, true},
		{engine.TargetTLSRequire, roots, "", clear, false},
		{engine.TargetTLSVerifyCA, strangers, "", sha2, false},
		{engine.TargetTLSVerifyCA, roots, "another.example", sha2, true},
		{engine.TargetTLSVerifyCA, roots, "another.example", clear, true},
		{engine.TargetTLSVerifyFull, roots, "another.example", sha2, false},
		{engine.TargetTLSVerifyFull, roots, "", sha2, false}, // the certificate is not for 127.0.0.1
		{engine.TargetTLSVerifyFull, roots, "localhost", clear, true},
	} {
		t.Run(fmt.Sprint(c.mode, c.name, c.plugin, c.ok), func(t *testing.T) {
			passwords := make(chan string, 1)
			target := secureServer(t, cert, c.plugin, passwords)
			target.TLS = engine.TargetTLS{Mode: c.mode, Renewed: func() *x509.CertPool { return c.roots }, ServerName: c.name}
			d, err := testDial(New(Config{Credentials: users("")}), target)
			if (err == nil) != c.ok {
				t.Fatal(err)
			}
			if !c.ok {
				if len(passwords) > 0 {
					t.Error("the password was sent")
				}
				return
			}
			defer func() { _ = d.Conn.Close() }()
			if got := within(t, passwords); got != password+"\x00" {
				t.Errorf("the server got %q", got)
			}
			if _, secure := d.Conn.TLS(); !secure {
				t.Error("not over tls")
			}
		})
	}
}

func TestAServerWithoutTLSIsRefusedWhereTLSIsRequired(t *testing.T) {
	for mode := engine.TargetTLSRequire; mode <= engine.TargetTLSVerifyFull; mode++ {
		target := fakeServer(t, func(p *peer) {
			p.greet("mysql_native_password", 0, 0)
			if r, err := p.read(); err == nil {
				p.t.Errorf("%q was sent", r)
			}
		})
		target.TLS.Mode = mode
		if _, err := testDial(New(Config{Credentials: users("")}), target); err == nil {
			t.Errorf("mode %d: accepted", mode)
		}
	}
}

func TestAMariaDBIsToldApartAndItsPrefixDropped(t *testing.T) {
	target := fakeServer(t, func(p *peer) {
		s := mariaServer
		_ = p.write(greeting(&s, 1, s.capabilities&^protocol.CLIENT_SSL, fakeSalt))
		r, _ := p.read()
		if binary.LittleEndian.Uint32(r)&protocol.CLIENT_LONG_PASSWORD != 0 {
			p.t.Error("MariaDB would take this for CLIENT_MYSQL")
		}
		p.succeed()
		p.commands(make(chan string, 10))
	})
	d, err := testDial(New(Config{Credentials: users("")}), target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Conn.Close() }()
	if s := d.State.(*backendState); !s.mariaDB || s.version != "10.11.18-MariaDB" {
		t.Errorf("%+v", s)
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add(greeting(&mysqlServer, 1, mysqlServer.capabilities, fakeSalt))
	f.Add(greeting(&mariaServer, 1, mariaServer.capabilities, fakeSalt))
	f.Add([]byte("\xff\x10\x04#08004Too many connections"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if g, err := parseGreeting(payload); err == nil && len(g.salt) != saltSize {
			t.Fatalf("salt %q", g.salt)
		}
	})
}

func FuzzProver(f *testing.F) {
	key, err := newRSAKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{1, 4}, append([]byte{1}, key.public...), false)
	f.Add([]byte("\xfemysql_native_password\x00abcdefghijklmnopqrst\x00"), []byte{1, 3}, true)
	der := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("no key")})
	f.Add([]byte{1, 4}, append([]byte{1}, der...), false)
	f.Fuzz(func(t *testing.T, first, second []byte, secure bool) {
		p := prover{password: password, salt: fakeSalt, secure: secure}
		if _, err := p.begin(protocol.AUTH_CACHING_SHA2_PASSWORD); err != nil {
			t.Fatal(err)
		}
		for _, packet := range [][]byte{first, second} {
			if len(packet) == 0 {
				continue
			}
			answer, err := p.next(packet)
			if err != nil {
				return
			}
			if !secure && strings.Contains(string(answer), password) {
				t.Fatal("the password was sent in clear")
			}
		}
	})
}

func TestATextIsSplitIntoStatements(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil, " ;; ": nil, "SET a = 1": {"SET a = 1"}, "SET a = ';'; DO 1 ;": {"SET a = ';'", "DO 1"}, "a /* ; */;b": {"a /* ; */", "b"}, "a 'b; c": {"a 'b; c"},
	} {
		var got []string
		for _, s := range split([]byte(text)) {
			got = append(got, string(s))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, not %q", text, got, want)
		}
	}
}

// What init_connect names may be no variable: SET ROLE, or a text that is executed for others only.
func TestAnInitConnectThatNamesNoVariableKeepsNobodyOut(t *testing.T) {
	for _, text := range []string{"SET ROLE app", "SET no_such_variable = 1", "SET sql_mode = '', no_such_variable = 1"} {
		target := fakeServer(t, func(p *peer) {
			p.greet(protocol.AUTH_NATIVE_PASSWORD, 0, 0)
			_, _ = p.read()
			p.succeed()
			for {
				p.sequence = 0
				c, err := p.read()
				switch row := variablesFor(c); {
				case err != nil || len(c) == 0:
					return
				case row != nil:
					packets := []string{string(rune(len(fundamental) + 5))}
					for range len(fundamental) + 5 {
						packets = append(packets, columnOne)
					}
					row := strings.Repeat("\x017", len(fundamental)+3) + string(appendText(nil, []byte(text))) + "\x017"
					_, _ = p.conn.Write(reply(append(packets, row, endMariaDB)...))
				case strings.Contains(string(c), "@@SESSION.role"), strings.Contains(string(c), "no_such_variable"):
					p.fail(protocol.ER_UNKNOWN_SYSTEM_VARIABLE, "Unknown system variable")
				default:
					p.succeed()
				}
			}
		})
		d, err := testDial(New(Config{Credentials: users("")}), target)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		_ = d.Conn.Close()
	}
}

// An answer of more columns than are kept would be taken for a broken server, and nobody could log in.
func TestAnInitConnectMaySetManyVariables(t *testing.T) {
	var all []string
	for i := range maxSettings {
		all = append(all, "v"+strconv.Itoa(i)+" = 7")
	}
	for i := range maxUserVariables {
		all = append(all, "@u"+strconv.Itoa(i)+" = 7")
	}
	text := "SET " + strings.Join(all, ", ")
	rows := func(values ...string) []byte {
		packets := []string{string(rune(len(values)))}
		for range values {
			packets = append(packets, columnOne)
		}
		return reply(append(packets, strings.Join(values, ""), endMariaDB)...)
	}
	asked := 0
	target := fakeServer(t, func(p *peer) {
		p.greet(protocol.AUTH_NATIVE_PASSWORD, 0, 0)
		_, _ = p.read()
		p.succeed()
		for {
			p.sequence = 0
			c, err := p.read()
			switch n := strings.Count(string(c), ",") + 1; {
			case err != nil || len(c) == 0:
				return
			case variablesFor(c) != nil:
				values := slices.Repeat([]string{"\x017"}, len(fundamental)+5)
				values[len(values)-2] = string(appendText(nil, []byte(text)))
				_, _ = p.conn.Write(rows(values...))
			case strings.Contains(string(c), "@@SESSION.v0"):
				asked = n
				_, _ = p.conn.Write(rows(slices.Repeat([]string{"\x011"}, n)...))
			default:
				p.succeed()
			}
		}
	})
	d, err := testDial(New(Config{Credentials: users("")}), target)
	if err != nil {
		t.Fatalf("%d asked: %v", asked, err)
	}
	_ = d.Conn.Close()
	if asked <= maxSettings {
		t.Errorf("%d asked", asked)
	}
}
