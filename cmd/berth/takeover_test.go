package main

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// step is where a new process waits, as it takes over, until it is let go on.
type step struct {
	name string
	// reach starts the new process, as the n-th, and returns when it has come there.
	reach func(o *overtaken, n int) (goOn func())
}

var steps = []step{
	{"it has begun", func(o *overtaken, n int) func() {
		o.begin(n)
		o.kill(o.successor, syscall.SIGSTOP)
		return func() { o.kill(o.successor, syscall.SIGCONT) }
	}},
	{"it reads its configuration", func(o *overtaken, n int) func() {
		o.must(os.Remove(o.config), syscall.Mkfifo(o.config, 0o600))
		o.begin(n)
		pipe, err := os.OpenFile(o.config, os.O_WRONLY, 0) // when somebody reads
		o.must(err)
		return func() {
			_, err := pipe.WriteString(o.text)
			o.must(err, pipe.Close())
		}
	}},
	{"it asks its targets", func(o *overtaken, n int) func() {
		server, err := net.Listen("tcp", "127.0.0.1:0") // which says nothing
		o.must(err)
		text := strings.Replace(o.text, "127.0.0.1:1", server.Addr().String(), 1)
		o.must(os.WriteFile(o.config, []byte(text), 0o600))
		o.begin(n)
		c, err := server.Accept()
		o.must(err)
		return func() { o.must(c.Close(), server.Close()) }
	}},
}

// overtaken is a process that is about to be replaced.
type overtaken struct {
	*process
	listener     string
	config, text string // its file, and what is in there
	pid          int    // the process that serves
	successor    int    // the one that began last
}

func overtake(t *testing.T) *overtaken {
	t.Helper()
	o := &overtaken{config: configure(t, minimal), text: minimal}
	o.process, o.listener, _ = ready(t, o.config)
	o.pid = o.cmd.Process.Pid
	return o
}

func (o *overtaken) must(errs ...error) {
	o.t.Helper()
	if err := errors.Join(errs...); err != nil {
		o.t.Fatal(err)
	}
}

func (o *overtaken) kill(pid int, s syscall.Signal) {
	o.t.Helper()
	o.must(syscall.Kill(pid, s))
}

// begin starts a new process, which is the n-th.
func (o *overtaken) begin(n int) {
	o.t.Helper()
	o.kill(o.pid, syscall.SIGUSR2)
	pid, _ := o.loggedTimes("a new process takes over", n)["pid"].(float64)
	o.successor = int(pid)
	o.t.Cleanup(func() { _ = syscall.Kill(int(pid), syscall.SIGKILL) }) // before the log's end is waited for, which is its own, too
}

// serves fails the test unless somebody answers at the listener.
func (o *overtaken) serves(when string) {
	o.t.Helper()
	c, err := net.Dial("tcp", o.listener)
	if err != nil {
		o.t.Fatalf("%s: %v", when, err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	answer := make([]byte, 1)
	_, err = c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}) // SSLRequest
	if _, e := io.ReadFull(c, answer); errors.Join(err, e) != nil || answer[0] != 'S' {
		o.t.Fatalf("%s: %q, %v", when, answer, errors.Join(err, e))
	}
}

func TestTheListenersOutliveANewProcessThatIsKilled(t *testing.T) {
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			o := overtake(t)
			s.reach(o, 1)
			o.serves("before it is killed")
			o.kill(o.successor, syscall.SIGKILL)
			o.logged("this process goes on")
			o.serves("after it was killed")
			_ = os.Remove(o.config) // it may be a pipe
			o.must(os.WriteFile(o.config, []byte(o.text), 0o600))
			o.begin(2)
			o.logged("handed over")
			_, err := o.cmd.Process.Wait()
			o.must(err)
			o.serves("with another one")
		})
	}
}

func TestTheListenersOutliveAnOldProcessThatIsKilled(t *testing.T) {
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			o := overtake(t)
			goOn := s.reach(o, 1)
			o.signal(syscall.SIGKILL)
			_, err := o.cmd.Process.Wait()
			o.must(err)
			goOn()
			o.loggedTimes("ready", 2)
			o.serves("with the old one gone")
			_ = os.Remove(o.config)
			o.must(os.WriteFile(o.config, []byte(o.text), 0o600))
			o.pid = o.successor
			o.begin(2)
			o.logged("handed over")
			o.serves("after one more")
		})
	}
}
