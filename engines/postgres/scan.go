package postgres

import "bytes"

// lexing is what a session's settings say about how the server reads its SQL.
type lexing struct {
	backslash bool // standard_conforming_strings is off: backslashes escape in plain strings (4.1.2.2)
	// opaque says that the client's encoding may have a backslash as the second byte of a character (23.3.1), so that
	// text with bytes above 127 cannot be read without converting it.
	opaque bool
}

// hides says that text, or a piece of one, cannot be read.
func (l lexing) hides(text []byte) bool {
	return l.opaque && bytes.ContainsFunc(text, func(r rune) bool { return r >= 0x80 }) // bytes that are no UTF-8 are U+FFFD
}

func lexingOf(params []parameter) lexing {
	conforming, _ := lookup(params, "standard_conforming_strings")
	l := lexing{backslash: conforming == "off"}
	encoding, _ := lookup(params, "client_encoding")
	switch encoding {
	case "SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB":
		l.opaque = true
	}
	return l
}

// tokenKind is what a token is. Punctuation and operator characters are their own kind, one character at a time.
type tokenKind uint8

const (
	tokenEnd    tokenKind = 0
	tokenBroken tokenKind = iota + 127 // a string, name or comment without an end
	tokenMore                          // the text goes on, and so does what it ends in
	tokenWord                          // an identifier or key word
	tokenQuoted                        // "an identifier"
	tokenString
	tokenNumber
	tokenParameter // $1
	tokenCast      // ::
)

// scanner reads SQL as PostgreSQL's own lexer does (4.1). It is a value: a copy looks ahead. It allocates nothing.
//
// The text may be a part of a longer one (more). Then a token is read only maxTail bytes before its end or earlier. Strings and
// comments may have any length: what is open where the part ends is read on in the next. Anything else that does not end here
// is longer than anything sensible is, and the scanner is lost.
type scanner struct {
	text []byte
	at   int
	lex  lexing
	more bool
	open open // what the text ended in
	lost bool
	// The last token. word is a lower-case copy of a tokenWord, or what a tokenQuoted says; "" if longer than any name that
	// matters, or if it contains an escape.
	kind   tokenKind
	length int
	buf    [maxWord]byte
}

// open is a string or comment of which the end has not come.
type open struct {
	kind      openKind
	backslash bool // in a string: backslashes escape
	depth     int  // of comments
	tag       int  // length of a dollar quote's, with its dollars; the tag is in buf
}

type openKind uint8

const (
	openNothing openKind = iota
	openString
	openDollar
	openComment
	openLine
)

// maxTail is how much of a text has to be there, unless it is the rest, for a token to be read that is none of those, or for
// the end of a string to be known for one (4.1.2.1).
const maxTail = 4 << 10

// maxWord is longer than any name that PostgreSQL has: it cuts names at 63 bytes.
const maxWord = 64

func (s *scanner) word() []byte { return s.buf[:s.length] }

// is says whether the last token is the word w, not quoted.
func (s *scanner) is(w string) bool { return s.kind == tokenWord && string(s.word()) == w }

// next reads the next token and returns its kind.
func (s *scanner) next() tokenKind {
	s.kind = s.scan()
	return s.kind
}

func (s *scanner) scan() tokenKind {
	switch s.open.kind {
	case openString:
		return s.inString()
	case openDollar:
		return s.dollarString()
	}
	s.length = 0
	if !s.space() {
		return tokenBroken
	}
	if s.more && len(s.text)-s.at < maxTail {
		return tokenMore
	}
	if s.at >= len(s.text) {
		return tokenEnd
	}
	c := s.text[s.at]
	switch {
	case isNameStart(c):
		return s.name(c)
	case c == '\'':
		return s.quoted(s.lex.backslash)
	case c == '"':
		return s.quotedName()
	case c == '$':
		return s.dollar()
	case isDigit(c):
		return s.digits()
	case c == ':' && s.peek(1) == ':':
		s.at += 2
		return tokenCast
	}
	s.at++
	if c == 0 || c > 127 {
		return tokenBroken
	}
	return tokenKind(c)
}

