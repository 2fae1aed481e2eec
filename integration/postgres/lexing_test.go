package postgres

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	engines "github.com/berthdb/berth/engines/postgres"
	"github.com/berthdb/berth/integration/harness"
)

var everyByte = flag.Bool("every-byte", false, "try every byte in every encoding")

// places are texts with a gap. Whatever stands there: where the server then sets lexing.hidden, the scan must say so.
var places = []string{
	// Between tokens, and inside of names.
	"{}set lexing.hidden = 1", "set{}lexing.hidden = 1", "set lexing{}.hidden = 1", "set lexing.{}hidden = 1", "set lexing.hidden{}= 1", "set lexing.hidden ={}1", "set lexing.hidden = 1{}", "select 1;{}set lexing.hidden = 1", "select 1{};set lexing.hidden = 1",
	"select 1 as a{};set lexing.hidden = 1", "select{}set_config('lexing.hidden', '1', false)", "select set_config{}('lexing.hidden', '1', false)", "select set{}_config('lexing.hidden', '1', false)", "select 1 as {};set lexing.hidden = 1",
	"select pg_catalog{}.set_config('lexing.hidden', '1', false)", "select pg_catalog.{}set_config('lexing.hidden', '1', false)", "select pg_catalog.\"set_config{}\"('lexing.hidden', '1', false)", "select \"set_config\"{}('lexing.hidden', '1', false)",
	"select u&\"set\\005fconfig\"{}('lexing.hidden', '1', false)", "select u&{}\"set\\005fconfig\"('lexing.hidden', '1', false)", "select u{}&\"set\\005fconfig\"('lexing.hidden', '1', false)", "select u&\"set!005fconfig\"{}uescape{}'!'('lexing.hidden', '1', false)",
	"select u&\"set!005fconfig\" uescape '{}'('lexing.hidden', '1', false)", "select 1 as u&\"a\" uescape{}'\\' ;set lexing.hidden = 1 --'", "select u&'a' uescape '{}';set lexing.hidden = 1 --'", "select 1 as u&\"{}\";set lexing.hidden = 1 --\"",
	"select 1 {} set lexing.hidden = 1", "do{}$$begin perform set_config('lexing.hidden', '1', false); end$$", "select (1{});set lexing.hidden = 1", "select array[1{}];set lexing.hidden = 1",
	// Comments.
	"select 1 --{};set lexing.hidden = 1", "select 1 -{}-;set lexing.hidden = 1", "select 1 -- {}'\n;set lexing.hidden = 1 --'", "select 1 {}-- '\n;set lexing.hidden = 1 --'", "select 1 --{}'\r;set lexing.hidden = 1 --'", "select 1 -- a {} ;set lexing.hidden = 1",
	"select 1 /*{}*/;set lexing.hidden = 1", "select 1 /*{};set lexing.hidden = 1 --*/", "select 1 /{}*;set lexing.hidden = 1 --*/", "select 1 /*'{}*/;set lexing.hidden = 1 --'", "select 1 /* /*{}*/ ';set lexing.hidden = 1 --'*/", "select 1 /*/{}*/ ;set lexing.hidden = 1 --*/",
	"select 1 /* *{}/;set lexing.hidden = 1 --*/", "select 1 /* /{}* */;set lexing.hidden = 1 --*/", "select 1 /*{}/* */;set lexing.hidden = 1 --*/ */", "select 1 /* */{}*/;set lexing.hidden = 1 --*/", "select 1 /* **{}/;set lexing.hidden = 1 --*/", "/*{}*/set lexing.hidden = 1",
	"select 1 #{}'\n;set lexing.hidden = 1 --'", "select 1 +{}-- '\n 1;set lexing.hidden = 1 --'", "select 1 *{}/* ' */ 1;set lexing.hidden = 1 --'", "select 1 {}-1;set lexing.hidden = 1", "select 1 -{}/* ' */ 1;set lexing.hidden = 1 --'", "select 1 @{}-- '\n;set lexing.hidden = 1 --'",
	// Strings.
	"select '{}';set lexing.hidden = 1 --'", "select '{}'';set lexing.hidden = 1 --'", "select '{}\\';set lexing.hidden = 1 --'", "select '\\{}';set lexing.hidden = 1 --'", "select '{}\\\\';set lexing.hidden = 1 --'", "select 'a'{}'b';set lexing.hidden = 1",
	"select 'a'{}\n'b\\';set lexing.hidden = 1 --'", "select 'a'\n{}'b\\';set lexing.hidden = 1 --'", "select e'a'\n{}'b\\';set lexing.hidden = 1 --'", "select e'a'{}\n'b\\';set lexing.hidden = 1 --'", "select e'a'{}'b\\';set lexing.hidden = 1 --'", "select e'a'--{}'\n'b\\';set lexing.hidden = 1 --'",
	"select e'a'\n--{}\n'b\\';set lexing.hidden = 1 --'", "select e'a' /*{}*/\n'b\\';set lexing.hidden = 1 --'", "select 'a'\n--{}\r'b\\';set lexing.hidden = 1 --'", "select e'a'\n--{}'b\\';set lexing.hidden = 1 --'", "select u&'a'\n{}'b\\';set lexing.hidden = 1 --'", "select 'a'\n-{}'b\\';set lexing.hidden = 1 --'",
	"select e'a'\n-{}-'\n'b\\';set lexing.hidden = 1 --'", "select e{}'a\\';set lexing.hidden = 1 --'", "select e'{}\\';set lexing.hidden = 1 --'", "select e'\\{}';set lexing.hidden = 1 --'", "select E'{}\\\\';set lexing.hidden = 1 --'", "select e'\\x{}';set lexing.hidden = 1 --'",
	"select {}'a\\';set lexing.hidden = 1 --'", "select 1 as {}'a\\';set lexing.hidden = 1 --'", "select b'{}';set lexing.hidden = 1 --'", "select b'1\\{}';set lexing.hidden = 1 --'", "select x'1{}';set lexing.hidden = 1 --'", "select n'a{}\\';set lexing.hidden = 1 --'", "select n{}'a\\';set lexing.hidden = 1 --'",
	"select u&'a{}\\';set lexing.hidden = 1 --'", "select u&{}'a\\';set lexing.hidden = 1 --'", "select u{}&'a\\';set lexing.hidden = 1 --'", "select {}&'a\\';set lexing.hidden = 1 --'", "select a{}'a\\';set lexing.hidden = 1 --'", "select text{}'a\\';set lexing.hidden = 1 --'", "select 1{}'a\\';set lexing.hidden = 1 --'",
	"select u&'a' uescape'{}\\';set lexing.hidden = 1 --'", "select x'1'\n{}'\\';set lexing.hidden = 1 --'", "select e'\\u004{}';set lexing.hidden = 1 --'", "select 'a{}'::text;set lexing.hidden = 1", "select e'a\\'{}';set lexing.hidden = 1 --'",
	// Quoted names.
	"select 1 as \"{}\";set lexing.hidden = 1 --\"", "select 1 as \"{}\"\";set lexing.hidden = 1 --\"", "select 1 as \"{}\\\";set lexing.hidden = 1 --\"", "select 1 as \"a\\{}\";set lexing.hidden = 1 --\"", "select 1 as a{}\";set lexing.hidden = 1 --\"", "select 1 as u&\"{}\\\";set lexing.hidden = 1 --\"",
	"select 1 as \"a\"{}\"b\";set lexing.hidden = 1", "select 1 as u{}&\"a\\\";set lexing.hidden = 1 --\"",
	// Dollars.
	"select ${}$;set lexing.hidden = 1 --$$", "select $${}$;set lexing.hidden = 1 --$$", "select $${}$$;set lexing.hidden = 1 --$$", "select $a{}$ ' $a{}$;set lexing.hidden = 1 --'", "select $a$ ' $a{}$;set lexing.hidden = 1 --$a$", "select ${}a$ ' $a$;set lexing.hidden = 1 --'", "select ${}a$ ' ${}a$;set lexing.hidden = 1 --'",
	"select {}$$ ' $$;set lexing.hidden = 1 --'", "select 1 as a{}$$ ' $$;set lexing.hidden = 1 --'", "select 1{}$$ ' $$;set lexing.hidden = 1 --'", "select $1{}$$ ' $$;set lexing.hidden = 1 --'", "select $a{}$a$ ' $a$;set lexing.hidden = 1 --'", "select $$ '{}$$;set lexing.hidden = 1 --'", "select $a$ $a{}a$ $a$;set lexing.hidden = 1 --$a$",
	"select $$ $${}';set lexing.hidden = 1 --'", "select $a$ $a$a{};set lexing.hidden = 1 --$a$", "do ${}$ begin perform 1; end ${}$;set lexing.hidden = 1", "select $\xc3\xa4{}$ ' $\xc3\xa4{}$;set lexing.hidden = 1 --'",
	// Numbers and operators.
	"select 1{}set_config('lexing.hidden', '1', false)", "select 1 +{}set_config('lexing.hidden', '1', false)::int", "select 1.{};set lexing.hidden = 1", "select 1_{}0;set lexing.hidden = 1", "select 1_{}e'\\';set lexing.hidden = 1 --'", "select 0x{}f;set lexing.hidden = 1", "select 0x{}'\\';set lexing.hidden = 1 --'",
	"select 1e{}'\\';set lexing.hidden = 1 --'", "select 1.{}e'\\';set lexing.hidden = 1 --'", "select 1{}e'\\';set lexing.hidden = 1 --'", "select 1.5{}into temp lexing_table;set lexing.hidden = 1", "select 1e{}5;set lexing.hidden = 1", "select 1 {}:: int;set lexing.hidden = 1", "select 1 :{}: int;set lexing.hidden = 1", "select (array[1])[1{}:1];set lexing.hidden = 1",
	"select concat(1, {}=> 1);set lexing.hidden = 1", "select 1 {}> 1;set lexing.hidden = 1", "select 1 |{}| 'a';set lexing.hidden = 1", "select 1 operator{}(pg_catalog.+) 1;set lexing.hidden = 1", "select 1 <{}> 1;set lexing.hidden = 1", "select @{}-1;set lexing.hidden = 1", "select 1 ?{} 1;set lexing.hidden = 1",
}

