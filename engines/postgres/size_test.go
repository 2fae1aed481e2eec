package postgres

import (
	"testing"
	"unsafe"
)

// There are many machines, and most of them are idle. 896 is a size in which the runtime hands out memory: the next is 1024.
func TestAMachineTakesNoMoreThan896Bytes(t *testing.T) {
	if n := unsafe.Sizeof(machine{}); n > 896 {
		t.Errorf("%d bytes", n)
	}
}

func TestASessionThatNeverParsesAnUnnamedStatementKeepsNothingForOne(t *testing.T) {
	m := &machine{}
	m.forgetUnnamed()
	if text := m.unnamedText(); text != nil || m.unnamed.unnamedTexts != nil {
		t.Errorf("text %q, kept %v", text, m.unnamed.unnamedTexts)
	}
}
