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
func handOver(p *core.Proxy, admin core.Socket, log zerolog.Logger) (pid int, err error) {
	if err := p.PrepareHandOver(); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			p.KeepOn()
		}
	}()
	program, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = ready.Close(), tell.Close() }()
	purposes := []purpose{}
	files := []uintptr{0, 1, 2, tell.Fd()}
	for _, s := range append(p.Sockets(), admin) {
		fd, err := duplicate(s.Conn)
		if err != nil {
			return 0, fmt.Errorf("socket of %s: %w", s.Address, err)
		}
		defer func() { _ = unix.Close(fd) }()
		purposes, files = append(purposes, purpose{s.Listener, s.Address}), append(files, uintptr(fd))
	}
	text, err := json.Marshal(purposes)
	if err != nil {
		return 0, err
	}
	// Not os.StartProcess: it would make the sockets blocking, which they share with this process.
	pid, _, err = syscall.StartProcess(program, os.Args, &syscall.ProcAttr{
		Env: append(os.Environ(), takeOverVariable+"="+string(text)), Files: files,
	})
	if err != nil {
		return 0, err
	}
	log.Info().Int("pid", pid).Msg("a new process takes over")
	process, err := os.FindProcess(pid)
	if err != nil {
		return 0, err
	}
	_ = tell.Close() // so that its end is seen
	ended := make(chan string, 1)
	go func() {
		state, err := process.Wait()
		ended <- fmt.Sprint(state, err)
	}()
	if err := awaitReady(ready); err != nil {
		_ = process.Kill() // it may have ended
		return 0, fmt.Errorf("%w: %s", err, <-ended)
	}
	return pid, nil
}

// awaitReady waits for the byte that says so.
func awaitReady(ready *os.File) error {
	if err := ready.SetReadDeadline(time.Now().Add(takeOverWithin)); err != nil {
		return err
	}
	switch _, err := ready.Read(make([]byte, 1)); {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the new process does not accept within %s", takeOverWithin)
	default:
		return errors.New("the new process ended before it accepted")
	}
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
