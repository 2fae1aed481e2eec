package postgres

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/jackc/pgproto3/v2"
	"github.com/xdg-go/scram"
)

// SASL mechanisms (54.3.1).
const (
	mechanismSCRAM     = "SCRAM-SHA-256"
	mechanismSCRAMPlus = "SCRAM-SHA-256-PLUS"
)

// maxSASLMessage bounds a SCRAM message, as PostgreSQL does (PG_MAX_SASL_MESSAGE_LENGTH).
const maxSASLMessage = 1024

// authenticateSCRAM is the server's side of SCRAM-SHA-256 (RFC 7677, 54.3.1). The user is the one of the start-up packet: the
// name in the client's messages means nothing, and libpq leaves it empty.
func (l *login) authenticateSCRAM(a account) (passed bool, err error) {
	stored, err := l.e.verifier(a)
	if err != nil {
		return false, err
	}
	binding := l.channelBinding()
	l.out = appendMechanisms(l.out, binding.IsSupported())
	body, err := l.readAuthMessage()
	if err != nil {
		return false, err
	}
	first, err := parseSASLInitial(body, binding.IsSupported())
	if err != nil {
		return false, err
	}
	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) { return stored, nil })
	if err != nil {
		return false, err
	}
	conversation := server.NewConversationWithChannelBinding(binding)
	reply, err := conversation.Step(first)
	if err != nil {
		return false, scramError(reply, err)
	}
	l.out = appendMessage(l.out, &pgproto3.AuthenticationSASLContinue{Data: []byte(reply)})
	if body, err = l.readAuthMessage(); err != nil {
		return false, err
	}
	if err := checkSASLText(body); err != nil {
		return false, err
	}
	reply, err = conversation.Step(string(body))
	if reply == scram.ErrInvalidProof {
		return false, nil
	}
	if err != nil {
		return false, scramError(reply, err)
	}
	l.out = appendMessage(l.out, &pgproto3.AuthenticationSASLFinal{Data: []byte(reply)})
	return a.exists && conversation.Valid(), nil
}

// channelBinding is what ties an exchange to the TLS connection: a hash of the certificate that the client was shown (RFC
// 5929, tls-server-end-point). There is none without TLS, nor for certificates whose signature names no hash (Ed25519).
func (l *login) channelBinding() scram.ChannelBinding {
	if l.leaf == nil {
		return scram.ChannelBinding{}
	}
	leaf, err := leafOf(l.leaf)
	if err != nil {
		return scram.ChannelBinding{}
	}
	// The library computes it for clients, from the certificate that its peer has shown.
	binding, err := scram.NewTLSServerEndpointBinding(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}})
	if err != nil {
		return scram.ChannelBinding{}
	}
	return binding
}

// parseSASLInitial reads the body of a SASLInitialResponse (54.7) and returns the client-first-message. The mechanism must be
// one that was offered, and must agree with what the message says about channel binding (RFC 5802, section 6); whether the
// client was lied to about our offer is for the conversation to find out.
func parseSASLInitial(body []byte, plusOffered bool) (first string, err error) {
	mechanism, rest, ok := bytes.Cut(body, []byte{0})
	if !ok || len(rest) < 4 {
		return "", clientError("malformed SASLInitialResponse")
	}
	plus := string(mechanism) == mechanismSCRAMPlus && plusOffered
	if !plus && string(mechanism) != mechanismSCRAM {
		return "", clientError("client selected an invalid SASL authentication mechanism")
	}
	length, data := int32(binary.BigEndian.Uint32(rest)), rest[4:]
	if length == -1 && len(data) == 0 {
		// Allowed: the client waits for an empty challenge first. No client of PostgreSQL does that with SCRAM.
		return "", clientError("SASLInitialResponse without an initial response")
	}
	if length < 0 || int(length) != len(data) {
		return "", clientError("malformed SASLInitialResponse")
	}
	if err := checkSASLText(data); err != nil {
		return "", err
	}
	first = string(data)
	if strings.HasPrefix(first, "p=") != plus {
		return "", clientError("malformed SCRAM message: the channel binding flag does not fit the mechanism")
	}
	if fields := strings.SplitN(first, ",", 3); len(fields) == 3 && fields[1] != "" {
		return "", &refusal{codeNotSupported, "client uses authorization identity, but it is not supported"}
	}
	return first, nil
}

// checkSASLText bounds a SCRAM message, and keeps NULs out of it.
func checkSASLText(data []byte) error {
	if len(data) > maxSASLMessage {
		return clientError("SASL message is too long")
	}
	if bytes.IndexByte(data, 0) >= 0 {
		return clientError("malformed SCRAM message")
	}
	return nil
}

// scramError tells a client that broke the exchange from one whose exchange was tampered with. The library's words may quote
// what the client sent, or what was expected: they do not go back.
func scramError(reply string, err error) error {
	switch reply {
	case scram.ErrServerDoesSupportChannelBinding:
		return errors.Join(&refusal{codeInvalidAuth, "The client supports SCRAM channel binding but thinks the server " +
			"does not. However, this server does support channel binding."}, err)
	case scram.ErrChannelBindingsDontMatch:
		return &refusal{codeInvalidAuth, "SCRAM channel binding check failed"}
	case scram.ErrUnsupportedChannelBindingType:
		return clientError("unsupported SCRAM channel-binding type")
	}
	return clientError("malformed SCRAM message")
}