// tellingByte says whether a byte is one of which servers make something, or a letter of some that are like it.
func tellingByte(b byte) bool {
	switch {
	case b >= 0x80:
		return strings.IndexByte("\x80\x81\x84\xa0\xa1\xc2\xe3\xfe\xff", b) >= 0
	case b >= '0' && b <= '9', b|0x20 >= 'a' && b|0x20 <= 'z':
		return strings.IndexByte("01abefnuxEUX", b) >= 0
	}
	return b != 0
}

func TestWhateverAByteIsToTheServerTheScanMissesNothing(t *testing.T) {
	for _, name := range harness.PostgresNames() {
		t.Run(name, func(t *testing.T) {
			s := harness.Shared(t, name)
			l := &lexing{c: conn(t, s.Endpoint, harness.App())}
			encodings := []string{"UTF8", "LATIN1", "GBK"}
			if *everyByte {
				encodings = strings.Fields("UTF8 LATIN1 LATIN2 LATIN5 WIN1252 KOI8R EUC_JP EUC_CN EUC_KR EUC_TW EUC_JIS_2004 MULE_INTERNAL SQL_ASCII SJIS SHIFT_JIS_2004 BIG5 GBK UHC GB18030 JOHAB")
			}
			for _, encoding := range encodings {
				for _, conforming := range []string{"on", "off"} {
					if _, err := asked(t.Context(), l.c, "set client_encoding = "+encoding); err != nil {
						if *everyByte {
							t.Log(err)
						}
						continue // it does not convert it
					}
					ask(t, l.c, "set standard_conforming_strings = "+conforming)
					ask(t, l.c, "set escape_string_warning = off")
					ask(t, l.c, "set client_min_messages = error")
					l.encoding, l.conforming = encoding, conforming
					l.tryAll(t)
				}
			}
			t.Logf("%d texts, %d of which the scan found nothing, %d of them were run", l.all, l.quiet, l.ran)
			if l.ran < l.all/100 {
				t.Error("too few texts were run: what is tried is nonsense")
			}
		})
	}
}

