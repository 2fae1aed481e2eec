package mysql

import (
	"strings"

	"github.com/berthdb/berth/core/engine"
)

var _ engine.Digester = (*Engine)(nil)

// Digest writes a statement without what is in it. Behind a string with a backslash it stops: where that string ends is for
// sql_mode to say.
func (*Engine) Digest(dst, sql []byte, limit int) []byte {
	r := actReader{rest: sql}
	start, listed := len(dst), false
	for {
		p := r.next()
		literal := p.kind == tokenText || p.kind == tokenPunctuation && p.bytes[0] == '"' ||
			p.kind == tokenWord && isDigit(p.bytes[0]) || p.kind == tokenNone && r.bad
		switch {
		case p.kind == tokenNone && !literal:
			return trim(dst, start, limit)
		case literal && (listed || endsWith(dst[start:], "?")): // one for all
		case literal:
			dst = appendPiece(dst, start, []byte{'?'})
		case p.char(',') && endsWith(dst[start:], "?") && !listed:
			listed = true
			continue
		default:
			if listed {
				dst = append(dst, ',')
			}
			dst = appendPiece(dst, start, p.bytes)
		}
		listed = false
		if r.bad || len(dst)-start >= limit {
			return trim(dst, start, limit)
		}
	}
}

// appendPiece puts a space in front where it reads better.
func appendPiece(dst []byte, start int, piece []byte) []byte {
	if len(dst) > start && strings.IndexByte("(.@", dst[len(dst)-1]) < 0 && strings.IndexByte("(),.;", piece[0]) < 0 {
		dst = append(dst, ' ')
	}
	return append(dst, piece...)
}

func endsWith(b []byte, s string) bool { return len(b) >= len(s) && string(b[len(b)-len(s):]) == s }

func trim(dst []byte, start, limit int) []byte { return dst[:min(len(dst), start+limit)] }
