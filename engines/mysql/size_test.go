package mysql

import (
	"testing"
	"unsafe"
)

// TestAnIdleSessionIsSmall holds what each session has of the engine's, whether it does anything or not, in a size that the allocator has.
func TestAnIdleSessionIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Machine{}); n > 896 {
		t.Errorf("a machine has %d bytes", n)
	}
}
