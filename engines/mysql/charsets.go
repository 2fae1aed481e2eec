package mysql

import (
	"bytes"
	"slices"
	"strings"
)

// Servers read text in character_set_client, whose characters are not always what their bytes are in ASCII: those of big5, cp932, gbk, sjis and
// gb18030 may end with the byte of a backslash or a backtick, in swe7 some of ASCII's punctuation are letters, and many with one byte a
// character have a space that does not break.

// wideCharsets are the names of such character sets by the ids of their collations.
var wideCharsets = map[byte]string{
	1: "big5", 84: "big5", 13: "sjis", 88: "sjis", 95: "cp932", 96: "cp932", 28: "gbk", 87: "gbk", 248: "gb18030", 249: "gb18030", 250: "gb18030",
	10: swe7, 82: swe7,
}

// wideCharset says so of the character set of a collation's id.
func wideCharset(id byte) bool { return wideCharsets[id] != "" }

// wideCharsetName says the same of a character set's name.
func wideCharsetName(name string) bool { return pairsOf(name) != noPairs || name == swe7 }

const swe7 = "swe7"

// charset is the id of a collation of the character set that the session has as long as it has set none.
func (m *Machine) charset() byte {
	if m.session.imposed != 0 {
		return m.session.imposed
	}
	return m.info.charset
}

// imposed returns the id of a collation of a character set that is read like the one of that name, 0 if the one that was asked for by id is.
// Servers may be told to use a character set of their own (skip-character-set-client-handshake, init_connect).
func imposed(name string, id byte) byte {
	const latin1, utf8mb4 = 8, 45
	like := byte(utf8mb4)
	switch {
	case wideCharsetName(name):
		for id, each := range wideCharsets {
			if each == name {
				like = id
			}
		}
	case spacedCharsetName(name):
		like = latin1
	}
	if wideCharsets[like] == wideCharsets[id] && spacelessCharset(like) == spacelessCharset(id) {
		return 0
	}
	return like
}

// impose notes that backends have another character set than the session has asked for, unless it has set one.
func (m *Machine) impose(charset byte) {
	if _, own := m.session.settings.value(clientCharset); !own {
		m.session.imposed = charset
		m.session.wide = wideCharset(charset) || slices.Contains(m.session.asks, clientCharset)
	}
}

// wideAsKnown says whether the session brings such a character set to another backend.
func (m *Machine) wideAsKnown() bool {
	if name, ok := m.session.settings.value(clientCharset); ok {
		return wideCharsetName(reported(clientCharset, name))
	}
	return wideCharset(m.charset())
}

// knownCharset is the name of the session's character set where it may matter to how text is read, "" if it does not or is not known.
func (m *Machine) knownCharset() string {
	name, ok := m.session.settings.value(clientCharset)
	switch {
	case !m.session.wide || slices.Contains(m.session.asks, clientCharset):
		return ""
	case ok:
		name = reported(clientCharset, name)
	default:
		name = wideCharsets[m.charset()]
	}
	if !wideCharsetName(name) {
		return ""
	}
	return name
}

// letters says whether the session's character set may have letters in place of punctuation.
func (m *Machine) letters() bool {
	if !m.session.wide {
		return false
	}
	name := m.knownCharset()
	return name == "" || name == swe7
}

// pairs is which characters of two bytes a character set has, noPairs if that is not known. Those of four bytes that gb18030 has, too, are of
// digits and bytes that begin a pair, in turn: where they end is all the same.
type pairs uint8

const (
	noPairs pairs = iota
	pairsSJIS
	pairsBig5
	pairsGBK
)

func pairsOf(charset string) pairs {
	switch charset {
	case "sjis", "cp932":
		return pairsSJIS
	case "big5":
		return pairsBig5
	case "gbk", "gb18030":
		return pairsGBK
	}
	return noPairs
}

// begins says whether c may be the first of two bytes of a character.
func (p pairs) begins(c byte) bool {
	switch p {
	case pairsSJIS:
		return c >= 0x81 && c <= 0x9f || c >= 0xe0 && c <= 0xfc
	case pairsBig5:
		return c >= 0xa1 && c <= 0xf9
	case pairsGBK:
		return c >= 0x81 && c <= 0xfe
	}
	return false
}

