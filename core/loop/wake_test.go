package loop

import (
	"testing"
	"time"
)

type answer chan struct{}

func (a answer) Run() { a <- struct{}{} }

func TestASleepingLoopIsWokenHoweverOftenItWasBefore(t *testing.T) {
	l, err := New(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { l.Run(); close(stopped) }()
	a := make(answer)
	for i := range 2000 { // an eventfd that is written a large number takes few of them
		l.Post(a)
		select {
		case <-a:
		case <-time.After(10 * time.Second):
			t.Fatalf("task %d was not run", i)
		}
		time.Sleep(10 * time.Microsecond) // let it go to sleep
	}
	l.Stop()
	<-stopped
}
