package loop

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll instance, level-triggered, and an eventfd to wake its loop. Everything but remove and wake belongs
// to the loop's goroutine.
type poller struct {
	epfd, wakefd int
	events       [maxEvents]unix.EpollEvent

	mu     sync.Mutex // guards the descriptors against being closed while another goroutine uses them
	closed bool
}

func (p *poller) open() error {
	var err error
	if p.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	if p.wakefd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(p.epfd)
		return fmt.Errorf("eventfd: %w", err)
	}
	// Edge-triggered, so that nobody must read it: every write is an event (epoll(7), "EPOLLET").
	ev := epollEvent(wakeToken, unix.EPOLLIN|unix.EPOLLET)
	if err := unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, p.wakefd, &ev); err != nil {
		p.close()
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// epollEvent carries token where epoll_data is: the kernel returns it as it is.
func epollEvent(token uint64, events uint32) unix.EpollEvent {
	return unix.EpollEvent{Events: events, Fd: int32(uint32(token)), Pad: int32(uint32(token >> 32))}
}

func epollInterest(want interest) uint32 {
	var e uint32
	if want&wantRead != 0 {
		e |= unix.EPOLLIN
	}
	if want&wantWrite != 0 {
		e |= unix.EPOLLOUT
	}
	return e
}

// add starts to watch fd. Even with no interest at all, what cannot be masked (a hang-up, an error) is reported.
func (p *poller) add(fd int, token uint64, want interest) error {
	ev := epollEvent(token, epollInterest(want))
	return unix.EpollCtl(p.epfd, unix.EPOLL_CTL_ADD, fd, &ev)
}

// change replaces the interest in fd, which is watched.
func (p *poller) change(fd int, token uint64, _, want interest) error {
	ev := epollEvent(token, epollInterest(want))
	return unix.EpollCtl(p.epfd, unix.EPOLL_CTL_MOD, fd, &ev)
}

// remove stops to watch fd. Any goroutine may call it.
func (p *poller) remove(fd int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil)
	}
}

// poll returns how many events there are, without waiting. It cannot block, so it may go past the scheduler.
func (p *poller) poll() int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd),
		uintptr(unsafe.Pointer(&p.events[0])), maxEvents, 0, 0, 0)
	if errno != 0 {
		return p.failed(errno)
	}
	return int(n)
}

// wait returns how many events there are, and waits for one until timeout; for ever, if it is negative.
func (p *poller) wait(timeout time.Duration) int {
	n, err := unix.EpollWait(p.epfd, p.events[:], milliseconds(timeout))
	if err != nil {
		return p.failed(err)
	}
	return n
}

func (*poller) failed(err error) int {
	if !errors.Is(err, unix.EINTR) {
		panic(fmt.Sprintf("BUG: loop: epoll_wait: %v", err)) // it has no other errors that are not the caller's
	}
	return 0
}

// event returns the i-th event.
func (p *poller) event(i int) (token uint64, what readiness) {
	ev := &p.events[i]
	token = uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32
	if ev.Events&unix.EPOLLIN != 0 {
		what |= readable
	}
	if ev.Events&unix.EPOLLOUT != 0 {
		what |= writable
	}
	if ev.Events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		what |= hungUp
	}
	return token, what
}

// wake ends a wait. Any goroutine may call it.
func (p *poller) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		// The counter is never read: it is watched for its edges. Only the number 1 lets it take enough of them.
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = rawWrite(p.wakefd, one[:])
	}
}

func (p *poller) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		_ = unix.Close(p.wakefd)
		_ = unix.Close(p.epfd)
	}
}
