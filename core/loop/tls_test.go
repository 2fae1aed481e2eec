package loop

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/socket"
)

// tlsConfigs returns a server's and a client's configuration that trust each other; the client has a certificate too.
func tlsConfigs(t testing.TB, version uint16) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"berth.test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	own := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	server = &tls.Config{
		Certificates: own, MinVersion: version, MaxVersion: version,
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
	}
	client = &tls.Config{
		Certificates: own, MinVersion: version, MaxVersion: version, RootCAs: trusted, ServerName: "berth.test",
	}
	return server, client
}

// piecewise writes in pieces of 777 bytes, each of which the loop has seen when the next one goes.
type piecewise struct {
	net.Conn
	t testing.TB
	l *Poll
}

func (c piecewise) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i += 777 {
		if n, err := c.Conn.Write(p[i:min(i+777, len(p))]); err != nil {
			return i + n, err
		}
		on(c.t, c.l, func() {})
	}
	return len(p), nil
}

// tlsPair returns a connection after its handshake, for a loop, and its peer, which is the client or the server. wrap, if
// it is not nil, goes under the peer's TLS.
func tlsPair(t testing.TB, server, client *tls.Config, peerIsClient bool, wrap func(net.Conn) net.Conn) (*socket.Conn, *tls.Conn) {
	t.Helper()
	a, b := tcpPair(t)
	var under net.Conn = b
	if wrap != nil {
		under = wrap(b)
	}
	c := socket.New(a)
	done := make(chan error, 1)
	var peer *tls.Conn
	if peerIsClient {
		peer = tls.Client(under, client)
		go func() { done <- c.ServeTLS(context.Background(), server) }()
	} else {
		peer = tls.Server(under, server)
		go func() { done <- c.DialTLS(context.Background(), client) }()
	}
	if err := peer.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := await(t, done, "the handshake"); err != nil {
		t.Fatal(err)
	}
	return c, peer
}

func versions(t *testing.T, f func(t *testing.T, version uint16, peerIsClient bool)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, peerIsClient := range []bool{true, false} {
			name := fmt.Sprintf("%s peer is client %v", tls.VersionName(version), peerIsClient)
			t.Run(name, func(t *testing.T) { f(t, version, peerIsClient) })
		}
	}
}

func TestTLSComesThroughInPiecesOfAnySize(t *testing.T) {
	versions(t, func(t *testing.T, version uint16, peerIsClient bool) {
		l := startLoop(t, 0, Options{})
		server, client := tlsConfigs(t, version)
		c, peer := tlsPair(t, server, client, peerIsClient, func(c net.Conn) net.Conn { return piecewise{c, t, l} })
		if state, ok := c.TLS(); !ok || len(state.PeerCertificates) != 1 {
			t.Fatal("no certificate of the peer")
		}
		p := newProbe()
		p.data = echo(p)
		openConn(t, l, c, p)
		want := noise(5, 300_000)
		go func() {
			for rest, n := want, 1; len(rest) > 0; n = n*5%40009 + 1 {
				k := min(n, len(rest))
				send(t, peer, rest[:k])
				rest = rest[k:]
			}
		}()
		if got := receive(t, peer, len(want)); !bytes.Equal(got, want) {
			t.Error("other bytes came back")
		}
		on(t, l, func() { check(t, l); p.Finish(patience) })
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("no close_notify: %d, %v", n, err)
		}
		peer.Close()
		awaitGone(t, l)
	})
}

func TestTLSHoldsRedeliversPausesAndPressesBackAsPlainDoes(t *testing.T) {
	versions(t, func(t *testing.T, version uint16, peerIsClient bool) {
		l := startLoop(t, 0, Options{})
		server, client := tlsConfigs(t, version)
		c, peer := tlsPair(t, server, client, peerIsClient, nil)
		p := newProbe()
		consume, most := 0, 0
		p.data = func(b []byte) int {
			most = max(most, len(b))
			n := min(consume, len(b))
			p.collect(b[:n])
			return n
		}
		drained := make(chan struct{}, 1)
		p.writable = func() { drained <- struct{}{} }
		openConn(t, l, c, p)
		want := noise(6, 4<<20)
		received := make(chan struct{})
		go func() {
			send(t, peer, want)
			<-received // the probe closes at the end of its input, whatever is still to be sent
			peer.CloseWrite()
		}()
		for full := false; !full; {
			on(t, l, func() { full = p.Held() >= MaxHeld })
		}
		on(t, l, func() {
			consume = 50_000
			p.Redeliver()
			p.Pause()
			p.Write(want)
			if p.Buffered() < len(want) {
				t.Errorf("%d bytes are buffered", p.Buffered())
			}
		})
		on(t, l, func() { check(t, l); consume = 1 << 30; p.Resume(); p.Redeliver() })
		if got := receive(t, peer, len(want)); !bytes.Equal(got, want) {
			t.Error("other bytes came")
		}
		await(t, drained, "OnWritable")
		close(received)
		if err := await(t, p.closed, "OnClose"); err != io.EOF {
			t.Errorf("closed by %v", err)
		}
		p.expect(t, want)
		if most >= MaxHeld+scratchSize {
			t.Errorf("%d bytes held at most", most)
		}
	})
}

