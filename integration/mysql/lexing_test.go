package mysql

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
	engines "github.com/berthdb/berth/engines/mysql"
)

var everyByte = flag.Bool("every-byte", false, "try every byte in every character set and sql_mode: some 20 minutes")

// places are texts with a gap. Whatever byte stands there: where the server then sets @hidden or takes the lock 'hidden', the scan must say so.
var places = []string{
	// Between tokens, and inside of names.
	"{}select 1 into @hidden", "select{}1 into @hidden", "select 1{}into @hidden", "select 1 {}into @hidden", "select 1 as a{}into @hidden",
	"select 1 as {}into @hidden", "select 1 as a {} into @hidden", "select 1 as a{}a into @hidden", "select 1 into{}@hidden", "select 1 into @{}hidden", "select 1 into @hidden{}",
	"select 1 into @hidden;{}", "select get_lock{}('hidden', 0)", "select{}get_lock('hidden', 0)", "select 1 +{}get_lock('hidden', 0)", "do{}get_lock('hidden', 0)", "set{}@hidden = 1",
	"set @hidden{}= 1", "set @{}hidden = 1", "set @a = 1,{}@hidden = 1", "set @a{}= 1, @hidden = 1", "set @a = '{}', @hidden = 1",
	"select 1;{}set @hidden = 1", "select 1 {} set @hidden = 1", "select 1 as a{}; set @hidden = 1", "select @a :={}1 into @hidden", "select 1 into @a,{}@hidden", "select 1, 2 into @a{},@hidden",
	"select get{}_lock('hidden', 0)", "select get_lock{}{}('hidden', 0)", "select `get_lock{}`('hidden', 0)", "select 1 into {}@hidden",
	// Comments.
	"select 1 --{}into @hidden", "select 1 --{}'\ninto @hidden -- '", "select 1 --{}\n'\ninto @hidden -- '", "select 1 -- {}into @hidden", "select 1 -- {}'\ninto @hidden -- '",
	"select 1 #{}into @hidden", "select 1 #{}'\ninto @hidden -- '", "select 1 {}-- '\ninto @hidden -- '", "select 1 -{}- '\ninto @hidden -- '", "select 1 {}# '\ninto @hidden -- '",
	"select 1 -- a {} into @hidden", "select 1 # a {} into @hidden", "select 1 -- {}\ninto @hidden", "select 1 as a{}-- '\ninto @hidden -- '",
	"select 1 /*{}*/ into @hidden", "select 1 /*{} into @hidden */", "select 1 /*{}! into @hidden */", "select 1 /{}* into @hidden */", "select 1 /*{}'*/ into @hidden -- '",
	"select 1 /* '{}/ into @hidden -- '", "select 1 /* ' *{}/ into @hidden -- '*/", "select 1 /*! {}*/ into @hidden", "select 1 /*!{}into @hidden */", "select 1 /*!{} into @hidden */",
	"select 1 /*!50000{}into @hidden */", "select 1 /*!050000{}into @hidden */", "select 1 /*!5000{}0 into @hidden */", "select 1 /*!50{}000 into @hidden */", "select 1 /*!99999{}*/ into @hidden -- */",
	"select 1 /*!99999 {} */ into @hidden -- */", "select 1 /*!99999 '{}*/ into @hidden -- '*/", "select 1 /*!999999{}'*/ into @hidden -- '*/", "select 1 /*M!{} into @hidden */", "select 1 /*M{}! into @hidden */",
	"select 1 /*M!100000{}into @hidden */", "select 1 /*!50000 '{}*/, ' into @hidden -- */", "select 1 /*!50000 /*{} */ into @hidden */", "select 1 /*!99999 /*{} */ into @hidden */",
	"select 1 /*!99999 /* */ '{} */ into @hidden -- '", "/*{}*/ select 1 into @hidden", "/*!{}*/ select 1 into @hidden", "select 1 /*{}", "select 1 into @hidden /*{}",
	// Strings and quoted names.
	"select 'a{}' into @hidden -- '", "select 'a{}'' into @hidden -- '", "select 'a{}\\' into @hidden -- '", "select '{}\\\\' into @hidden -- '", "select 'a\\{}' into @hidden -- '",
	"select 'a'{}'b' into @hidden", "select {}'a' into @hidden", "select {}'a\\' into @hidden -- '", "select a{}'a' into @hidden", "select 'a{}\\'' into @hidden -- '", "select 'a\\{}\\' into @hidden -- '",
	"select 1 as \"a{}\" into @hidden -- \"", "select 1 as \"a{}\"\" into @hidden -- \"", "select 1 as \"a{}\\\" into @hidden -- \"", "select 1 as \"a\\{}\" into @hidden -- \"",
	"select 1 as `a{}` into @hidden -- `", "select 1 as `a{}`` into @hidden -- `", "select 1 as `a{}\\` into @hidden -- `", "select 1 as `a\\{}` into @hidden -- `", "select 1 as {}`a` into @hidden",
	"select 1 as a{}` into @hidden -- `", "select 1 as a{}' into @hidden -- '", "select 1 as a{}\" into @hidden -- \"", "select 1 as `{} into @hidden -- `", "select '{} into @hidden -- '", "select 1 as a{}\\' into @hidden -- '",
	"select 1 as `a` {} into @hidden -- `", "select 'a' {} into @hidden -- '", "select @`a{}` into @hidden -- `", "select @`a{}`` into @hidden -- `", "select @'a{}\\' into @hidden -- '", "select @\"a{}\" into @hidden -- \"",
	// Variables.
	"select @a{}into @hidden", "select @{}into @hidden", "select @a{}, 1 into @hidden, @b", "select @@version{}into @hidden", "select @@{}version into @hidden", "select @@session{}version into @hidden", "select @a.{}into @hidden",
	"select @a{}`a` into @hidden -- `", "select @{}` into @hidden -- `", "select @{}' into @hidden -- '", "select @a{}' into @hidden -- '", "select @@{}`version` into @hidden -- `", "select @@version{}' into @hidden -- '", "select @a{}-- '\ninto @hidden -- '",
	"select @a{}# '\ninto @hidden -- '", "select @a{}/* ' */ into @hidden -- '", "select @a{}\\' into @hidden -- '",
	// Numbers and what has a prefix.
	"select 1e{}into @hidden", "select 1e5{}into @hidden", "select 1e+{}into @hidden", "select 1e+5{}into @hidden", "select 1{}5into @hidden", "select {}5into @hidden", "select 1.{}into @hidden", "select 1.5{}into @hidden", "select 1.5e5{}into @hidden",
	"select 1.5e{}5into @hidden", "select .5e{}into @hidden", "select 0x{}into @hidden", "select 0x1f{}into @hidden", "select 0{}1f into @hidden", "select 0b1{}into @hidden", "select x'1{}' into @hidden", "select x{}'11' into @hidden", "select x'11'{}into @hidden",
	"select b'1{}' into @hidden", "select n'a{}' into @hidden", "select n{}'a\\' into @hidden -- '", "select n'{}\\' into @hidden -- '", "select _latin1{}'a' into @hidden", "select _latin1'a{}' into @hidden -- '", "select _latin1'{}\\' into @hidden -- '",
	"select _gbk'{}\\' into @hidden -- '", "select _latin1 {}'a\\' into @hidden -- '", "select {}n into @hidden", "select \\{}into @hidden", "select \\n{}into @hidden", "select \\N{}into @hidden", "select 1 as a\\{}into @hidden", "select 1\\{}into @hidden",
	"select 12{}into @hidden", "select 1.5e5{}' into @hidden -- '", "select 1e5{}# '\ninto @hidden -- '", "select 1{}.5into @hidden", "select 1 as 1{}into @hidden", "select 1 as 1a{}into @hidden", "select (1){}into @hidden", "select 1*{}5into @hidden",
	"select 1 into 1.5e{}@hidden", "select get_lock 1.5e{}('hidden', 0)", "select 2 1.5e{}- + get_lock('hidden', 0)", "select 2 1.5e{}-- + get_lock('hidden', 0)", "select 1.5e+{}5into @hidden", "select 1/**/{}5into @hidden",
	"select 7, \\{}into @hidden, @a", "select 7, 1.5{}\\Ninto @hidden, @a, @b", "set sql_mode = (select 1.5{}into @hidden)", "select 7, '\\{}N'into @hidden, @a",
	"select get_lock{}x('hidden', 0)", "select get_lock\x81{}\x81('hidden', 0)", "select get_lock\x81\x30{}('hidden', 0)", "select get_lock\xe3\x81{}('hidden', 0)", "select \x81{}get_lock('hidden', 0)",
	// Dollars, braces and the like.
	"select $${}$$ into @hidden -- $$", "select $a{}$ ' $a{}$ into @hidden -- '", "create function if not exists lexing() returns int language javascript as ${}$ ' ${}$; set @hidden = 1; -- '",
	"create function if not exists lexing() returns int language javascript as $${}' $$; set @hidden = 1; -- '", "create function if not exists lexing() returns int language javascript as $a{}' $a{}; set @hidden = 1; -- '",
	"select 1 as ${}into @hidden", "select 1 as a${}into @hidden", "select 1 as $$ {} into @hidden -- $$", "select {}$$ ' $$ into @hidden -- '", "select { d '2000-01-01' {}} into @hidden",
	"select 1 {}| 1 into @hidden", "select 1 & {}1 into @hidden", "select 1 <{}> 1 into @hidden", "select 1 !{}= 1 into @hidden", "select 1 :{}= 1 into @hidden", "select 1 {}:= 1 into @hidden", "select 'a' ->{}'$' into @hidden",
}

