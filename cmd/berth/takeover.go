package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/berthdb/berth/core"
)

// takeOverWithin is how long a new process may take until it accepts.
const takeOverWithin = time.Minute

// handOver starts the program anew, from the file that it was started from, which may be a newer one by now, and hands the
// listening sockets to it. It returns when the new process accepts. With an error everything is as it was.
func handOver(p *core.Proxy, admin core.Socket, log zerolog.Logger) (successor *os.Process, err error) {
	if err := p.PrepareHandOver(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.KeepOn()
		}
	}()
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ready, tell, err := readiness()
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = ready.Close(), tell.Close() }()
	purposes := []purpose{}
	files := []uintptr{0, 1, 2, tell.Fd()}
	for _, s := range append(p.Sockets(), admin) {
		fd, err := duplicate(s.Conn)
		if err != nil {
			return nil, fmt.Errorf("socket of %s: %w", s.Address, err)
		}
		defer func() { _ = unix.Close(fd) }()
		purposes, files = append(purposes, purpose{s.Listener, s.Address}), append(files, uintptr(fd))
	}
	text, err := json.Marshal(purposes)
	if err != nil {
		return nil, err
	}
	// Not os.StartProcess: it would make the sockets blocking, which they share with this process.
	pid, _, err := syscall.StartProcess(program, os.Args, &syscall.ProcAttr{
		Env: append(os.Environ(), takeOverVariable+"="+string(text)), Files: files,
	})
	if err != nil {
		return nil, err
	}
	log.Info().Int("pid", pid).Msg("a new process takes over")
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	_ = tell.Close() // so that its end is seen
	ended := make(chan string, 1)
	go func() {
		state, err := process.Wait()
		ended <- fmt.Sprint(state, err)
	}()
	if err := awaitReady(ready, takeOverWithin); err != nil {
		_ = process.Kill() // it may have ended
		return nil, fmt.Errorf("%w: %s", err, <-ended)
	}
	return process, nil
}

// readiness returns the two ends of what a new process says through that it accepts. It is no pipe: there whoever writes could not be told
// that it is too late without that the reader is gone, and with it what was written just before.
func readiness() (ready, tell *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil { // or there are no deadlines
		return nil, nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "ready"), os.NewFile(uintptr(fds[1]), "tell"), nil
}

// awaitReady waits for the byte that says so. With an error there was none, and none can be written any more.
func awaitReady(ready *os.File, within time.Duration) error {
	if err := ready.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := ready.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		if err != nil {
			return errors.New("the new process ended before it accepted")
		}
		return nil
	}
	if err := closeRead(ready); err != nil {
		return err
	}
	// On Linux what came before that is there still; elsewhere it may be gone, if it came at the last instant.
	if n, _ := ready.Read(make([]byte, 1)); n == 1 {
		return nil
	}
	return fmt.Errorf("the new process does not accept within %s", within)
}

// closeRead lets nothing more come to f, a socket, that is not there yet, and takes the deadline away from what is.
func closeRead(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RD) }); e != nil {
		return e
	}
	return errors.Join(err, f.SetReadDeadline(time.Time{}))
}

// duplicate returns another descriptor of a socket, for the caller to close.
func duplicate(c syscall.Conn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return 0, e
	}
	return fd, err
}