// ends says whether c may be the second.
func (p pairs) ends(c byte) bool {
	switch {
	case p == noPairs:
		return false
	case c >= 0x40 && c <= 0x7e:
		return true
	case p == pairsSJIS:
		return c >= 0x80 && c <= 0xfc
	case p == pairsBig5:
		return c >= 0xa1 && c <= 0xfe
	}
	return c >= 0x80 && c <= 0xfe
}

// spaced says whether bytes that stand for letters here may be white space in the session's character set, between words: whether that is
// none of those in which there are no such bytes.
func (m *Machine) spaced() bool {
	name, ok := m.session.settings.value(clientCharset)
	switch {
	case slices.Contains(m.session.asks, clientCharset):
		return true
	case ok:
		return spacedCharsetName(reported(clientCharset, name))
	}
	return !spacelessCharset(m.charset())
}

// spacedCharsetName says whether a character set of that name may have such bytes.
func spacedCharsetName(name string) bool {
	return !strings.HasPrefix(name, "utf8") && name != "ascii" && name != "binary" && (!wideCharsetName(name) || name == swe7)
}

// spacelessCharset says whether an id is of a collation of utf8mb4, utf8mb3, ascii, binary, or a character set of two bytes.
func spacelessCharset(id byte) bool {
	switch id {
	case 11, 33, 45, 46, 63, 65, 76, 83, 255:
		return true
	}
	return id >= 192 && id < 248 || wideCharset(id) && wideCharsets[id] != swe7
}

// highSpace says whether a byte is white space in some character set of one byte a character: armscii8, cp1250, dec8, geostd8, greek, hebrew,
// latin1, latin2, latin5 and latin7 have one of them, cp852, cp866 and keybcs2 the other.
func highSpace(c byte) bool { return c == 0xa0 || c == 0xff }

// spacedIn says whether a text may be parted by such a byte.
func (m *Machine) spacedIn(text []byte) bool {
	return (bytes.IndexByte(text, 0xa0) >= 0 || bytes.IndexByte(text, 0xff) >= 0) && m.spaced()
}

// invariant says whether a byte is the same character in every character set of a client, wherever it is a character of its own.
func invariant(c byte) bool {
	switch c {
	case '@', '[', '\\', ']', '^', '`', '{', '|', '}', '~':
		return false
	}
	return c < 0x80
}

// varies says whether a text may be another one in another character set.
func varies(text string) bool {
	for i := range len(text) {
		if !invariant(text[i]) {
			return true
		}
	}
	return false
}

// ambiguous says whether characters of a text may be others than those that are looked for in it.
func (m *Machine) ambiguous(text []byte) bool {
	if !m.session.wide {
		return false
	}
	letters := m.letters()
	for i, c := range text {
		if c >= 0x80 || letters && !invariant(c) && (c != '@' || i > 0 && isWord[text[i-1]]) {
			return true
		}
	}
	return false
}

// broad says whether literals may have more bytes than their characters have in the session's character set: those are the names of
// MariaDB's locks.
func (m *Machine) broad() bool {
	collation, _ := m.session.settings.or(m.state.base, connectionCollation)
	return strings.HasPrefix(collation, "ucs2") || strings.HasPrefix(collation, "utf16") || strings.HasPrefix(collation, "utf32") ||
		slices.Contains(m.session.asks, connectionCollation)
}

// units are how long the characters of a character set are whose ASCII is not as everywhere: 2 or 4 bytes, 0 for any other.
type units struct {
	size   uint8
	little bool // the first byte has the character
}

// unitsOf is about a character set by its name, which may have been read in itself.
func unitsOf(charset string) units {
	switch strings.ReplaceAll(charset, "\x00", "") {
	case "ucs2", "utf16":
		return units{size: 2}
	case "utf16le":
		return units{size: 2, little: true}
	case "utf32":
		return units{size: 4}
	}
	return units{}
}

// encode returns ASCII in such characters.
func (u units) encode(ascii []byte) []byte {
	if u.size == 0 {
		return ascii
	}
	n := int(u.size)
	wide := make([]byte, n*len(ascii))
	for i, c := range ascii {
		if u.little {
			wide[n*i] = c
		} else {
			wide[n*i+n-1] = c
		}
	}
	return wide
}
