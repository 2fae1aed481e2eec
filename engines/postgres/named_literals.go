package postgres

import (
	"bytes"
	"strings"
)

// The server reads a literal when it parses a statement: a time without an offset means one in the time zone of that moment, and
// 1/2/2024 a day by that moment's DateStyle (8.5). A statement that is parsed again on another backend must not mean another time
// because of what the session has set meanwhile. Where it might, the client is told to prepare it anew, in the words in which the
// server says so for other reasons, which drivers know.

// outdated says that s must not be parsed again with what is set now.
func (m *machine) outdated(s *namedStatement) bool {
	if !s.shared.dated {
		return false
	}
	if h := m.state.statements.held[s.shared]; h != nil && h.parsed >= s.parsed {
		return false
	}
	now, then := m.readingNow(), s.shared.reading
	return now != then && !unknownReading(now) && !unknownReading(then) && calendar(now) != calendar(then)
}

// unknownReading says that a reading is one of sharedStatements.unique.
func unknownReading(reading string) bool { return strings.HasPrefix(reading, "\x00") }

// calendar is what of a reading (settings.reading) decides about the meaning of a time.
func calendar(reading string) string {
	var b strings.Builder
	for reading != "" {
		name, rest, _ := strings.Cut(reading, "\x00")
		sql, rest, _ := strings.Cut(rest, "\x00")
		switch name {
		case "timezone", "datestyle", "intervalstyle", "timezone_abbreviations":
			b.WriteString(sql)
			b.WriteByte(0)
		}
		reading = rest
	}
	return b.String()
}

// dated says that text has a string that may be a time: with a digit, and what is written between the numbers of one.
func dated(text []byte) bool {
	s := scanner{text: text}
	for {
		begin := s.at
		switch s.next() {
		case tokenEnd, tokenBroken:
			return false
		case tokenString:
			if found := text[begin:s.at]; bytes.ContainsAny(found, "0123456789") && bytes.ContainsAny(found, ":-/") {
				return true
			}
		}
	}
}
