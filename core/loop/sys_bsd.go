//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package loop

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawRead reads from a non-blocking descriptor. These systems want their C library, so there is no way around it. n is
// not negative.
func rawRead(fd int, p []byte) (int, syscall.Errno) { return rawIO(unix.Read, fd, p) }

// rawWrite writes to a non-blocking descriptor.
func rawWrite(fd int, p []byte) (int, syscall.Errno) { return rawIO(unix.Write, fd, p) }

func rawIO(call func(int, []byte) (int, error), fd int, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(fd, p)
		var errno syscall.Errno
		switch {
		case err == nil:
			return n, 0
		case !errors.As(err, &errno):
			return 0, syscall.EIO
		case errno != syscall.EINTR:
			return 0, errno
		}
	}
}
