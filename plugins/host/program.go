package host

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
)

// Program is a plugin's file.
type Program struct {
	Path   string // absolute
	SHA256 []byte // of the file; nil: it is not looked at
}

// Check says what is wrong with the file, as far as that can be seen without running it.
func (p Program) Check() error {
	file, err := os.Open(p.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Path, errors.Unwrap(err))
	}
	defer func() { _ = file.Close() }() // nothing was written
	info, err := file.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", p.Path, errors.Unwrap(err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file", p.Path)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s is not executable", p.Path)
	case info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("%s may be written by everybody", p.Path)
	case p.SHA256 == nil:
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return fmt.Errorf("%s: %w", p.Path, err)
	}
	if got := sum.Sum(nil); !bytes.Equal(got, p.SHA256) {
		return fmt.Errorf("%s has another checksum than configured: %x", p.Path, got)
	}
	return nil
}
