package postgres

import (
	"testing"
	"unsafe"
)

// There are many machines, and most of them are idle. 640 is a size in which the runtime hands out memory: the next is 704.
func TestAMachineTakesNoMoreThan640Bytes(t *testing.T) {
	if n := unsafe.Sizeof(machine{}); n > 640 {
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