// modes are those that change how text is read.
var modes = []string{"", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "IGNORE_SPACE,PIPES_AS_CONCAT", "HIGH_NOT_PRECEDENCE,ORACLE"}

// telling are character sets that differ in what they do to ASCII, and telling bytes those of which servers, or some character set, make something.
var telling = []string{"utf8mb4", "latin1", "gbk", "gb18030", "sjis", "big5", "swe7", "cp852", "ujis"}

func tellingByte(b byte) bool {
	switch {
	case b >= 0x80:
		return strings.IndexByte("\x80\x81\x8f\xa0\xa1\xc2\xe3\xf0\xfc\xff", b) >= 0
	case b >= '0' && b <= '9', b|0x20 >= 'a' && b|0x20 <= 'z':
		return strings.IndexByte("05enxbMN", b) >= 0
	}
	return b == 0 || b >= '\t' && b <= '\r' || b == 0x1a || b >= ' '
}

func TestWhateverAByteIsToTheServerTheScanMissesNothing(t *testing.T) {
	shared(t, func(t *testing.T, f front) {
		l := &lexing{wire: f.direct(t, multi), mariaDB: f.mariaDB()}
		l.found(t)
		charsets := telling
		if *everyByte {
			charsets = l.charsets(t)
		}
		for _, charset := range charsets {
			for i, mode := range modes {
				if strings.Contains(mode, "ORACLE") && !f.mariaDB() || i > 0 && !slices.Contains(telling[:3], charset) && !*everyByte {
					continue
				}
				if !l.begin(t, charset, mode) {
					break // clients cannot have it
				}
				l.tryAll(t)
			}
		}
		l.do(t, "drop function if exists lexing")
		t.Logf("%d texts, %d of which the scan found nothing, %d of them were run", l.all, l.quiet, l.ran)
		if l.ran < l.all/20 {
			t.Error("too few texts were run: what is tried is nonsense")
		}
	})
}

