package engine

import (
	"runtime"
	"testing"
	"time"
)

func TestTextsThatNobodyUsesMakePlaceForOthers(t *testing.T) {
	texts := &Texts{Most: 100}
	keep := func() {
		text := &struct{ bytes [60]byte }{}
		KeptFor(texts, text, 60)
		runtime.KeepAlive(text)
	}
	if keep(); texts.Full() {
		t.Fatal("there is place")
	}
	keep()
	for late := time.Now().Add(20 * time.Second); texts.Full(); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("what nobody uses is not collected")
		}
	}
}
