package mysql

import "slices"

// Servers read text in character_set_client, whose characters are not always what their bytes are in ASCII: those of big5, cp932, gbk, sjis and
// gb18030 may end with the byte of a backslash or a backtick, and in swe7 some of ASCII's punctuation are letters.

// wideCharset says so of the character set of a collation's id.
func wideCharset(id byte) bool {
	switch id {
	case 1, 13, 28, 84, 87, 88, 95, 96, 248, 249, 250:
		return true
	}
	return lettersCharset(id)
}

// wideCharsetName says the same of a character set's name.
func wideCharsetName(name string) bool {
	switch name {
	case "big5", "cp932", "gbk", "sjis", "gb18030", swe7:
		return true
	}
	return false
}

const swe7 = "swe7"

// lettersCharset says whether an id is of a collation of swe7.
func lettersCharset(id byte) bool { return id == 10 || id == 82 }

// wideAsKnown says whether the session brings such a character set to another backend.
func (m *Machine) wideAsKnown() bool {
	if name, ok := m.session.settings.value(clientCharset); ok {
		return wideCharsetName(reported(clientCharset, name))
	}
	return wideCharset(m.info.charset)
}

// letters says whether the session's character set may have letters in place of punctuation.
func (m *Machine) letters() bool {
	if !m.session.wide {
		return false
	}
	name, ok := m.session.settings.value(clientCharset)
	switch {
	case slices.Contains(m.session.asks, clientCharset):
		return true
	case ok:
		return !wideCharsetName(reported(clientCharset, name)) || reported(clientCharset, name) == swe7
	}
	return !wideCharset(m.info.charset) || lettersCharset(m.info.charset)
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
