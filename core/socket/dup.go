package socket

import "golang.org/x/sys/unix"

// dupCloexec duplicates fd. The duplicate does not survive an exec.
func dupCloexec(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }
