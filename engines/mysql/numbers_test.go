package mysql

import (
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// numbers, and NULL, are what may stand before a word, and whether it is over before that.
var numbers = map[string]bool{
	"1": false, "1e": false, "0x5": false, "0b1": false, "0x1e5": false, "1a": false, "1e5e5": false, "1e5": true, "1E5": true, "1e+5": true, "1e-50": true,
	"1.": true, "1.5": true, "1.50": true, "1.e5": true, "1.5e5": true, "1.5E-5": true, ".5": true, ".5e5": true, "1+.5": true, "1 .5": true, "/**/.5": true, "t.5": false, "t.1e5": false,
	"t.u.1e5": false, "t .5": true, "1e.5": false, "1a.5": false, "1.5.5": true, "`t`.1e5": true, "@1e5": false, "@t.1e5": false, "@.1e5": false, "@@1e5": false, "-1e5": true, "1e+": true, `\N`: true, `\n`: false,
}

func TestANumberEndsBeforeAWordWhereServersEndIt(t *testing.T) {
	for number, ends := range numbers {
		for _, size := range []int{1, 2, 3, 1000} {
			text := []byte("SELECT " + number + "INTO @hidden")
			l := lexer{}
			for rest := text; len(rest) > 0; rest = rest[min(size, len(rest)):] {
				l.feed(rest[:min(size, len(rest))])
			}
			c := l.finish()
			if got := c.kinds&bit(engine.KindUserVariable) != 0; got != ends || c.kinds&bit(engine.KindUnknown) != 0 {
				t.Errorf("%s in pieces of %d: over %v, unknown %v", text, size, got, c.kinds&bit(engine.KindUnknown) != 0)
			}
		}
		r := actReader{rest: []byte("SELECT " + number + "INTO @hidden")}
		into := false
		for p := r.next(); p.kind != tokenNone; p = r.next() {
			into = into || p.is("INTO")
		}
		if into != ends {
			t.Errorf("%s: read as pieces: over %v", number, into)
		}
	}
}

func TestNonsenseBehindAFractionIsUnknown(t *testing.T) {
	for _, text := range []string{"SELECT 1 INTO 1.5e@hidden", "SELECT 1 1.5e-- + GET_LOCK('a', 0)", "SELECT GET_LOCK 1.5e('a', 0)", "SELECT 1 INTO .5e+@hidden", "SELECT 1.e,2"} {
		if c := scan([]byte(text), false, false); c.kinds&bit(engine.KindUnknown) == 0 {
			t.Errorf("%s: %v", text, kindsOf(c))
		}
	}
}

func TestNumbersInAnExecutableCommentAreTwoTokens(t *testing.T) {
	mysql := lexer{dialect: dialect{version: 90704}}
	for _, text := range []string{"SELECT 1 +/*!500001e5INTO @hidden */", "SELECT 1 +/*!501e5INTO @hidden */", "SELECT 1 +/*!50000.5INTO @hidden */"} {
		l := mysql
		if c := scanAs([]byte(text), &l); c.kinds&(bit(engine.KindUserVariable)|bit(engine.KindUnknown)) == 0 {
			t.Errorf("%s: %v", text, kindsOf(c))
		}
	}
}
