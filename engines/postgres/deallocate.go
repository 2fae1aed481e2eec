package postgres

import "slices"

// SQL may DEALLOCATE what a client has prepared by the protocol, on a backend that does not have it. A statement that cannot be
// prepared any more, because its table is gone, is deallocated all the same: something else stands in for it.

// standIn is what follows the name in the Parse of that. The server takes an empty text always, and looks at no table. Nobody
// executes it by mistake, if the DEALLOCATE comes to nothing: it wants a value of the type "internal" (8.21), which there is not.
var standIn = []byte{0, 0, 1, 0, 0, oidInternal >> 8, oidInternal & 0xff}

const oidInternal = 2281 // pg_type.dat

// deallocated is what a text deallocates by name.
type deallocated struct {
	names []string
	alone bool // it does nothing else: where the text is executed, so is the DEALLOCATE
}

func (d *deallocated) has(name string) bool { return slices.Contains(d.names, name) }

// deallocations reads a text. A name with escapes, or one that the server cuts, is not found.
func deallocations(text []byte, lex lexing) (d deallocated) {
	s := scanner{text: text, lex: lex}
	statements := 0
	for s.next(); s.kind != tokenEnd && s.kind != tokenBroken; s.next() {
		if s.kind == ';' {
			continue
		}
		statements++
		if s.is("deallocate") {
			if s.next(); s.is("prepare") {
				s.next()
			}
			if (s.kind == tokenWord || s.kind == tokenQuoted) && s.length > 0 {
				d.names = append(d.names, string(s.word()))
			}
		}
		for s.kind != ';' && s.kind != tokenEnd && s.kind != tokenBroken {
			s.next()
		}
		if s.kind != ';' {
			break
		}
	}
	d.alone = statements == 1 && s.kind != tokenBroken
	return d
}
