package relay

import (
	"testing"
	"unsafe"
)

// There are many sessions, and most of them are idle. 640 is a size in which the runtime hands out memory: the next is 704.
func TestASessionTakesNoMoreThan640Bytes(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 640 {
		t.Errorf("%d bytes", n)
	}
}
