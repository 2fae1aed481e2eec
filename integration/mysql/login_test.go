package mysql

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/integration/harness"
)

// methods are the ways in which clients prove passwords.
var methods = map[string]string{
	"caching_sha2_password": "mysql_caching_sha2_password", "mysql_native_password": "mysql_native_password", "default": "",
}

func TestEveryMethodLetsTheRightPasswordIn(t *testing.T) {
	for method, authType := range methods {
		t.Run(method, func(t *testing.T) {
			users := []harness.Account{{User: "app", Password: "secret", AuthType: authType}}
			own(t, harness.Route{MaxConnections: pair, Users: users}, func(t *testing.T, f front) {
				for transport, l := range logins {
					t.Run(transport, func(t *testing.T) {
						for _, plugin := range []string{"", protocol.AUTH_NATIVE_PASSWORD, protocol.AUTH_CACHING_SHA2_PASSWORD, "auth_unknown"} {
							w, err := loginBy(f.Endpoint, l, plugin)
							if err != nil {
								t.Errorf("a client that begins with %q: %v", plugin, err)
								continue
							}
							w.sees(t, "select database()", "[app]")
							w.quit()
						}
						for _, password := range []string{"guess", "", "secre", "secret\x00"} {
							_, err := login(f.Endpoint, harness.Login{User: "app", Password: password, Plain: l.Plain}, modern)
							if numberOf(err) != 1045 {
								t.Errorf("password %q: %v, want 1045", password, err)
							}
						}
					})
				}
			})
		})
	}
}

// loginBy logs in as a client that begins with another method than the server proposes, "" for the proposed one.
func loginBy(e harness.Endpoint, l harness.Login, plugin string) (*wire, error) {
	w, err := greeted(e)
	if err != nil {
		return nil, err
	}
	if plugin != "" {
		w.plugin = plugin
	}
	return w, w.login(e, l, modern)
}

func TestAnUnknownUserIsAnsweredLikeAWrongPassword(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		told := func(user, password string) (packets []string) {
			w, err := greeted(f.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Close() }()
			err = w.login(f.Endpoint, loginOf(user, password), modern)
			var e *serverError
			if !errors.As(err, &e) {
				t.Fatalf("%s: %v", user, err)
			}
			text := bytes.ReplaceAll([]byte(e.message), []byte(user), []byte("somebody"))
			return []string{e.state, string(text), string(rune(e.number)), string(rune(w.seq))}
		}
		for _, password := range []string{"guess", ""} {
			known, unknown := told("app", password), told("stranger", password)
			for i := range known {
				if known[i] != unknown[i] {
					t.Errorf("password %q: a known user is told %q, an unknown one %q", password, known, unknown)
					break
				}
			}
		}
	})
}

func TestALoginWithAnUnknownDatabaseIsTheServersError(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for range 3 {
			for _, l := range []harness.Login{superuser(), harness.Superuser()} {
				l.Database = "nowhere"
				_, err := login(f.Endpoint, l, modern)
				_, want := login(f.server.Endpoint, l, modern)
				if numberOf(err) != 1049 || numberOf(want) != 1049 {
					t.Errorf("%v, the server says %v", err, want)
				}
			}
		}
		f.client(t).sees(t, "select database()", "[app]")
	})
}

func TestAListenerThatRequiresTLSSaysSo(t *testing.T) {
	r := harness.Route{MaxConnections: pair, Listener: harness.Keys{"tls": harness.Keys{"mode": "require"}}}
	own(t, r, func(t *testing.T, f front) {
		for range 2 {
			if _, err := login(f.Endpoint, plain(), modern); numberOf(err) != 3159 {
				t.Errorf("without TLS: %v, want 3159", err)
			}
			w := dial(t, f.Endpoint, harness.App(), modern)
			w.sees(t, "select 1", "[1]")
			w.quit()
		}
	})
}

func TestTheClientAfterTheLastAllowedIsRefused(t *testing.T) {
	const most = 3
	r := harness.Route{MaxConnections: pair, Listener: harness.Keys{"max_client_connections": most}}
	own(t, r, func(t *testing.T, f front) {
		for range 2 {
			var clients []*wire
			for range most {
				clients = append(clients, f.client(t))
			}
			if _, err := greeted(f.Endpoint); numberOf(err) != 1040 {
				t.Errorf("one too many: %v, want 1040", err)
			}
			for _, c := range clients {
				c.sees(t, "select 1", "[1]")
				c.quit()
			}
			quiet(t, f)
		}
	})
}