func TestTLSEndsWithOrWithoutACloseNotifyAfterItsData(t *testing.T) {
	for _, polite := range []bool{true, false} {
		l := startLoop(t, 0, Options{})
		server, client := tlsConfigs(t, tls.VersionTLS13)
		c, peer := tlsPair(t, server, client, true, nil)
		p := newProbe()
		send(t, peer, []byte("all of it")) // before the stream is open
		if polite {
			peer.Close()
		} else {
			peer.NetConn().Close()
		}
		openConn(t, l, c, p)
		if err := await(t, p.closed, "OnClose"); err != io.EOF {
			t.Errorf("polite %v: closed by %v", polite, err)
		}
		p.expect(t, []byte("all of it"))
	}
}

func TestARecordThatWasTamperedWithIsAnErrorAndAnsweredByAnAlert(t *testing.T) {
	l := startLoop(t, 0, Options{})
	server, client := tlsConfigs(t, tls.VersionTLS12)
	c, peer := tlsPair(t, server, client, true, nil)
	p := newProbe()
	p.ended = func(err error) { p.closed <- err; p.Finish(patience) }
	openConn(t, l, c, p)
	send(t, peer, []byte("good"))
	p.expect(t, []byte("good"))
	send(t, peer.NetConn(), append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
	if err := await(t, p.closed, "OnClose"); err == nil || err == io.EOF {
		t.Errorf("closed by %v", err)
	}
	var alert *net.OpError
	if _, err := peer.Read(make([]byte, 1)); !errors.As(err, &alert) {
		t.Errorf("the peer reads %v, not an alert", err)
	}
}

// traffic seals and opens records of one direction of a TLS 1.3 connection by AES-128-GCM (RFC 8446 sections 5.2 and 7).
type traffic struct {
	secret []byte
	seq    uint64
}

func expandLabel(secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(info, "tls13 "+label+"\x00"...)
	key, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return key
}

func (s *traffic) aead() (cipher.AEAD, []byte) {
	block, err := aes.NewCipher(expandLabel(s.secret, "key", 16))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	nonce := expandLabel(s.secret, "iv", 12)
	for i := range 8 {
		nonce[11-i] ^= byte(s.seq >> (8 * i))
	}
	s.seq++
	return gcm, nonce
}

func (s *traffic) seal(kind byte, p []byte) []byte {
	gcm, nonce := s.aead()
	head := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(p)+1+gcm.Overhead()))
	return gcm.Seal(head, nonce, append(bytes.Clone(p), kind), head)
}

func (s *traffic) open(t *testing.T, r io.Reader) (kind byte, p []byte) {
	head := receive(t, r, 5)
	body := receive(t, r, int(binary.BigEndian.Uint16(head[3:])))
	gcm, nonce := s.aead()
	p, err := gcm.Open(nil, nonce, body, head)
	if err != nil {
		t.Fatal(err)
	}
	return p[len(p)-1], p[:len(p)-1]
}

// update goes on to the next secret (RFC 8446 section 7.2).
func (s *traffic) update() { *s = traffic{secret: expandLabel(s.secret, "traffic upd", 32)} }

func secretOf(t *testing.T, keyLog, label string) []byte {
	t.Helper()
	for line := range strings.Lines(keyLog) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == label {
			secret, err := hex.DecodeString(f[2])
			if err != nil || len(secret) != 32 {
				t.Fatalf("secret %q of a cipher suite that is not AES-128-GCM", f[2])
			}
			return secret
		}
	}
	t.Fatalf("no %s", label)
	return nil
}

func TestAKeyUpdateIsAnsweredWakesAParkedStreamAndBringsNoData(t *testing.T) {
	l := startLoop(t, 0, Options{})
	server, client := tlsConfigs(t, tls.VersionTLS13)
	server.SessionTicketsDisabled = true
	var keyLog strings.Builder
	client.KeyLogWriter = &keyLog
	c, peer := tlsPair(t, server, client, true, nil)
	ours := traffic{secret: secretOf(t, keyLog.String(), "CLIENT_TRAFFIC_SECRET_0")}
	theirs := traffic{secret: secretOf(t, keyLog.String(), "SERVER_TRAFFIC_SECRET_0")}
	raw := peer.NetConn() // from here on spoken by hand
	p := newProbe()
	calls := make(chan int, 10)
	p.data = func(b []byte) int { calls <- len(b); p.Write(b); return len(b) }
	openConn(t, l, c, p)
	on(t, l, p.Park)

	const handshake, data = 22, 23
	update := ours.seal(handshake, []byte{24, 0, 0, 1, 1}) // KeyUpdate, update_requested (section 4.6.3)
	send(t, raw, update[:7])
	if n := await(t, calls, "the call after OnWake"); n != 0 {
		t.Errorf("%d bytes came of a part of a record", n)
	}
	on(t, l, p.Park)
	send(t, raw, update[7:])
	ours.update()
	if n := await(t, calls, "the call after OnWake"); n != 0 {
		t.Errorf("%d bytes came of a key update", n)
	}
	if kind, answer := theirs.open(t, raw); kind != handshake || !bytes.Equal(answer, []byte{24, 0, 0, 1, 0}) {
		t.Fatalf("answered by %d %v", kind, answer)
	}
	theirs.update()
	send(t, raw, ours.seal(data, []byte("under new keys")))
	if kind, answer := theirs.open(t, raw); kind != data || string(answer) != "under new keys" {
		t.Errorf("got %d %q", kind, answer)
	}
}

