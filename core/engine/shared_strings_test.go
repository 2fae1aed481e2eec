package engine

import (
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

func TestStringsOfSessionsAreShared(t *testing.T) {
	var s SharedStrings
	first := s.Share(strings.Clone("charset=45"))
	if second := s.Share(strings.Clone("charset=45")); second != first || unsafe.StringData(second) != unsafe.StringData(first) {
		t.Errorf("%q is another than %q", second, first)
	}
	for i := range 2 * maxSharedStrings {
		if text := strconv.Itoa(i); s.Share(text) != text {
			t.Errorf("%q is not itself", text)
		}
	}
	if long := strings.Repeat("x", maxSharedLength+1); s.Share(long) != long || len(s.known) != maxSharedStrings {
		t.Errorf("%d strings are kept", len(s.known))
	}
}
