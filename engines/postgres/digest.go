package postgres

import (
	"bytes"

	"github.com/berthdb/berth/core/engine"
)

var _ engine.Digester = (*Engine)(nil)

// Digest writes a statement without what is in it. Where a string with a backslash ends is for standard_conforming_strings to
// say: behind one it stops, as where the text is not to be read.
func (*Engine) Digest(dst, sql []byte, limit int) []byte {
	s := scanner{text: sql}
	start, last := len(dst), 0
	literal, listed := false, false // the last token is one; a comma followed it that is not written yet
	for len(dst)-start < limit {
		readable := s.space()
		began := s.at
		kind := s.next()
		if kind == tokenEnd && readable {
			break
		}
		if kind == tokenNumber || kind == '.' && isDigit(s.peek(0)) {
			kind = tokenNumber
			s.number()
		}
		token := s.text[began:min(s.at, len(s.text))]
		value := kind == tokenString || kind == tokenNumber || kind == tokenBroken || !readable
		switch {
		case value && literal && listed: // one for all of a list
			listed = false
		case kind == ',' && literal && !listed:
			listed = true
			continue
		default:
			if listed {
				dst = append(dst, ',')
			}
			if began > last && len(dst) > start {
				dst = append(dst, ' ')
			}
			if literal, listed = value, false; value {
				token = []byte{'?'}
			}
			dst = append(dst, token...)
		}
		if last = s.at; kind == tokenBroken || !readable || kind == tokenString && bytes.IndexByte(s.text[began:s.at], '\\') >= 0 {
			break
		}
	}
	return dst[:min(len(dst), start+limit)]
}

// number moves behind the rest of a number, and what else sticks to it (4.1.2.6).
func (s *scanner) number() {
	for s.at < len(s.text) {
		c := s.text[s.at]
		exponent := s.text[s.at-1]|0x20 == 'e' && (c == '+' || c == '-')
		if !isDigit(c) && !isNameStart(c) && c != '.' && !exponent {
			return
		}
		s.at++
	}
}
