package mysql

import (
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// What is white space, and what makes a comment of two dashes, depends on the character set.
func TestWhiteSpaceOfACharacterSetHidesNothing(t *testing.T) {
	own(t, harness.Route{MaxConnections: 1, Pool: harness.Keys{"connection_borrow_timeout": "3s"}}, func(t *testing.T, f front) {
		for _, c := range []struct{ charset, text string }{
			{"latin1", "select 7 as \xe9\xa0into @hidden"}, {"latin1", "select 7\xa0into @hidden"}, {"latin1", "select\xa0get_lock('hidden', 0)"},
			{"cp852", "select 7\xffinto @hidden"}, {"greek", "select 7\xa0into @hidden"},
			{"latin1", "select 7 --\xa0'\ninto @hidden -- '"}, {"utf8mb4", "select 7 --\x7f'\ninto @hidden -- '"}, {"hp8", "select 7 --\xb1'\ninto @hidden -- '"},
		} {
			a, b := f.client(t), f.client(t)
			a.do(t, "set names "+c.charset)
			if got := a.outcome(c.text); strings.HasPrefix(got, "error") {
				t.Errorf("%s: %q: %s", c.charset, c.text, got)
			}
			if f.pinned(t) > 0 {
				a.quit()
				unpins(t, f)
			}
			if got := b.outcome("select @hidden, is_used_lock('hidden')"); got != "[NULL,NULL]" {
				t.Errorf("%s: %q: another session finds %s", c.charset, c.text, got)
			}
			_ = a.Close()
			b.quit()
		}
	})
}

// A server may give whoever comes another character set than the login asks for: by init_connect, as here, or by skip-character-set-client-handshake.
func TestACharacterSetThatTheServerImposesHidesNothing(t *testing.T) {
	for _, c := range []struct{ charset, text string }{{"gbk", "select '\xbf\\' into @hidden -- '"}, {"latin1", "select 7\xa0into @hidden"}} {
		for _, name := range harness.MySQLNames() {
			t.Run(c.charset+"/"+name, func(t *testing.T) {
				s := harness.Own(t, name, "init_connect=set names "+c.charset)
				p := harness.Start(t, harness.Config{Routes: []harness.Route{{Server: s, MaxConnections: 1, Pool: harness.Keys{"connection_borrow_timeout": "3s"}}}})
				f := front{p.Endpoint(name), p, s}
				a, b := f.client(t), f.client(t)
				a.sees(t, "select @@character_set_client", "["+c.charset+"]")
				if got := a.outcome(c.text); strings.HasPrefix(got, "error") {
					t.Errorf("%q: %s", c.text, got)
				}
				if f.pinned(t) > 0 {
					a.quit()
					unpins(t, f)
				}
				b.sees(t, "select @hidden", "[NULL]")
				_ = a.Close()
				b.quit()
			})
		}
	}
}