// lexing compares what a server makes of texts with what the scan does.
type lexing struct {
	c                    *pgconn.PgConn
	encoding, conforming string
	waiting              []string

	all, quiet, ran int
}

func (l *lexing) tryAll(t *testing.T) {
	for b := 1; b < 256; b++ {
		if !*everyByte && !tellingByte(byte(b)) {
			continue
		}
		for _, text := range places {
			l.all++
			if text = strings.ReplaceAll(text, "{}", string([]byte{byte(b)})); !l.missed(text) {
				continue
			}
			l.quiet++
			if l.waiting = append(l.waiting, text); len(l.waiting) == 100 {
				l.flush(t)
			}
		}
	}
	l.flush(t)
}

// missed says whether the scan says nothing of what a text may do.
func (l *lexing) missed(text string) bool {
	e := engines.ExplainAs([]byte(text), l.encoding, l.conforming)
	return len(slices.Concat(e.Leaves, e.May, e.Ends)) == 0 && !e.Opaque && !e.Foreign && !e.Garbled && !e.Resets
}

// flush runs what waits at once, and if something is left, one after the other.
func (l *lexing) flush(t *testing.T) {
	t.Helper()
	l.run(t, l.waiting...)
	if l.found(t) {
		for _, text := range l.waiting {
			l.run(t, text)
			if l.found(t) {
				t.Errorf("%s, standard_conforming_strings %s: %q", l.encoding, l.conforming, text)
			}
		}
	}
	l.waiting = l.waiting[:0]
}

func (l *lexing) found(t *testing.T) bool {
	t.Helper()
	if ask(t, l.c, "select coalesce(current_setting('lexing.hidden', true), '') <> ''") == "f" {
		return false
	}
	ask(t, l.c, "set lexing.hidden = ''")
	return true
}

func (l *lexing) run(t *testing.T, texts ...string) {
	t.Helper()
	f := l.c.Frontend()
	for _, text := range texts {
		f.Send(&pgproto3.Query{String: text})
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		for ended := false; !ended; {
			m, err := f.Receive()
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			switch m.(type) {
			case *pgproto3.CommandComplete:
				l.ran++
			case *pgproto3.ReadyForQuery:
				ended = true
			}
		}
	}
}
