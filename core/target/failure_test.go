package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestAFailureHasRDSProxysWordAndThePreciseCause(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	number := func(n syscall.Errno) error { return dial(os.NewSyscallError("connect", n)) }
	for _, c := range []struct {
		err             error
		reason, cause   string
		silent, crowded bool
	}{
		{number(syscall.ECONNREFUSED), Unreachable, "connection refused: nothing listens at db:1", false, false},
		{number(syscall.EHOSTUNREACH), Unreachable, "no route to db:1", true, false},
		{number(syscall.ENETUNREACH), Unreachable, "no route", true, false},
		{number(syscall.EACCES), Unreachable, "permission denied", false, false},
		{dial(os.ErrDeadlineExceeded), Unreachable, "connecting to db:1 timed out", true, false},
		{dial(context.DeadlineExceeded), Unreachable, "timed out", true, false},
		{dial(&net.DNSError{Name: "db", Err: "no such host", IsNotFound: true}), Unreachable, "name not found: db", false, false},
		{dial(&net.DNSError{Name: "db", Err: "server misbehaving"}), Unreachable, "could not be looked up: server misbehaving", false, false},
		{dial(os.NewSyscallError("socket", syscall.EMFILE)), PendingProxyCapacity, "too many open files", false, true},
		{number(syscall.EADDRNOTAVAIL), PendingProxyCapacity, "the proxy cannot open a connection", false, true},
		{context.DeadlineExceeded, ConnectionFailed, "db:1 accepts connections but does not answer", true, false},
		{os.ErrDeadlineExceeded, ConnectionFailed, "does not answer", true, false},
		{io.EOF, ConnectionFailed, "db:1 closed the connection", false, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, ConnectionFailed, "closed the connection", false, false},
		{engine.ErrNoCredential, AuthFailure, "no credential", false, false},
		{engine.ErrDenied, AuthFailure, "no credential", false, false},
		{&engine.ServerError{Code: "28P01", Message: "wrong"}, AuthFailure, "wrong (28P01)", false, false},
		{&engine.ServerError{Code: "28000", Number: 1045, Message: "denied"}, AuthFailure, "denied (1045)", false, false},
		{&engine.ServerError{Code: "53300", Message: "sorry"}, ConnectionFailed, "too many connections: sorry (53300)", false, true},
		{&engine.ServerError{Code: "08004", Number: 1040, Message: "Too many"}, ConnectionFailed, "too many connections: Too many (1040)", false, true},
		{&engine.ServerError{Code: "HY000", Number: 1040, Message: "Too many"}, ConnectionFailed, "too many connections: Too many (1040)", false, true},
		{&engine.ServerError{Code: "42000", Number: 1203, Message: "already"}, ConnectionFailed, "too many connections of the user: already (1203)", false, true},
		{&engine.ServerError{Code: "42000", Number: 1226, Message: "the 'max_user_connections' resource"}, ConnectionFailed, "too many connections of the user", false, true},
		{&engine.ServerError{Code: "42000", Number: 1226, Message: "the 'max_questions' resource"}, ConnectionFailed, "it refuses: the 'max_questions'", false, false},
		{&engine.ServerError{Code: "57P03", Message: "starting up"}, ConnectionFailed, "it refuses: starting up (57P03)", false, false},
		{&engine.ServerError{Code: "28"}, ConnectionFailed, "(28)", false, false},
		{&engine.ProtocolError{Side: engine.SideBackend, Reason: "a strange packet"}, ConnectionFailed, "a strange packet", false, false},
		{engine.ErrTargetTLS, ConnectionFailed, "tls: the server does not offer tls", false, false},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, ConnectionFailed, "tls: its certificate is signed by an authority", false, false},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "db"}}, ConnectionFailed, "tls: its certificate is for another name", false, false},
		{&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}}, ConnectionFailed, "tls: its certificate is good from 0001-01-01T00:00:00Z to 0001-01-01T00:00:00Z, which is not now", false, false},
		{&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.NotAuthorizedToSign}}, ConnectionFailed, "tls: its certificate is not valid", false, false},
		{&tls.CertificateVerificationError{Err: errors.New("odd")}, ConnectionFailed, "tls: its certificate is not accepted: odd", false, false},
		{tls.AlertError(40), ConnectionFailed, "tls: it refuses the handshake", false, false},
		{tls.RecordHeaderError{Msg: "no record"}, ConnectionFailed, "tls: it does not speak TLS", false, false},
		{fmt.Errorf("%w: odd", engine.ErrHandshake), ConnectionFailed, "tls: odd", false, false},
		{fmt.Errorf("%w: %w", engine.ErrHandshake, os.ErrDeadlineExceeded), ConnectionFailed, "does not answer", true, false},
		{errors.New("something\n else"), ConnectionFailed, "something else", false, false},
	} {
		err := &engine.DialError{Target: "t", Err: fmt.Errorf("login: %w", c.err)}
		got := explain("db:1", err)
		if got.reason != c.reason || !strings.Contains(got.cause, c.cause) || got.silent != c.silent || got.crowded != c.crowded {
			t.Errorf("%v: %+v", c.err, got)
		}
	}
}
