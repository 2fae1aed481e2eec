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
	if keep(); texts.Full(0) {
		t.Fatal("there is place")
	}
	keep()
	for late := time.Now().Add(20 * time.Second); texts.Full(0); time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("what nobody uses is not collected")
		}
	}
}

func TestSessionsThatHaveMuchLeavePlaceForThoseThatHaveLittle(t *testing.T) {
	texts := &Texts{Most: 1 << 20}
	const piece = 1000
	for _, sessions := range []int{1, 10, 100} {
		greedy := make([]int, sessions)
		for more := true; more; {
			more = false
			for i, has := range greedy {
				if !texts.Full(has) {
					texts.Add(piece)
					greedy[i] += piece
					more = true
				}
			}
		}
		for n := range 4 {
			if texts.Full(n * piece) {
				t.Errorf("beside %d sessions, each with %d bytes, there is no place for one with %d", sessions, greedy[0], n*piece)
			}
			texts.Add(piece)
		}
		texts.Add(-int(texts.Kept()))
	}
}
