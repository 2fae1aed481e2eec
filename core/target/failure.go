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
	"time"

	"github.com/berthdb/berth/core/engine"
)

// failure is why a target did not tell its facts.
type failure struct {
	reason string // RDS Proxy's word
	cause  string // in words
	// silent says that nothing came from the target at all: connections to it may be cut without that anybody was told.
	silent bool
	// slow says that an answer did not come in time: it may be that the target has too much to do.
	slow bool
	// crowded says that it lives, and only has no place for a connection more, or the proxy for one.
	crowded bool
}

// explain tells why a target at address could not be asked.
func explain(address string, err error) failure {
	if f, ok := explainNetwork(address, err); ok {
		return f
	}
	var server *engine.ServerError
	if errors.As(err, &server) {
		return explainServer(server)
	}
	if f, ok := explainTLS(err); ok {
		return f
	}
	var protocol *engine.ProtocolError
	switch {
	case errors.Is(err, engine.ErrDenied), errors.Is(err, engine.ErrNoCredential):
		return failure{reason: AuthFailure, cause: "there is no credential to log in with: " + plainText(err)}
	case timedOut(err):
		return failure{reason: ConnectionFailed, cause: address + " accepts connections but does not answer", silent: true, slow: true}
	case errors.As(err, &protocol):
		return failure{reason: ConnectionFailed, cause: "it does not keep to the protocol: " + protocol.Reason}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return failure{reason: ConnectionFailed, cause: address + " closed the connection"}
	}
	return failure{reason: ConnectionFailed, cause: plainText(err)}
}

// explainNetwork is about what keeps a connection from being there.
func explainNetwork(address string, err error) (failure, bool) {
	for _, scarce := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN,
	} {
		if errors.Is(err, scarce) {
			return failure{reason: PendingProxyCapacity, cause: "the proxy cannot open a connection: " + scarce.Error(), crowded: true}, true
		}
	}
	var name *net.DNSError
	if errors.As(err, &name) {
		cause := "the name " + name.Name + " could not be looked up: " + name.Err
		if name.IsNotFound {
			cause = "name not found: " + name.Name
		}
		return failure{reason: Unreachable, cause: cause}, true
	}
	var op *net.OpError
	dialing := errors.As(err, &op) && op.Op == "dial"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure{reason: Unreachable, cause: "connection refused: nothing listens at " + address}, true
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return failure{reason: Unreachable, cause: "no route to " + address, silent: true}, true
	case dialing && timedOut(err):
		return failure{reason: Unreachable, cause: "no answer: connecting to " + address + " timed out", silent: true, slow: true}, true
	case dialing:
		return failure{reason: Unreachable, cause: "cannot connect to " + address + ": " + op.Err.Error()}, true
	}
	return failure{}, false
}

// explainServer is about what a server said to the login, or to the question.
func explainServer(s *engine.ServerError) failure {
	said := fmt.Sprintf("%s (%s)", s.Message, s.Code)
	if s.Number != 0 {
		said = fmt.Sprintf("%s (%d)", s.Message, s.Number)
	}
	switch {
	case len(s.Code) == 5 && s.Code[:2] == "28":
		return failure{reason: AuthFailure, cause: "it refuses the login: " + said}
	case s.Code == "53300", s.Number == 1040: // too_many_connections; ER_CON_COUNT_ERROR, before a handshake without its SQLSTATE
		return failure{reason: ConnectionFailed, cause: "too many connections: " + said, crowded: true}
	case s.Number == 1203, s.Number == 1226 && strings.Contains(s.Message, "connections"): // ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
		return failure{reason: ConnectionFailed, cause: "too many connections of the user: " + said, crowded: true}
	}
	return failure{reason: ConnectionFailed, cause: "it refuses: " + said}
}

// explainTLS is about which part of TLS is wrong.
func explainTLS(err error) (failure, bool) {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		alert       tls.AlertError
		record      tls.RecordHeaderError
	)
	cause := ""
	switch {
	case errors.As(err, &authority):
		cause = "its certificate is signed by an authority that is not trusted: " + authority.Error()
	case errors.As(err, &hostname):
		cause = "its certificate is for another name: " + hostname.Error()
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired: // its text tells the time: another cause with every question
		cause = fmt.Sprintf("its certificate is good from %s to %s, which is not now", day(invalid.Cert.NotBefore), day(invalid.Cert.NotAfter))
	case errors.As(err, &invalid):
		cause = "its certificate is not valid: " + invalid.Error()
	case errors.As(err, &certificate):
		cause = "its certificate is not accepted: " + certificate.Err.Error()
	case errors.Is(err, engine.ErrTargetTLS):
		cause = engine.ErrTargetTLS.Error()
	case errors.As(err, &alert):
		cause = "it refuses the handshake: " + alert.Error()
	case errors.As(err, &record):
		cause = "it does not speak TLS: " + record.Error()
	case errors.Is(err, engine.ErrHandshake) && !timedOut(err):
		_, cause, _ = strings.Cut(plainText(err), engine.ErrHandshake.Error()+": ")
	default:
		return failure{}, false
	}
	return failure{reason: ConnectionFailed, cause: "tls: " + cause}, true
}

func day(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// plainText is an error on one line.
func plainText(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
