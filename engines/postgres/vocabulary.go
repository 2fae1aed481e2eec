package postgres

import (
	"strings"

	"github.com/jackc/pgproto3/v2"
)

// Messages that the proxy says itself are pgproto3's types, encoded. What peers say is never given to that library: it
// panics on malformed messages and trusts their lengths; the framer and the parsers here do not.

// appendMessage appends m to dst.
func appendMessage(dst []byte, m pgproto3.BackendMessage) []byte {
	out, err := m.Encode(dst)
	if err != nil { // it is larger than a length can say: nothing here is
		panic("BUG: postgres: " + err.Error())
	}
	return out
}

// cut ends s before its first NUL, which would end it in a message too.
func cut(s string) string {
	before, _, _ := strings.Cut(s, "\x00")
	return before
}

// appendError appends an ErrorResponse (54.7) to dst. None of the strings should contain a NUL; one that does is cut there.
func appendError(dst []byte, severity, code, message string) []byte {
	return appendMessage(dst, &pgproto3.ErrorResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: cut(code), Message: cut(message),
	})
}

// appendMechanisms appends an AuthenticationSASL, the better mechanism first.
func appendMechanisms(dst []byte, plus bool) []byte {
	offered := []string{mechanismSCRAM}
	if plus {
		offered = []string{mechanismSCRAMPlus, mechanismSCRAM}
	}
	return appendMessage(dst, &pgproto3.AuthenticationSASL{AuthMechanisms: offered})
}

// appendReady appends a ReadyForQuery outside of a transaction.
func appendReady(dst []byte) []byte { return appendReadyAs(dst, 'I') }

// appendReadyAs appends a ReadyForQuery with a transaction status.
func appendReadyAs(dst []byte, status byte) []byte {
	return appendMessage(dst, &pgproto3.ReadyForQuery{TxStatus: status})
}

// appendParameter appends a ParameterStatus.
func appendParameter(dst []byte, p parameter) []byte {
	return appendMessage(dst, &pgproto3.ParameterStatus{Name: p.name, Value: p.value})
}
