package mysql

import (
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

func TestStringsOfSessionsAreShared(t *testing.T) {
	var s sharedStrings
	first := s.share(strings.Clone("charset=45"))
	if second := s.share(strings.Clone("charset=45")); second != first || unsafe.StringData(second) != unsafe.StringData(first) {
		t.Errorf("%q is another than %q", second, first)
	}
	for i := range 2 * maxSharedStrings {
		if text := strconv.Itoa(i); s.share(text) != text {
			t.Errorf("%q is not itself", text)
		}
	}
	if long := strings.Repeat("x", maxSharedLength+1); s.share(long) != long || len(s.known) != maxSharedStrings {
		t.Errorf("%d strings are kept", len(s.known))
	}
}

func TestSessionsOfOneUserHaveTheirNamesInCommon(t *testing.T) {
	e := New(Config{Credentials: users(native)})
	l := func() *login {
		return &login{e: e, salt: newSalt(), response: response{user: strings.Clone("app"), database: strings.Clone("shop"), charset: 45}}
	}
	a, b := l().session(), l().session()
	for _, pair := range [][2]string{{a.key.User, b.key.User}, {a.key.Options, b.key.Options}, {a.database, b.database}} {
		if pair[0] != pair[1] || unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%q is kept twice", pair[0])
		}
	}
}
