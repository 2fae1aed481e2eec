package postgres

import (
	"bytes"
	"strings"
)

// settingOp is what one statement does to the settings.
type settingOp struct {
	kind settingOpKind
	setting
}

type settingOpKind uint8

const (
	opSet      settingOpKind = iota
	opReset                  // of one, by name
	opResetAll               // of all but the role
	opDiscard                // DISCARD ALL
)

// settingText is what a text does to the settings if all of it is executed.
type settingText struct {
	ops []settingOp
	// commands is how many of its statements end with the tag SET, RESET or DISCARD ALL.
	commands int
	rolled   int      // how many of ops a ROLLBACK behind them may undo
	unsure   bool     // it may do more than that: the server is asked what is set
	nameless bool     // it may do so to what the server does not tell
	names    []string // of settings with a dot in their names
}

// readSettings reads text, of which classify says that it is about settings.
func readSettings(text []byte, lex lexing) (t settingText) {
	s := scanner{text: text, lex: lex}
	for {
		for s.next() == ';' {
		}
		switch {
		case s.kind == tokenEnd:
			return t
		case s.is("set"):
			t.set(&s)
		case s.is("reset"):
			t.reset(&s)
		case s.is("discard"):
			if s.next(); s.is("all") {
				t.add(settingOp{kind: opDiscard})
			}
		case s.is("rollback"), s.is("abort"):
			t.rolled = len(t.ops)
		}
		for depth := 0; s.kind != tokenEnd && (s.kind != ';' || depth > 0); s.next() {
			switch s.kind {
			case '(', '[':
				depth++
			case ')', ']':
				depth--
			case tokenBroken:
				t.unsure = true
				return t
			case tokenWord, tokenQuoted:
				t.word(&s)
			}
		}
		if s.kind == tokenEnd {
			return t
		}
	}
}

// word looks at a word that is not of a SET or RESET. What set_config is given for a name may come from anywhere, unless it is a
// plain string; UPDATE of pg_settings changes what the server lists.
func (t *settingText) word(s *scanner) {
	switch {
	case s.length == 0:
		t.unsure, t.nameless = true, true
	case string(s.word()) == "pg_settings":
		t.unsure = true
	case string(s.word()) == "set_config":
		t.unsure = true
		ahead := *s
		if ahead.next() != '(' {
			break
		}
		ahead.space()
		begin := ahead.at
		quoted := ahead.next() == tokenString
		name := bytes.Trim(bytes.TrimSpace(ahead.text[begin:ahead.at]), "'")
		if !quoted || len(name) != len(bytes.TrimSpace(ahead.text[begin:ahead.at]))-len("''") || bytes.ContainsAny(name, "\\'") || ahead.next() != ',' {
			t.nameless = true
			break
		}
		t.name(lowered(name))
	}
}

