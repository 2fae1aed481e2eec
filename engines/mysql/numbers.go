package mysql

// What begins with a digit may be a number or a name. Servers take it for a name if letters follow the digits, unless these are an exponent with
// its digits: behind that, and behind a fraction, a number is over whatever comes. So 1e5INTO and 1.5INTO are two tokens, 1INTO and 0x5INTO
// are one (sql_lex.cc, lex_one_token: MY_LEX_NUMBER_IDENT and MY_LEX_REAL).

// part is of a number.
type part uint8

const (
	partWhole    part = iota // digits so far
	partE                    // behind them an e: it may be a name yet
	partSign                 // and a sign
	partExponent             // digits of an exponent: it is a number
	partFraction             // behind a point
	partFractionE
	partFractionSign
)

// point is what a point just before means to what begins with a digit.
type point uint8

const (
	pointNone point = iota
	pointFraction
	pointQualifies // it is behind a name without quotes, and so is another name
)

// pointOf is what c means, behind a name without quotes or not.
func pointOf(c byte, named bool) point {
	switch {
	case c != '.':
		return pointNone
	case named:
		return pointQualifies
	}
	return pointFraction
}

// begins is the part that a number begins with.
func (p point) begins() part {
	if p == pointFraction {
		return partFraction
	}
	return partWhole
}

// after is the part that c belongs to behind another. ok is false if it belongs to none: then what came before is a number, or a name that
// c may go on with.
func (n part) after(c byte) (next part, ok bool) {
	switch digit, sign := isDigit(c), c == '+' || c == '-'; n {
	case partWhole:
		switch {
		case digit:
			return partWhole, true
		case c == '.':
			return partFraction, true
		case upper(c) == 'E':
			return partE, true
		}
	case partE, partFractionE:
		switch {
		case digit:
			return partExponent, true
		case sign:
			return n + 1, true
		}
	case partSign, partFractionSign, partExponent:
		return partExponent, digit
	case partFraction:
		switch {
		case digit:
			return partFraction, true
		case upper(c) == 'E':
			return partFractionE, true
		}
	}
	return n, false
}

// numbers scans a byte that a number may go on with, and says whether it dealt with it.
func (l *lexer) numbers(c byte) bool {
	next, ok := l.number.after(c)
	if !ok {
		return l.endNumber(c)
	}
	l.number, l.last = next, c
	if l.wordSize < maxWord {
		l.word[l.wordSize] = upper(c)
	}
	l.wordSize++
	return true
}

// endNumber is numbers for a byte that belongs to none.
func (l *lexer) endNumber(c byte) bool {
	switch l.number {
	case partWhole, partE:
		if isWord[c] { // a name, after all
			l.mode, l.half = lexWord, false
			return false
		}
	case partSign:
		sign := l.last
		l.wordSize--
		l.endWord()
		l.plain(sign)
		return false
	case partFractionE, partFractionSign: // servers make nonsense of it: they forget the number, and take this byte for itself
		l.doubt()
	}
	l.endWord()
	l.named = l.number == partE
	return false
}

// numberIn is the length of what a text begins with, which begins with a digit of this part, and says whether that is a name.
func numberIn(text []byte, number part) (n int, name bool) {
	for n = 1; n < len(text); n++ {
		next, ok := number.after(text[n])
		if !ok {
			break
		}
		number = next
	}
	switch {
	case number == partSign:
		return n - 1, true
	case number == partE, number == partWhole && n < len(text) && isWord[text[n]]:
		return wordIn(text), true
	}
	return n, false
}

// wordIn is how many bytes of words a text begins with.
func wordIn(text []byte) (n int) {
	for n < len(text) && isWord[text[n]] {
		n++
	}
	return n
}
