package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestPunctuationThatMayBeLettersHidesNothing(t *testing.T) {
	for charset, want := range map[byte]bool{10: true, 82: true, 8: false, 45: false, 28: false} {
		r := newRig(t, modernClient)
		r.m.become(sessionInfo{key: r.m.info.key, capabilities: modernClient, charset: charset})
		if got := r.m.letters(); got != want {
			t.Errorf("charset %d: %v", charset, got)
		}
		for _, text := range []string{"SET @a[ = 1", "SELECT @a{ := 1", "SET @a@b = 1", "SELECT f}(1)", "SELECT a ^ f(1)"} {
			c := r.m.classify(packet{bytes: query(text), size: len(query(text))}, []byte(text))
			const certain = 1<<engine.KindUnknown | 1<<engine.KindUserVariable
			if got := c.kinds&certain != 0; got != want {
				t.Errorf("charset %d: %s: %b", charset, text, c.kinds)
			}
		}
		for _, text := range []string{"SET @a = @b", "SELECT a, `b` FROM c.d WHERE e <> '{[}]'"} {
			if c := r.m.classify(packet{bytes: query(text), size: len(query(text))}, []byte(text)); c.kinds&bit(engine.KindUnknown) != 0 {
				t.Errorf("charset %d: %s: %b", charset, text, c.kinds)
			}
		}
	}
}

// A statement is hidden from whoever takes the second byte of a character for what it is in ASCII.
func TestCharactersOfTwoBytesHideNothing(t *testing.T) {
	for text, hidden := range map[string]bool{
		"SELECT '\x95\x5c'; KILL 5": true, "SELECT '\x95\x5c', '; KILL 5 '": false, "SELECT '\\\x95\x5c'; KILL 5": false,
		"SELECT '\\\x95\x5c''; KILL 5": true, "SELECT 1 AS \x95`; KILL 5 -- `": true, "SELECT 1 AS `\x95`; KILL 5 -- `": false, "SELECT 1 AS `\x95``; KILL 5": true,
		"SELECT '\x95\x95\x5c'; KILL 5 -- '": false, "SELECT '\x95\x95\x95\x5c'; KILL 5": true, "SELECT '\x95'; KILL 5": true,
		"SELECT 1 AS a\x95\x5c; KILL 5": true, "SELECT t.\x95\x5c FROM t": false,
	} {
		for charset, name := range map[byte]string{13: "sjis", 95: "cp932", 28: "gbk", 248: "gb18030"} {
			r := newRig(t, modernClient)
			r.m.become(sessionInfo{key: r.m.info.key, capabilities: modernClient, charset: charset})
			c := r.m.classify(packet{bytes: query(text), size: len(query(text))}, []byte(text))
			if got := c.has(classKillOther); got != hidden {
				t.Errorf("%s: %q: %v", name, text, got)
			}
			if c.kinds&bit(engine.KindUnknown) != 0 && !strings.Contains(text, "KILL") {
				t.Errorf("%s: %q is in doubt", name, text)
			}
		}
	}
	for text, doubt := range map[string]bool{
		"SELECT @\x95`a`; DO 1 -- `": true, "SELECT @a.\x95\x5c": true, "SELECT @a, \x95\x5c": false, "SELECT '\xb5\x5c'": false, "SELECT '\xb5\x5c": true,
	} {
		r := newRig(t, modernClient)
		r.m.become(sessionInfo{key: r.m.info.key, capabilities: modernClient, charset: 28})
		if got := r.m.classify(packet{bytes: query(text), size: len(query(text))}, []byte(text)).kinds&bit(engine.KindUnknown) != 0; got != doubt {
			t.Errorf("%q: %v", text, got)
		}
	}
	r := newRig(t, modernClient)
	r.m.become(sessionInfo{key: r.m.info.key, capabilities: modernClient, charset: 28})
	r.m.session.asks = []string{clientCharset}
	text := "SELECT '\x95\x5c'; KILL 5"
	if c := r.m.classify(packet{bytes: query(text), size: len(query(text))}, []byte(text)); c.kinds&bit(engine.KindUnknown) == 0 {
		t.Error("no doubt though the character set is not known")
	}
}