// lexing compares what a server makes of texts with what the scan does.
type lexing struct {
	*wire
	mariaDB bool
	reading engines.Reading
	mode    string
	waiting []string
	asks    [2]statement

	all, quiet, ran int
}

func (l *lexing) charsets(t *testing.T) (names []string) {
	for _, r := range l.must(t, "show character set") {
		for _, row := range r.rows {
			names = append(names, row[0])
		}
	}
	return names
}

// begin sets what texts are read in. It returns false if clients cannot have the character set.
func (l *lexing) begin(t *testing.T, charset, mode string) bool {
	l.mode = mode
	l.do(t, "set names utf8mb4")
	l.do(t, "set sql_mode = '"+mode+"'")
	l.reading = engines.Reading{Charset: charset, LiteralBackslash: strings.Contains(mode, "NO_BACKSLASH"), Version: l.version, MariaDB: l.mariaDB}
	return !strings.HasPrefix(l.outcome("set names "+charset), "error")
}

// found says whether something is left, and clears it away.
func (l *lexing) found(t *testing.T) bool {
	t.Helper()
	for i, query := range [...]string{"select @hidden is not null or ifnull(is_used_lock('hidden') = connection_id(), 0)", "select release_all_locks(), @hidden := null"} {
		if l.asks[i].id == 0 { // prepared once, in the character set that the client has come with: swe7 has no @
			s, err := l.prepare(query)
			if err != nil {
				t.Fatal(err)
			}
			l.asks[i] = s
		}
	}
	all, err := l.execute(l.asks[0], 0)
	if err != nil || all[0].err != nil {
		t.Fatal(err, all)
	}
	if all[0].rows[0][0] == "0" {
		return false
	}
	if all, err := l.execute(l.asks[1], 0); err != nil || all[0].err != nil {
		t.Fatal(err, all)
	}
	return true
}

