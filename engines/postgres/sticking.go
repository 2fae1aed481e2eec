package postgres

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"slices"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Some of what a statement leaves stays on its connection until that ends, whatever is reset: the seed of random(), which no rollback takes
// back either, a library, a connection that dblink has given a name to, a backup that was begun. DISCARD ALL (its page in the manual) knows of
// none of it. So it pins for as long as the session has the backend (verdict.sticks).

// sticks says that a function leaves something that nothing takes away again.
func sticks(name []byte) bool {
	switch string(name) {
	case "setseed", "pg_backup_start", "pg_start_backup", "dblink_connect", "dblink_connect_u":
		return true
	}
	return false
}

// seed decides about SET, whose setting's name was read last. The seed's is no setting that anything goes back from: SET LOCAL gives it for good.
func (c *classifier) seed() {
	if (c.kind == tokenQuoted && c.length == 0 || bytes.EqualFold(c.word(), []byte("seed"))) && c.followed() != '.' {
		c.stick()
	}
}

// seedsBy looks whether the first argument of set_config, whose name was read last, is the seed's name, or is no plain string.
func (c *classifier) seedsBy() {
	ahead := c.scanner
	if ahead.next() != '(' || !ahead.space() {
		return
	}
	begin := ahead.at
	switch plain := ahead.next() == tokenString; {
	case plain && isSeed(bytes.TrimSpace(ahead.text[begin:ahead.at])):
		c.stick()
	case !plain || ahead.next() != ',':
		c.given = true
	}
}

// isSeed says that a string, as it is written, may be the seed's name.
func isSeed(quoted []byte) bool {
	if quoted[0]|0x20 == 'u' || bytes.ContainsAny(quoted, "\\\n") {
		return true
	}
	if quoted[0] == '$' {
		_, quoted, _ = bytes.Cut(quoted[1:], []byte{'$'})
		quoted, _, _ = bytes.Cut(quoted, []byte{'$'})
	}
	return bytes.EqualFold(bytes.Trim(bytes.TrimLeft(quoted, "eEnN"), "'"), []byte("seed"))
}

// givesSeed says that what a text executes may be given the seed's name by a string of its own.
func (v verdict) givesSeed(text []byte, lex lexing) bool {
	if !v.given && !v.opaque || !mentionsSeed(text) {
		return false
	}
	s := scanner{text: text, lex: lex}
	for {
		switch s.next() {
		case tokenEnd, tokenBroken:
			return false
		case tokenString:
			name := bytes.TrimRight(text[:s.at], "'$")
			if n := len(name) - len("seed"); n > 0 && (name[n-1] == '\'' || name[n-1] == '$') && begins(name[n:], "seed") {
				return true
			}
		}
	}
}

func mentionsSeed(text []byte) bool {
	for i := range text {
		if begins(text[i:], "seed") {
			return true
		}
	}
	return false
}

// bindsSeed says that a Bind, whose body this is, gives a statement with v the seed's name, as far as can be seen. It is the same in text and binary form.
func (v verdict) bindsSeed(body []byte) bool {
	if !v.given && !v.opaque {
		return false
	}
	_, rest, _ := cutString(body)
	_, rest, ok := cutString(rest)
	if !ok || len(rest) < 2 {
		return true
	}
	formats := 2 * int(binary.BigEndian.Uint16(rest))
	if rest = rest[2:]; len(rest) < formats+2 {
		return true
	}
	n := binary.BigEndian.Uint16(rest[formats:])
	rest = rest[formats+2:]
	for range n {
		var value []byte
		if value, rest, ok = cutField(rest); !ok || bytes.EqualFold(value, []byte("seed")) {
			return true
		}
	}
	return false
}

// stick notes that it may leave what no reset undoes.
func (v *verdict) stick() {
	v.kinds.add(engine.KindUnknown)
	v.sticks = true
}

// language watches DO for its language. Others than PL/pgSQL have variables of their own, which last.
func (c *classifier) language() {
	if c.begins && string(c.word()) != "plpgsql" && !(c.kind == tokenString && c.at >= len("'plpgsql'") &&
		bytes.EqualFold(c.text[c.at-len("'plpgsql'"):c.at], []byte("'plpgsql'"))) {
		c.stick()
	}
	c.begins = c.is("language")
}

