package mysql

import (
	"bytes"

	"github.com/berthdb/berth/core/engine"
)

// Settings that a session only confirms: drivers begin with SET autocommit=1, which is how backends are dialed.

// confirmations are the texts that do nothing but turn autocommit on, in lower case and without spaces around the sign.
var confirmations = [...]string{"set autocommit=1", "set autocommit=on", "set session autocommit=1", "set @@autocommit=1"}

const maxConfirmation = 64

// confirmed says whether text is nothing but one of confirmations. It is asked of texts that the scan has found to be about
// settings only.
func confirmed(text []byte) bool {
	if len(text) > maxConfirmation {
		return false
	}
	var buf [maxConfirmation]byte
	folded := buf[:0]
	for _, c := range bytes.TrimRight(text, " ;") {
		if c == ' ' && (len(folded) == 0 || folded[len(folded)-1] == ' ' || folded[len(folded)-1] == '=') {
			continue
		}
		if c == '=' && len(folded) > 0 && folded[len(folded)-1] == ' ' {
			folded = folded[:len(folded)-1]
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		folded = append(folded, c)
	}
	for _, s := range confirmations {
		if string(folded) == s {
			return true
		}
	}
	return false
}

// confirm takes the setting from a class whose text only turns autocommit on: the server's answer decides.
func confirm(c class, text []byte) class {
	if c.kinds == 1<<engine.KindSetting && confirmed(text) {
		c.kinds, c.flags = 0, c.flags|classConfirms
	}
	return c
}

// asDialed says whether a confirmation has left the backend as it was dialed.
func (m *Machine) asDialed() bool {
	return !m.request.failed && m.session.status&m.state.status&statusAutocommit != 0
}