// missed says whether the scan says nothing of what a text may do to @hidden and the lock.
func (l *lexing) missed(text string) bool {
	e := engines.ExplainAs([]byte(text), l.reading)
	return !slices.Contains(e.Leaves, engine.KindUnknown) && !slices.Contains(e.Leaves, engine.KindUserVariable) && !slices.Contains(e.Leaves, engine.KindNamedLock) &&
		!slices.Contains(e.Variables, "@hidden")
}

// tryAll tries every byte in every place.
func (l *lexing) tryAll(t *testing.T) {
	for b := range 256 {
		if !*everyByte && !tellingByte(byte(b)) {
			continue
		}
		for _, text := range places {
			l.try(t, strings.ReplaceAll(text, "{}", string([]byte{byte(b)})))
		}
	}
	l.flush(t)
}

func (l *lexing) try(t *testing.T, text string) {
	l.all++
	if !l.missed(text) {
		return
	}
	l.quiet++
	if l.waiting = append(l.waiting, text); len(l.waiting) == 100 {
		l.flush(t)
	}
}

// flush runs what waits at once, and if something is left, one after the other.
func (l *lexing) flush(t *testing.T) {
	t.Helper()
	l.run(t, l.waiting)
	if l.found(t) {
		for _, text := range l.waiting {
			if got := l.outcome(text); l.found(t) {
				t.Errorf("%s, sql_mode %q: %q: %s", l.reading.Charset, l.mode, text, got)
			}
		}
	}
	l.waiting = l.waiting[:0]
}

func (l *lexing) run(t *testing.T, texts []string) {
	t.Helper()
	var all []byte
	for _, text := range texts {
		n := len(text) + 1
		all = append(append(all, byte(n), byte(n>>8), 0, 0, protocol.COM_QUERY), text...)
	}
	if _, err := l.Write(all); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		l.seq = 1
		for more := true; more; {
			r, err := l.result(false)
			if err != nil {
				t.Fatal(fmt.Errorf("%q (%d): %w", text, i, err))
			}
			if r.err == nil {
				l.ran++
			}
			more = r.err == nil && r.status&protocol.SERVER_MORE_RESULTS_EXISTS != 0
		}
	}
}
