package mysql

import (
	"bytes"
	"slices"
)

// lexer takes SQL text apart as a server does (manual, "Language Structure"): strings with both kinds of quotes and
// backslash escapes, identifiers in backticks, the three kinds of comments, and executable comments, which are scanned
// as code. It is fed text in pieces of any size and tells a classifier what it found, so that a statement need not be
// held whole. It never judges what statements mean.
//
// Where a server's reading depends on what is not known here (the server's version for an executable comment, sql_mode
// for backslashes and double quotes, a character set whose characters may end with a backslash), the lexer notes a doubt
// instead of deciding.
type lexer struct {
	classifier

	mode lexMode
	// quote is the delimiter of the string or identifier under way.
	quote   byte
	last    byte // the byte before the current one, inside of strings and words
	escaped bool // the current byte follows a backslash escape
	code    bool // inside an executable comment
	skipped bool // inside one that the server does not execute

	maria   bool // the executable comment at hand begins with /*M!
	digits  int  // of its version
	version [maxDigits]byte

	word      [maxWord]byte // upper case
	wordSize  int           // may exceed maxWord: then the word is no known one
	firstByte byte          // of the word, as written
	number    part          // of a number, see numbers.go

	// literalBackslash says that sql_mode has NO_BACKSLASH_ESCAPES; wide that characters may end with a backslash, or a backtick.
	literalBackslash bool
	wide             bool
	letters          bool // some of what is punctuation here may be letters
	pairs            pairs
	half             bool // the byte before may be the first of two of a character
	at               bool // of a name that begins with @, which servers read byte by byte
	named            bool // the byte before ended a name without quotes,
	point            point
	spaced           bool  // some bytes that are letters here may be white space, see highSpace
	parted           bool  // there was one in the word,
	spelled          uint8 // and since then there is so much of KILL
	dialect          dialect
}

// maxWord is longer than every word that a classifier knows.
const maxWord = 40

type lexMode uint8

const (
	lexPlain lexMode = iota
	lexWord
	lexNumber
	lexQuoted    // inside quotes
	lexQuoteEnd  // after a closing quote, which another one would take back
	lexDash      // after -
	lexDashes    // after --
	lexLine      // in a comment that ends with the line
	lexSlash     // after /
	lexOpen      // after /*
	lexOpenM     // after /*M
	lexBlock     // in a comment
	lexBlockStar // after a * in a comment
	lexVersion   // in the digits after /*!
	lexStar      // after a * in an executable comment
	lexColon     // after :
	lexBackslash // after a backslash
)

// feed scans the next piece of the text.
func (l *lexer) feed(p []byte) {
	for i := 0; i < len(p); i++ {
		switch l.mode {
		case lexPlain:
			l.plain(p[i])
		case lexWord:
			i = l.words(p, i)
		case lexNumber:
			if !l.numbers(p[i]) {
				i--
			}
		case lexQuoted:
			i = l.quoted(p, i)
		default:
			if !l.between(p[i]) {
				i--
			}
		}
	}
}

// finish ends the text and returns what was found.
func (l *lexer) finish() class {
	switch l.mode {
	case lexWord:
		l.endWord()
	case lexNumber:
		l.numbers(0)
	case lexQuoteEnd:
		l.endQuoted()
	}
	switch l.mode {
	case lexDash:
		l.punctuation('-')
	case lexSlash:
		l.punctuation('/')
	case lexStar:
		l.punctuation('*')
	case lexColon:
		l.punctuation(':')
	case lexBackslash:
		l.punctuation('\\')
	}
	if l.code || l.mode == lexQuoted {
		l.doubt() // the server will not like it, but who knows which one
	}
	l.mode = lexPlain
	return l.end()
}