// digits reads a number, or a piece of one between its points, with its exponent: before 15 a word could follow that without white space.
func (s *scanner) digits() tokenKind {
	skip := func() {
		for s.at < len(s.text) && isDigit(s.text[s.at]) {
			s.at++
		}
	}
	skip()
	if s.peek(0)|0x20 == 'e' {
		n := 1
		if sign := s.peek(1); sign == '+' || sign == '-' {
			n = 2
		}
		if isDigit(s.peek(n)) {
			s.at += n
			skip()
		}
	}
	s.edge()
	return tokenNumber
}

// edge is lost if what was read may go on behind the text here.
func (s *scanner) edge() { s.lost = s.lost || s.more && s.at >= len(s.text) }

// peek returns the byte n further on, 0 behind the end.
func (s *scanner) peek(n int) byte {
	if s.at+n < len(s.text) {
		return s.text[s.at+n]
	}
	return 0
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// space skips white space and comments, which nest (4.1.5). It returns false if a comment has no end.
func (s *scanner) space() bool {
	switch s.open.kind {
	case openComment:
		if !s.comment() {
			return s.more
		}
	case openLine:
		s.lineComment()
	}
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case isBlank(c):
			s.at++
		case c == '-' && s.peek(1) == '-':
			s.lineComment()
		case c == '/' && s.peek(1) == '*':
			if !s.comment() {
				return s.more
			}
		default:
			return true
		}
	}
	return true
}

func (s *scanner) lineComment() {
	s.open.kind = openLine
	for ; s.at < len(s.text); s.at++ {
		if c := s.text[s.at]; c == '\n' || c == '\r' {
			s.open.kind = openNothing
			return
		}
	}
}

// comment reads on in a comment. It returns false if that has no end here.
func (s *scanner) comment() bool {
	if s.open.kind == openNothing {
		s.open = open{kind: openComment}
	}
	for s.at < len(s.text) {
		c := s.text[s.at]
		if (c == '/' || c == '*') && s.more && s.at+1 == len(s.text) {
			return false
		}
		switch {
		case c == '/' && s.peek(1) == '*':
			s.open.depth++
			s.at += 2
		case c == '*' && s.peek(1) == '/':
			s.open.depth--
			s.at += 2
			if s.open.depth == 0 {
				s.open = open{}
				return true
			}
		default:
			s.at++
		}
	}
	return false
}

// name reads a word, or the string whose prefix it is.
func (s *scanner) name(c byte) tokenKind {
	switch next := s.peek(1); {
	case next == '\'' && (c|0x20 == 'e'):
		s.at++
		return s.quoted(true)
	case next == '\'' && (c|0x20 == 'b' || c|0x20 == 'x'):
		s.at++
		return s.quoted(false)
	case next == '\'' && c|0x20 == 'n':
		s.at++
		return s.quoted(s.lex.backslash)
	case next == '&' && c|0x20 == 'u' && s.peek(2) == '\'':
		s.at += 2
		return s.quoted(false)
	case next == '&' && c|0x20 == 'u' && s.peek(2) == '"':
		s.at += 2
		kind := s.quotedName()
		s.escape()
		s.length = 0 // it may say anything
		return kind
	}
	n := 0
	for s.at < len(s.text) {
		c := s.text[s.at]
		if !isNameStart(c) && !isDigit(c) && c != '$' {
			break
		}
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if n < maxWord {
			s.buf[n] = c
		}
		n++
		s.at++
	}
	s.edge()
	if n < maxWord {
		s.length = n
	}
	return tokenWord
}

// escape moves behind the UESCAPE 'x' that may belong to a name (4.1.2.3).
func (s *scanner) escape() {
	ahead := *s
	if !ahead.space() || ahead.peek(0)|0x20 != 'u' || ahead.peek(1)|0x20 != 'e' { // not another of these names
		s.lost = s.lost || s.more && ahead.at >= len(ahead.text)-1
		return
	}
	if ahead.next(); ahead.is("uescape") && ahead.next() == tokenString {
		s.at = ahead.at
	}
	s.lost = s.lost || ahead.lost || ahead.kind == tokenMore
}