// name notes the name of a setting that is changed. The server does not tell a seed, and of some only a superuser. Other letters than
// ASCII's may be lower case to it where they are not here.
func (t *settingText) name(name string) {
	switch {
	case name == "seed" || secret(name) || strings.ContainsAny(name, `"',{}\`) || strings.ContainsFunc(name, func(r rune) bool { return r >= 0x80 }):
		t.nameless = true
	case strings.Contains(name, "."):
		t.names = append(t.names, name)
	}
}

func (t *settingText) add(op settingOp) {
	t.commands++
	t.ops = append(t.ops, op)
}

// set reads a SET, whose first word s has just read, up to its end.
func (t *settingText) set(s *scanner) {
	begin := s.at - len("set")
	s.next()
	if s.is("session") || s.is("local") {
		local := s.is("local")
		ahead := *s
		if k := ahead.next(); k == '=' || k == '.' || ahead.is("to") {
			t.unsure, t.nameless = true, true // a setting of that name
			t.commands++
			return
		}
		if local {
			t.local()
			return
		}
		s.next()
	}
	word := s.kind == tokenWord
	name, ok := settingName(s)
	if !ok {
		t.unsure, t.nameless = true, true
		return
	}
	t.name(name)
	plain := s.kind == '=' || s.is("to")
	if plain {
		s.next()
	}
	switch {
	case !plain && word && name == "constraints":
		return
	case !plain && word && name == "transaction":
		t.local()
		return
	case !plain && word && name == "time" && s.is("zone"):
		name = "timezone"
		if s.next(); s.is("local") {
			t.toDefault(s, name)
			return
		}
		if s.is("interval") {
			t.unsure = true
		}
	case !plain && word && name == "names":
		name = "client_encoding"
		if s.kind == ';' || s.kind == tokenEnd {
			t.add(settingOp{kind: opReset, setting: setting{name: name}})
			return
		}
	case !plain && word && name == "schema":
		name = "search_path"
	case !plain && word && name == "role":
	case !plain: // CHARACTERISTICS, AUTHORIZATION, XML OPTION, ... FROM CURRENT
		t.unsure = true
	}
	switch name {
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		t.local()
		return
	case authorization, // which changes the role as well
		"datestyle",              // of which one half may be given
		"sort_mem", "vacuum_mem": // other names of settings
		t.unsure = true
	}
	if s.is("default") {
		t.toDefault(s, name)
		return
	}
	t.unsure = t.unsure || !restorable(name)
	sql, ok := statementText(s, begin)
	if t.unsure = t.unsure || !ok; t.unsure {
		t.commands++
		return
	}
	t.add(settingOp{kind: opSet, setting: setting{name, sql}})
}

// toDefault reads over the last word of a SET that is a RESET.
func (t *settingText) toDefault(s *scanner, name string) {
	t.add(settingOp{kind: opReset, setting: setting{name: name}})
	s.next()
	t.unsure = t.unsure || s.kind != ';' && s.kind != tokenEnd
}

// local counts a command that changes nothing beyond its transaction.
func (t *settingText) local() { t.commands++ }

// reset reads a RESET, whose first word s has just read.
func (t *settingText) reset(s *scanner) {
	s.next()
	switch {
	case s.is("all"):
		t.add(settingOp{kind: opResetAll})
		s.next()
		return
	case s.is("time"):
		t.add(settingOp{kind: opReset, setting: setting{name: "timezone"}})
		s.next() // ZONE
		s.next()
		return
	case s.is("session"), s.is("transaction"), s.is("xml"), s.is("schema"):
		t.unsure = true
		return
	}
	name, ok := settingName(s)
	switch {
	case !ok, name == authorization, name == "sort_mem", name == "vacuum_mem":
		t.unsure = true
	default:
		t.add(settingOp{kind: opReset, setting: setting{name: name}})
	}
}

// settingName reads the name whose first part s has just read, in lower case, and the token behind it. ok is false if the name
// is not to be seen.
func settingName(s *scanner) (name string, ok bool) {
	for {
		if s.kind != tokenWord && s.kind != tokenQuoted || s.length == 0 {
			return "", false
		}
		name += lowered(s.word())
		if s.next() != '.' {
			return name, true
		}
		name += "."
		s.next()
	}
}

// statementText moves s to the end of its statement and returns the text from begin on without comments, if it means the same
// whatever else is set: it has no backslash and no U& (standard_conforming_strings), and nothing that depends on the encoding.
func statementText(s *scanner, begin int) (sql string, ok bool) {
	var text []byte
	copied := begin // up to here
	for s.kind != ';' && s.kind != tokenEnd && s.kind != tokenBroken {
		end := s.at
		if !s.space() {
			return "", false
		}
		if gap := s.text[end:s.at]; len(bytes.TrimSpace(gap)) > 0 { // a comment
			text = append(append(text, s.text[copied:end]...), ' ')
			copied = s.at
		}
		s.next()
	}
	if s.kind == tokenBroken {
		return "", false
	}
	end := s.at
	if s.kind == ';' {
		end--
	}
	text = bytes.TrimSpace(append(text, s.text[copied:end]...))
	for i, c := range text {
		if c >= 0x80 || c < ' ' && !isBlank(c) || c == '\\' || c == '&' || c == '$' && i > 0 && text[i-1] == '$' {
			return "", false
		}
	}
	return string(text), true
}

// apply returns the settings of a connection that had before, after ops.
func apply(before *settings, ops []settingOp) []setting {
	list := append([]setting(nil), before.all()...)
	for _, op := range ops {
		switch op.kind {
		case opSet:
			list = append(without(list, op.name), op.setting)
		case opReset:
			list = without(list, op.name)
		case opResetAll:
			kept := list[:0]
			for _, e := range list {
				if isIdentity(e.name) {
					kept = append(kept, e)
				}
			}
			list = kept
		case opDiscard:
			list = list[:0]
		}
	}
	return list
}

// without takes a setting out of list.
func without(list []setting, name string) []setting {
	for i, e := range list {
		if e.name == name {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}