// plain scans a byte outside of everything.
func (l *lexer) plain(c byte) {
	before := l.last // if it belongs to a word
	l.last = 0
	behind := l.point
	if l.at {
		behind = pointQualifies
	}
	l.named, l.point = false, pointOf(c, l.named)
	if !isWord[c] {
		l.at = c == '@' || l.at && c == '.'
	}
	switch {
	case isDigit(c) && behind != pointQualifies:
		l.mode, l.number, l.wordSize, l.firstByte, l.spelled, l.parted = lexNumber, behind.begins(), 0, c, 0, false
		l.numbers(c)
	case isWord[c]:
		l.half = l.pairs.begins(c)
		l.mode, l.wordSize, l.firstByte, l.spelled, l.parted = lexWord, 1, c, 0, false
		l.word[0], l.last = upper(c), c
		l.doubtSpace(c)
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f' || c == 0:
	case c == '\'' || c == '"' || c == '`':
		l.half = false
		if c == '`' && l.wide && before >= 0x80 && l.pairs == noPairs {
			l.doubt() // it may end a character
		}
		l.mode, l.quote, l.escaped, l.last = lexQuoted, c, false, 0
		l.wordSize = 0
	case c == '-':
		l.mode = lexDash
	case c == '/':
		l.mode = lexSlash
	case c == '#':
		if l.code {
			l.doubt()
		}
		l.mode = lexLine
	case c == '*' && l.code:
		l.mode = lexStar
	case c == ':':
		l.mode = lexColon
	default:
		if l.letters && c != '@' && !invariant(c) {
			l.doubt()
		}
		if c == '\\' {
			l.mode = lexBackslash
			return
		}
		l.punctuation(c)
	}
}

// words scans the word that p[i] may continue, and returns the index of the last byte that it dealt with.
func (l *lexer) words(p []byte, i int) int {
	for ; i < len(p); i++ {
		c := p[i]
		paired := l.half && l.pairs.ends(c)
		if paired && l.at && !isWord[c] {
			l.doubt()
		}
		if !isWord[c] && !paired {
			l.endWord()
			return i - 1
		}
		l.half = !paired && l.pairs.begins(c)
		l.last = c
		l.doubtSpace(c)
		if l.wordSize < maxWord {
			l.word[l.wordSize] = upper(c)
		}
		l.wordSize++
	}
	return i
}

// doubtSpace notes that what is taken for a byte of a word may be between two, one of which is KILL: its number would be another connection's.
func (l *lexer) doubtSpace(c byte) {
	const kill = "KILL"
	switch {
	case !l.spaced:
	case highSpace(c):
		l.doubt()
		l.endSpelled()
		l.spelled, l.parted = 0, true
	case int(l.spelled) < len(kill) && upper(c) == kill[l.spelled]:
		l.spelled++
	default:
		l.spelled = uint8(len(kill)) + 1
	}
}

// endSpelled notes that there may be a KILL.
func (l *lexer) endSpelled() {
	if l.spelled == uint8(len("KILL")) {
		l.flag(classKillOther)
	}
}

func (l *lexer) endWord() {
	l.mode = lexPlain
	if l.parted {
		l.endSpelled()
	}
	if l.wordSize > maxWord {
		l.wordSize = 0
	}
	l.named = true
	if l.firstByte == '$' && !l.dialect.mariaDB && (l.wordSize == 0 || bytes.IndexByte(l.word[1:l.wordSize], '$') >= 0) {
		l.doubt() // MySQL quotes the code of other languages so, up to the same word again (manual, "CREATE FUNCTION")
	}
	l.identifier(l.cut(l.word[:l.wordSize]), l.firstByte)
}

// cut takes from a word, in upper case, what servers may not take for a part of it: the beginning of a character whose end is missing. MySQL
// leaves it out of the names of functions and variables, though not of its own words, where it converts text to utf8mb3.
func (l *lexer) cut(word []byte) []byte {
	if n := len(word); n == 0 || word[n-1]|word[max(n-2, 0)]|word[max(n-3, 0)] < 0x80 { // no character has more than four bytes
		return word
	}
	begin := slices.IndexFunc(word, func(c byte) bool { return c >= 0x80 })
	if begin <= 0 || !words.find(word[:begin]).tells() {
		return word
	}
	l.doubt()
	return word[:begin]
}

// quoted scans the inside of a string or of an identifier in backticks, which know no escapes, and returns the index
// of the last byte that it dealt with.
func (l *lexer) quoted(p []byte, i int) int {
	begin := i
	for ; i < len(p); i++ {
		c := p[i]
		paired := l.half && l.pairs.ends(c)
		l.half = !paired && l.pairs.begins(c)
		switch {
		case paired:
		case l.escaped:
			l.escaped, l.half = false, false // a server skips one byte
			if c == l.quote && c == '"' {
				l.doubt() // with ANSI_QUOTES this ends an identifier
			}
		case c == l.quote:
			if c == '`' && l.wide && l.last >= 0x80 && l.pairs == noPairs {
				l.doubt()
			}
			l.mode = lexQuoteEnd
			if c != '\'' && l.wordSize+i-begin == len("sys") {
				copy(l.word[l.wordSize:], p[begin:i])
				if isSys(string(l.word[:len("sys")])) {
					l.flag(classSys)
				}
			}
			return i
		case c == '\\' && l.quote != '`':
			if l.literalBackslash || l.wide && l.last >= 0x80 && l.pairs == noPairs {
				l.doubt()
			}
			l.escaped = true
		}
		l.last = c
	}
	if l.wordSize <= len("sys") {
		l.wordSize += copy(l.word[l.wordSize:], p[begin:]) // the beginning of a name that goes on
	}
	return i
}