func TestASilentClientIsClosedAtTheLoginTimeout(t *testing.T) {
	r := harness.Route{MaxConnections: pair, Listener: harness.Keys{"login_timeout": "1s"}}
	own(t, r, func(t *testing.T, f front) {
		var silent []*wire
		for range 20 {
			w, err := greeted(f.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = w.Close() })
			silent = append(silent, w)
		}
		// One that says its name a byte at a time, one that stops within TLS.
		go func() {
			for _, b := range []byte{100, 0, 0, 1, 0x0f, 0xa2, 0x3a, 0, 0, 0} {
				if _, err := silent[0].Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(200 * time.Millisecond)
			}
		}()
		silent[1].caps = modern | protocol.CLIENT_SSL
		if err := silent[1].write(silent[1].fixed()); err != nil {
			t.Fatal(err)
		}
		f.client(t).sees(t, "select 1", "[1]")
		for _, w := range silent {
			if err := w.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, w.r); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a silent client is still there")
			}
		}
	})
}

func TestAnyResponseIsAcceptedOrRefused(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		w, err := greeted(f.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		w.caps = modern | protocol.CLIENT_CONNECT_WITH_DB
		whole := w.response(plain())
		_ = w.Close()
		for n := range whole {
			answered(t, f, whole[:n], false)
		}
		long := append(bytes.Clone(whole[:32]), bytes.Repeat([]byte("u"), 1<<20)...)
		for name, p := range map[string][]byte{
			"a name of a megabyte": long[:1<<20-4], "more than a megabyte": append(long, 0),
			"a password beyond the end": append(append(bytes.Clone(whole[:32]), "app\x00"...), 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
			"protocol 3.20":             {0x05, 0x20, 0, 0, 0, 'a', 0}, "no PROTOCOL_41": binary.LittleEndian.AppendUint32(nil, 0x20000),
		} {
			t.Run(name, func(t *testing.T) { answered(t, f, p, true) })
		}
		f.client(t).sees(t, "select 1", "[1]")
	})
}

// answered sends a response and waits for the end: an error packet if told says so, or at least a close.
func answered(t *testing.T, f front, response []byte, told bool) {
	t.Helper()
	w, err := greeted(f.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if err := w.write(response); err != nil {
		return // it was closed before it had said all
	}
	if c, ok := w.Conn.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
	p, err := w.read()
	switch {
	case err == nil && len(p) > 0 && p[0] == 0:
		t.Errorf("a response of %d bytes without proof is accepted", len(response))
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Errorf("a response of %d bytes gets no answer", len(response))
	case told && err == nil && (len(p) == 0 || p[0] != 0xff):
		t.Errorf("a response of %d bytes: %.40q, want an error", len(response), p)
	}
}

func TestAStormOfGarbageDisturbsNobody(t *testing.T) {
	const throwers, throws = 8, 40
	shared(t, func(t *testing.T, f front) {
		sessions := []*wire{f.client(t), dial(t, f.Endpoint, harness.App(), modern), f.client(t)}
		var storm sync.WaitGroup
		for i := range throwers {
			storm.Add(1)
			go func() {
				defer storm.Done()
				for range throws {
					throw(f.Endpoint, i)
				}
			}()
		}
		over := make(chan struct{})
		go func() { storm.Wait(); close(over) }()
		for i := 0; ; i++ {
			for _, w := range sessions {
				w.sees(t, "select 42, repeat('x', 3)", "[42,xxx]")
			}
			if i%10 == 0 {
				w := f.client(t)
				w.sees(t, "select 1", "[1]")
				w.quit()
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
}

// throw connects and sends something that is no login: noise, another protocol, a login with noise behind it.
func throw(e harness.Endpoint, kind int) {
	conn, err := net.DialTimeout("tcp", e.Address(), answerWithin)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	noise := make([]byte, 2000)
	_, _ = rand.Read(noise)
	switch kind % 4 {
	case 0:
		_, _ = conn.Write(noise)
	case 1:
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	case 2:
		_, _ = conn.Write([]byte{0xff, 0xff, 0xff, 0}) // 16 MiB are to come
	case 3:
		w := &wire{Conn: conn}
		if w, err = login(e, plain(), modern); err != nil {
			return
		}
		_, _ = w.Write(noise) // instead of a request
		_ = w.SetReadDeadline(time.Now().Add(answerWithin))
		_, _ = io.Copy(io.Discard, io.LimitReader(w.r, 1<<20))
		_ = w.Close()
		return
	}
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, conn)
}

func TestConnectionAttributesOfAnySizeAreTaken(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		for _, n := range []int{0, 100, 60 << 10, 200 << 10} {
			w, err := greeted(f.Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			w.caps = modern | protocol.CLIENT_CONNECT_WITH_DB | protocol.CLIENT_CONNECT_ATTRS
			attributes := appendString(appendString(nil, "program_name"), string(bytes.Repeat([]byte("p"), n)))
			if err := w.write(appendString(w.response(plain()), string(attributes))); err != nil {
				t.Fatal(err)
			}
			if err := w.authenticate(plain()); err != nil {
				t.Errorf("attributes of %d bytes: %v", n, err)
				continue
			}
			w.sees(t, "select 1", "[1]")
			w.quit()
		}
	})
}
