//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package loop

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller is a kqueue, level-triggered, and a pipe to wake its loop. Everything but remove and wake belongs to the
// loop's goroutine.
type poller struct {
	kq     int
	pipe   [2]int
	events [maxEvents]unix.Kevent_t
	// tokens are kept here, not in an event's udata, which is a pointer to Go. An event that is stale because its
	// descriptor was closed and used anew since gets the token of the new use: it costs that stream a read.
	tokens map[int]uint64

	mu     sync.Mutex // guards the descriptors against being closed while another goroutine uses them
	closed bool
}

func (p *poller) open() error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var err error
	if p.kq, err = unix.Kqueue(); err != nil {
		return fmt.Errorf("kqueue: %w", err)
	}
	unix.CloseOnExec(p.kq)
	if err := unix.Pipe(p.pipe[:]); err != nil {
		_ = unix.Close(p.kq)
		return fmt.Errorf("pipe: %w", err)
	}
	p.tokens = make(map[int]uint64)
	for _, fd := range p.pipe {
		unix.CloseOnExec(fd)
		err = errors.Join(err, unix.SetNonblock(fd, true))
	}
	if err = errors.Join(err, p.add(p.pipe[0], wakeToken, wantRead)); err != nil {
		p.close()
		return fmt.Errorf("kevent: %w", err)
	}
	return nil
}

// add starts to watch fd.
func (p *poller) add(fd int, token uint64, want interest) error {
	p.tokens[fd] = token
	return p.change(fd, token, 0, want)
}

// change replaces the interest in fd, which is watched.
func (p *poller) change(fd int, _ uint64, had, want interest) error {
	var changes [2]unix.Kevent_t
	n := 0
	for _, f := range [...]struct {
		bit    interest
		filter int
	}{{wantRead, unix.EVFILT_READ}, {wantWrite, unix.EVFILT_WRITE}} {
		switch {
		case want&^had&f.bit != 0:
			unix.SetKevent(&changes[n], fd, f.filter, unix.EV_ADD)
			n++
		case had&^want&f.bit != 0:
			unix.SetKevent(&changes[n], fd, f.filter, unix.EV_DELETE)
			n++
		}
	}
	if n == 0 {
		return nil
	}
	_, err := unix.Kevent(p.kq, changes[:n], nil, nil)
	return err
}

// remove stops to watch fd. Any goroutine may call it.
func (p *poller) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	for _, filter := range [...]int{unix.EVFILT_READ, unix.EVFILT_WRITE} {
		var change [1]unix.Kevent_t
		unix.SetKevent(&change[0], fd, filter, unix.EV_DELETE)
		_, _ = unix.Kevent(p.kq, change[:], nil, nil)
	}
}

// poll returns how many events there are, without waiting.
func (p *poller) poll() int { return p.wait(0) }

// wait returns how many events there are, and waits for one until timeout; for ever, if it is negative.
func (p *poller) wait(timeout time.Duration) int {
	var until *unix.Timespec
	if timeout >= 0 {
		ts := unix.NsecToTimespec(int64(milliseconds(timeout)) * int64(time.Millisecond))
		until = &ts
	}
	n, err := unix.Kevent(p.kq, nil, p.events[:], until)
	if err != nil {
		if !errors.Is(err, unix.EINTR) {
			panic(fmt.Sprintf("BUG: loop: kevent: %v", err)) // it has no other errors that are not the caller's
		}
		return 0
	}
	return n
}

// event returns the i-th event.
func (p *poller) event(i int) (token uint64, what readiness) {
	ev := &p.events[i]
	token, ok := p.tokens[int(ev.Ident)]
	if !ok || token == wakeToken {
		var drained [64]byte
		for ok {
			if n, _ := rawRead(p.pipe[0], drained[:]); n < len(drained) {
				break
			}
		}
		return wakeToken, 0
	}
	if int(ev.Filter) == unix.EVFILT_WRITE {
		return token, writable
	}
	return token, readable
}

// wake ends a wait. Any goroutine may call it.
func (p *poller) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		_, _ = rawWrite(p.pipe[1], []byte{1}) // a full pipe wakes as well
	}
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		_ = unix.Close(p.pipe[0])
		_ = unix.Close(p.pipe[1])
		_ = unix.Close(p.kq)
	}
}