func (l *lexer) endQuoted() {
	l.mode = lexPlain
	if l.quote == '\'' {
		l.text()
		return
	}
	l.quotedName() // "..." may be one too
}

// between scans a byte that decides what the bytes before it were, or one of a comment. It says whether it dealt with
// the byte itself.
func (l *lexer) between(c byte) bool {
	switch l.mode {
	case lexQuoteEnd:
		if c == l.quote { // '' is a quote inside of the string
			l.mode, l.last = lexQuoted, c
			return true
		}
		l.endQuoted()
		return false
	case lexDash:
		if c == '-' {
			l.mode = lexDashes
			return true
		}
		return l.was('-')
	case lexDashes:
		// Only with a space or control character behind it is -- a comment (manual, "'--' as the Start of a
		// Comment"). Which bytes are such, but for ASCII's first, the character set says.
		if c >= 0x7f {
			l.doubt()
		}
		if c > ' ' {
			l.punctuation('-')
			l.mode = lexDash // the second may begin one yet
			return false
		}
		if l.code {
			l.doubt()
		}
		l.mode = lexLine
		return false
	case lexLine:
		if c == '\n' {
			l.mode = lexPlain
		}
		return true
	case lexColon:
		if c == '=' {
			l.mode = lexPlain
			l.assignment()
			return true
		}
		return l.was(':')
	case lexBackslash:
		l.was('\\')
		return c == 'N' // \N is NULL, and ends there
	}
	return l.comment(c)
}

// comment is between for comments that have an end.
func (l *lexer) comment(c byte) bool {
	switch l.mode {
	case lexSlash:
		if c == '*' {
			l.mode = lexOpen
			return true
		}
		return l.was('/')
	case lexOpen:
		switch c {
		case '!':
			l.executable(false)
			return true
		case 'M':
			l.mode = lexOpenM
			return true
		}
		l.openComment()
		return false
	case lexOpenM:
		if c == '!' && !l.dialect.isMySQL() { // MariaDB's own
			l.executable(true)
			return true
		}
		l.openComment()
		return false
	case lexVersion:
		if c >= '0' && c <= '9' && l.digits < maxDigits {
			l.version[l.digits] = c
			l.digits++
			return true
		}
		l.versioned(c)
		return false
	case lexBlock:
		if c == '*' {
			if l.skipped && l.last == '/' {
				l.doubt() // servers count comments in there
			}
			l.mode = lexBlockStar
		}
		l.last = c
		return true
	case lexBlockStar:
		switch l.last = c; c {
		case '/':
			l.mode, l.skipped = lexPlain, false
		case '*':
		default:
			l.mode = lexBlock
		}
		return true
	case lexStar:
		if c == '/' {
			l.code, l.mode = false, lexPlain
			return true
		}
		return l.was('*')
	}
	l.mode = lexPlain
	return false
}

func (l *lexer) openComment() {
	if l.code {
		l.doubt()
	}
	l.mode = lexBlock
}

// executable begins an executable comment. Whether the server executes it depends on its version.
func (l *lexer) executable(maria bool) {
	if l.code {
		l.doubt()
	}
	l.code, l.mode, l.maria, l.digits = true, lexVersion, maria, 0
	l.conditional()
}

// versioned goes on behind the digits that begin an executable comment; next is the byte behind them. Digits that are no
// version are code.
func (l *lexer) versioned(next byte) {
	run, used, sure := l.dialect.executes(l.version[:l.digits], next, l.maria)
	switch {
	case !sure:
		l.doubt()
	case !run:
		l.code, l.skipped, l.mode, l.last = false, true, lexBlock, 0
		return
	}
	l.mode = lexPlain
	if rest := l.version[used:l.digits]; len(rest) > 0 {
		l.mode, l.wordSize, l.firstByte, l.number = lexNumber, copy(l.word[:], rest), rest[0], partWhole
	}
}

// was says that c, seen before, was mere punctuation.
func (l *lexer) was(c byte) bool {
	l.mode = lexPlain
	l.punctuation(c)
	return false
}

// isWord has the bytes of identifiers without quotes (manual, "Schema Object Names") and of numbers.
var isWord = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '$' || c >= 0x80
	}
	return t
}()

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}
