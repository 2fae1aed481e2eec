package failover

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berthdb/berth/integration/harness"
)

// strange is a server that is none: it does with each connection what its name says.
func strange(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { defer func() { _ = nc.Close() }(); serve(nc) })
		}
	})
	return l.Addr().String()
}

// silent accepts and never answers.
func silent(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }

// curt closes.
func curt(net.Conn) {}

// plain has no TLS (PostgreSQL 54.2.10 "SSL Session Encryption").
func plain(nc net.Conn) {
	var request [8]byte
	if _, err := io.ReadFull(nc, request[:]); err == nil {
		_, _ = nc.Write([]byte{'N'})
	}
	silent(nc)
}

// garbled speaks first, and no protocol that there is.
func garbled(nc net.Conn) {
	if _, err := nc.Write([]byte("\x01\x00\x00\x00~ what is this? ~")); err == nil {
		silent(nc)
	}
}

// offerTLS accepts a request for TLS (PostgreSQL 54.2.10), and says whether there was one.
func offerTLS(nc net.Conn) bool {
	var request [8]byte
	if _, err := io.ReadFull(nc, request[:]); err != nil {
		return false
	}
	_, err := nc.Write([]byte{'S'})
	return err == nil
}

// muteTLS offers TLS and speaks something else.
func muteTLS(nc net.Conn) {
	if !offerTLS(nc) {
		return
	}
	if _, err := nc.Write([]byte("220 at your service\r\n")); err == nil {
		silent(nc)
	}
}

// secure has TLS with a certificate, and nothing behind it.
func secure(c tls.Certificate) func(net.Conn) {
	return func(nc net.Conn) {
		if offerTLS(nc) {
			_ = tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{c}}).Handshake()
		}
	}
}

// plainMySQL greets without CLIENT_SSL (MySQL Protocol::HandshakeV10).
func plainMySQL(nc net.Conn) {
	greeting := []byte("\x0a8.0.0\x00" + "\x01\x00\x00\x00" + "12345678\x00" + // version, thread, the challenge's first part
		"\xff\xf7" + "\x2d\x02\x00" + "\xff\xff" + "\x15" + // all capabilities but that; utf8mb4, autocommit; the challenge's length
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "123456789012\x00" + "mysql_native_password\x00")
	if _, err := nc.Write(append([]byte{byte(len(greeting)), 0, 0, 0}, greeting...)); err == nil {
		silent(nc)
	}
}

// deaf answers no request to connect: as many wait to be accepted as may (listen(2), backlog).
func deaf(t *testing.T) (address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}
	for {
		nc, err := net.DialTimeout("tcp", at.String(), time.Second)
		if err != nil {
			return at.String()
		}
		t.Cleanup(func() { _ = nc.Close() })
	}
}

// expired makes a certificate for localhost that was good until yesterday, signed by itself, and a file of it.
func expired(t *testing.T) (file string, c tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().AddDate(0, 0, -2), NotAfter: time.Now().AddDate(0, 0, -1),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(harness.TempDir(t), "expired.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