func TestANameIsToldInTheCharacterSetThatServersReportItIn(t *testing.T) {
	r := newRig(t, modernClient)
	with := func(charset string) {
		base, _ := (*settings)(nil).with(clientCharset, charset)
		r.pool = &engine.Backend{ID: 1, State: &backendState{id: 77, arm: trackers, base: base}}
		r.m.Granted(r.Borrow(engine.Want{}), r.wire)
		r.backend = nil
	}
	for _, c := range []struct {
		charset, name string
		want          []byte
	}{
		{"utf8mb4", "dä", command(2, "dä")},
		{"latin1", "d", command(2, "d")},
		{"swe7", "d[", append(append(query("SET @@SESSION.character_set_client='utf8mb4'"), command(2, "d[")...),
			query("SET @@SESSION.character_set_client='swe7'")...)},
		{"latin1", "dä", append(append(query("SET @@SESSION.character_set_client='utf8mb4'"), command(2, "dä")...),
			query("SET @@SESSION.character_set_client='latin1'")...)},
		{"latin1 latin1_bin", "dä", append(append(query("SET @@SESSION.character_set_client='utf8mb4'"), command(2, "dä")...),
			query("SET NAMES 'latin1' COLLATE 'latin1_bin', @@SESSION.character_set_results=DEFAULT, @@SESSION.collation_connection=DEFAULT")...)},
	} {
		with(c.charset)
		r.m.sendSchema(c.name, purposeSchema, r.wire)
		if got := string(r.backend); got != string(c.want) {
			t.Errorf("%s in %s: %q", c.name, c.charset, got)
		}
		r.held = nil
		r.m.forget()
	}
}

func TestBytesThatMayBeWhiteSpaceHideNothing(t *testing.T) {
	for _, c := range []struct {
		charset byte
		text    string
		unknown bool
	}{
		{8, "SELECT 1 x\xa0INTO @a", true}, {8, "SELECT\xa01", true}, {40, "SELECT\xff1", true}, {8, "SELECT '\xa0'", false}, {8, "SELECT \xe9", false},
		{45, "SELECT 1 \xc3\xa0INTO", false}, {33, "SELECT \xc3\xa0", false}, {63, "SELECT \xa0", false}, {28, "SELECT \xb0\xa0", false},
		{45, "SELECT 1 --\x7f'\nINTO @a -- '", true}, {8, "SELECT 1 --\xa0'\nINTO @a -- '", true}, {45, "SELECT 1--1", false},
	} {
		r := newRig(t, modernClient)
		r.m.become(sessionInfo{key: r.m.info.key, capabilities: modernClient, charset: c.charset})
		got := r.m.classify(packet{bytes: query(c.text), size: len(query(c.text))}, []byte(c.text)).kinds&bit(engine.KindUnknown) != 0
		if got != c.unknown {
			t.Errorf("charset %d: %q: unknown %v", c.charset, c.text, got)
		}
	}
	r := newRig(t, modernClient)
	r.m.become(sessionInfo{key: r.m.info.key, capabilities: modernClient, charset: 45})
	for name, want := range map[string]bool{"latin1": true, "cp852": true, "swe7": true, "utf8mb3": false, "utf8mb4": false, "gbk": false, "binary": false} {
		r.m.session.settings, _ = (*settings)(nil).with(clientCharset, name)
		if got := r.m.spaced(); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Servers leave the beginning of a character out of a name.
func TestHalfACharacterBehindANameHidesNothing(t *testing.T) {
	for text, want := range map[string]class{
		"SELECT GET_LOCK\xc2('a', 0)": {kinds: bit(engine.KindNamedLock)}, "SELECT row_count\xf0\x9f()": {flags: classPrevious}, "SELECT @@warning_count\xc2": {flags: classDiagnostics},
		"SELECT LAST_INSERT_ID\xe4\xb8(5)": {flags: classSetsInsertID}, "SELECT connection_id\x81\x30\x81()": {kinds: bit(engine.KindConnectionID)}, "SET sql_mode\xc2 = ''": {kinds: bit(engine.KindSetting)},
		"SELECT größe, order\xc3\xbc, get\xc3\xa9, count\xc3 FROM t": {}, "SELECT connection_id\xe3\x81()": {kinds: bit(engine.KindConnectionID)}, "SELECT connection_id\xe3x()": {kinds: bit(engine.KindConnectionID)}, "SELECT connection_id\x810M()": {kinds: bit(engine.KindConnectionID)},
	} {
		for _, charset := range []string{"utf8mb4", "gb18030"} {
			m := &Machine{e: &Engine{}}
			m.session.settings, _ = (*settings)(nil).with(clientCharset, charset)
			m.session.wide = wideCharsetName(charset)
			c := m.classify(packet{bytes: query(text), size: len(query(text))}, []byte(text))
			harmless := want.kinds|uint32(want.flags) == 0
			if c.kinds&want.kinds != want.kinds || c.flags&want.flags != want.flags || harmless && c.kinds != 0 {
				t.Errorf("%s: %q: %v, flags %b", charset, text, kindsOf(c), c.flags)
			}
		}
	}
}
