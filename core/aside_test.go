package core

import (
	"context"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
)

func TestASessionThatHasSomethingDoneAsideIsInNobodysWay(t *testing.T) {
	e := &echo{aside: make(chan struct{})}
	r := start(t, e, func(c *Config) { c.Loops = 1 })
	a, b := r.login(), r.login()
	a.say("before\naside\nbehind\naside\nlast")
	a.expect("before")
	for range 3 { // the loop goes on
		b.say("x")
		b.expect("x")
	}
	for _, answer := range []string{"behind", "last"} {
		e.aside <- struct{}{}
		a.expect("done")
		a.expect(answer)
	}
}

func TestWhatIsDoneAsideHasAsLongAsALogin(t *testing.T) {
	r := start(t, &echo{}, func(c *Config) { c.Listeners[0].LoginTimeout = 100 * time.Millisecond })
	c := r.login()
	c.say("aside\nbehind")
	c.expect(context.DeadlineExceeded.Error())
	c.expect("behind")
}

func TestWhatIsDoneAsideIsBrokenOffWithItsSession(t *testing.T) {
	e := &echo{brokenOff: make(chan struct{})}
	r := start(t, e, nil)
	c := r.login()
	c.say("aside")
	_ = c.Close()
	select {
	case <-e.brokenOff:
	case <-time.After(patience):
		t.Error("the client is gone, and its work goes on")
	}
	r.login().say("x") // the loop is well
}

func TestASessionIsStoppedWhenWhatItHasDoneAsideIsOver(t *testing.T) {
	e := &echo{aside: make(chan struct{}), begun: make(chan struct{})}
	r := start(t, e, nil)
	idle, c := r.login(), r.login()
	c.say("aside")
	<-e.begun
	r.stop()
	idle.expect(engine.ErrShutdown.Error())
	e.aside <- struct{}{}
	c.expect("done")
	c.expect(engine.ErrShutdown.Error())
	if err := r.wait(); err != nil {
		t.Error(err)
	}
}