// mentionsSticking looks in a text that executes code, of another language or in strings, for what leaves something of that sort there.
func mentionsSticking(text []byte) bool {
	for i := range text {
		switch text[i] | 0x20 {
		case 'd', 'l', 'p', 's':
			if (i == 0 || !isNamePart(text[i-1])) && sticksAt(text, i) {
				return true
			}
		}
	}
	return false
}

// createsSticking says that code which text creates may leave something of that sort.
func createsSticking(text []byte) bool {
	for _, found := range languageInCode.FindAllSubmatch(text, -1) {
		if lowered(found[1]) != "plpgsql" {
			return true
		}
	}
	for _, found := range extensionInCode.FindAllSubmatch(text, -1) {
		if !slices.Contains(strings.Fields(harmlessExtensions), string(bytes.ToLower(found[1]))) {
			return true
		}
	}
	return mentionsSticking(text) || bytes.Contains(bytes.ToLower(text), []byte(`u&"`))
}

var (
	languageInCode  = regexp.MustCompile(`(?i)\blanguage\s+['"]?(pl\w+)`)
	extensionInCode = regexp.MustCompile(`(?i)\bextension\s+(?:if\s+not\s+exists\s+)?"?([\w-]+)`)
)

func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) || c == '$' }

// sticksAt is mentionsSticking for the word that begins at i.
func sticksAt(text []byte, i int) bool {
	end := i
	for end < len(text) && end-i < maxWord && isNamePart(text[end]) {
		end++
	}
	word := lowered(text[i:end])
	switch {
	case sticks([]byte(word)):
		return true
	case word == "load": // a string, or what makes one
		rest := bytes.TrimLeft(text[end:], " \t\r\n")
		return len(rest) > 1 && (rest[0] == '\'' || rest[1] == '\'' || rest[0] == '$' && !isDigit(rest[1]) || rest[0] == '%' && isNameStart(rest[1]) || begins(rest, "u&'"))
	case word == "seed":
		return seedAt(text[:i]) || seedInString(text, i)
	}
	return bytes.HasPrefix([]byte(word), []byte("pg_replication_origin_session")) || bytes.HasSuffix([]byte(word), []byte("_replication_slot")) && (begins([]byte(word), "pg_create_") || begins([]byte(word), "pg_copy_"))
}

// seedAt says that what is before the word "seed" may give one: set_config with a quote, or a SET that begins a statement, and is none of UPDATE.
func seedAt(before []byte) bool {
	before = withoutBlanks(before)
	if quoted := bytes.TrimRight(before, "'"); len(quoted) < len(before) {
		quoted = withoutBlanks(bytes.TrimSuffix(withoutBlanks(quoted), []byte("(")))
		return endsIn(quoted, "set_config")
	}
	before = withoutBlanks(bytes.TrimSuffix(before, []byte{'"'}))
	for _, word := range [...]string{"session", "local"} {
		if endsIn(before, word) {
			before = withoutBlanks(before[:len(before)-len(word)])
		}
	}
	if !endsIn(before, "set") {
		return false
	}
	before = withoutBlanks(before[:len(before)-len("set")])
	if len(before) == 0 || bytes.IndexByte([]byte(";'$>"), before[len(before)-1]) >= 0 {
		return true
	}
	return slices.ContainsFunc([]string{"begin", "then", "else", "loop", "atomic"}, func(word string) bool { return endsIn(before, word) })
}

// seedInString says that the word "seed" at i is all of a string, in a text with what may use it as the name of a setting.
func seedInString(text []byte, i int) bool {
	end := i + len("seed")
	return i > 0 && end < len(text) && (text[i-1] == '\'' || text[i-1] == '$') && (text[end] == '\'' || text[end] == '$') && namesSettings.Match(text)
}

var namesSettings = regexp.MustCompile(`(?i)\b(?:set_config|execute)\b`)

// endsIn says that text ends in a word.
func endsIn(text []byte, word string) bool {
	n := len(text) - len(word)
	return n >= 0 && begins(text[n:], word) && (n == 0 || text[n-1] == '$' || !isNamePart(text[n-1]))
}

// withoutBlanks takes white space and comments in asterisks off the end of text.
func withoutBlanks(text []byte) []byte {
	for {
		text = bytes.TrimRight(text, " \t\r\n")
		begin := bytes.LastIndex(text, []byte("/*"))
		if begin < 0 || !bytes.HasSuffix(text, []byte("*/")) {
			return text
		}
		text = text[:begin]
	}
}