// updater asks for key updates as fast as crypto/tls lets it: that wants a byte of data now and then between them.
type updater struct{ traffic }

func (u *updater) round() (p []byte) {
	for range 16 {
		p = append(p, u.seal(22, []byte{24, 0, 0, 1, 1})...)
		u.update()
	}
	return append(p, u.seal(23, []byte{'x'})...)
}

func TestAPeerThatDoesNotReadTheAnswersToItsKeyUpdatesEnds(t *testing.T) {
	l := startLoop(t, 0, Options{})
	server, client := tlsConfigs(t, tls.VersionTLS13)
	var keyLog strings.Builder
	client.KeyLogWriter = &keyLog
	c, peer := tlsPair(t, server, client, true, nil)
	ours := updater{traffic{secret: secretOf(t, keyLog.String(), "CLIENT_TRAFFIC_SECRET_0")}}
	p := newProbe()
	most := 0
	p.data = func(b []byte) int { most = max(most, p.Buffered()); return len(b) }
	openConn(t, l, c, p)
	answer := noise(7, 16<<20) // more than the kernel takes for a peer that does not read
	before := 0
	on(t, l, func() { p.Write(answer) })
	on(t, l, func() { before = p.Buffered() })
	if before == 0 {
		t.Fatal("the kernel took all of it")
	}
	for range 1000 {
		if _, err := peer.NetConn().Write(ours.round()); err != nil {
			break // it is over
		}
	}
	if err := await(t, p.closed, "OnClose"); !errors.Is(err, errUnread) {
		t.Errorf("closed by %v", err)
	}
	on(t, l, func() {
		if more := most - before; more > 2*mostUnasked {
			t.Errorf("%d bytes waited that nobody wrote", more)
		}
	})
}

func TestAPeerMayUpdateItsKeysForEverIfItReadsTheAnswers(t *testing.T) {
	l := startLoop(t, 0, Options{})
	server, client := tlsConfigs(t, tls.VersionTLS13)
	server.SessionTicketsDisabled = true
	var keyLog strings.Builder
	client.KeyLogWriter = &keyLog
	c, peer := tlsPair(t, server, client, true, nil)
	ours := updater{traffic{secret: secretOf(t, keyLog.String(), "CLIENT_TRAFFIC_SECRET_0")}}
	theirs := traffic{secret: secretOf(t, keyLog.String(), "SERVER_TRAFFIC_SECRET_0")}
	p := newProbe()
	p.data = func(b []byte) int { p.Write(b); return len(b) }
	openConn(t, l, c, p)
	for range 100 {
		send(t, peer.NetConn(), ours.round())
		for range 16 {
			if kind, _ := theirs.open(t, peer.NetConn()); kind != 22 {
				t.Fatalf("a record of type %d came", kind)
			}
			theirs.update()
		}
		if kind, p := theirs.open(t, peer.NetConn()); kind != 23 || string(p) != "x" {
			t.Fatalf("%d %q came", kind, p)
		}
	}
}

func TestATLSStreamThatMovesKeepsItsPlaceInTheStream(t *testing.T) {
	loops := []*Poll{startLoop(t, 0, Options{}), startLoop(t, 1, Options{})}
	server, client := tlsConfigs(t, tls.VersionTLS13)
	c, peer := tlsPair(t, server, client, false, nil)
	p := newProbe()
	answered := make(chan struct{})
	p.data = func(b []byte) int {
		if len(b) < 100 {
			return 0
		}
		answered <- struct{}{}
		return len(b)
	}
	p.wake = func(Loop) bool { return false } // it is always lent
	openConn(t, loops[0], c, p)
	on(t, loops[0], p.Park)
	go io.Copy(peer, peer)
	for i := range 400 {
		l := loops[(i+1)%2]
		on(t, l, func() {
			if err := p.MoveTo(l); err != nil {
				t.Fatal(err)
			}
			p.Write(noise(uint64(i), 100))
		})
		await(t, answered, "the answer")
		on(t, l, p.Park)
	}
}