// quoted reads a string from its first quote on (4.1.2.1, 4.1.2.2).
func (s *scanner) quoted(backslash bool) tokenKind {
	s.at++
	s.open = open{kind: openString, backslash: backslash}
	return s.inString()
}

// inString reads on in a string.
func (s *scanner) inString() tokenKind {
	for s.at < len(s.text) {
		c := s.text[s.at]
		switch {
		case c == '\\' && s.open.backslash:
			if s.more && s.at+1 == len(s.text) {
				return tokenMore
			}
			s.at += 2
		case c != '\'':
			s.at++
		case s.more && len(s.text)-s.at < maxTail:
			return tokenMore
		case s.peek(1) == '\'':
			s.at += 2
		default:
			s.at++
			if !s.continued() {
				s.open = open{}
				return tokenString
			}
		}
	}
	if s.more {
		return tokenMore
	}
	s.open = open{}
	return tokenBroken
}

// continued moves behind the quote with which a string goes on after white space with a newline, in the same manner as it
// began (4.1.2.1).
func (s *scanner) continued() bool {
	newline := false
	i := s.at
	for i < len(s.text) {
		c := s.text[i]
		switch {
		case c == '\n' || c == '\r':
			newline = true
			i++
		case isBlank(c):
			i++
		case c == '-' && i+1 < len(s.text) && s.text[i+1] == '-':
			for i < len(s.text) && s.text[i] != '\n' && s.text[i] != '\r' {
				i++
			}
		case c == '\'' && newline:
			s.at = i + 1
			return true
		default:
			return false
		}
	}
	s.lost = s.lost || s.more && s.open.backslash // what another string would be, too
	return false
}

// quotedName reads a quoted identifier from its quote on.
func (s *scanner) quotedName() tokenKind {
	s.at++
	begin := s.at
	doubled := false
	for s.at < len(s.text) {
		n := bytes.IndexByte(s.text[s.at:], '"')
		if n < 0 {
			break
		}
		s.at += n + 1
		if s.peek(0) != '"' {
			if name := s.text[begin : s.at-1]; !doubled && len(name) < maxWord {
				s.length = copy(s.buf[:], name)
			}
			s.edge()
			return tokenQuoted
		}
		doubled = true
		s.at++
	}
	s.at = len(s.text)
	s.edge()
	return tokenBroken
}

// dollar reads a parameter or a dollar-quoted string (4.1.2.4).
func (s *scanner) dollar() tokenKind {
	if isDigit(s.peek(1)) {
		s.at++
		for isDigit(s.peek(0)) {
			s.at++
		}
		s.edge()
		return tokenParameter
	}
	end := s.at + 1
	for end < len(s.text) && (isNameStart(s.text[end]) || isDigit(s.text[end])) {
		end++
	}
	if end >= len(s.text) || s.text[end] != '$' {
		s.lost = s.lost || s.more && end >= len(s.text)
		s.at++
		return '$'
	}
	tag := s.text[s.at : end+1]
	s.at = end + 1
	if !s.more {
		return s.until(tag)
	}
	if len(tag) > len(s.buf) {
		s.lost = true
		return tokenString
	}
	s.open = open{kind: openDollar, tag: copy(s.buf[:], tag)}
	return s.dollarString()
}

// dollarString reads on in a dollar-quoted string.
func (s *scanner) dollarString() tokenKind {
	begin, tag := s.at, s.buf[:s.open.tag]
	kind := s.until(tag)
	if s.more && kind == tokenBroken {
		s.at = max(begin, len(s.text)-len(tag)+1)
		return tokenMore
	}
	s.open = open{}
	return kind
}

// until moves behind the tag that ends a dollar-quoted string.
func (s *scanner) until(tag []byte) tokenKind {
	n := bytes.Index(s.text[min(s.at, len(s.text)):], tag)
	if n < 0 {
		s.at = len(s.text)
		return tokenBroken
	}
	s.at += n + len(tag)
	return tokenString
}
