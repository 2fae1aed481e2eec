package secret

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

const (
	// checkEvery is how old the knowledge that a file did not change may be.
	checkEvery = time.Second
	// settled is the age from which on a file's modification time tells whether it changed. Before that, it may
	// be written again within the same tick of the file system's clock, which is 2 s on the coarsest.
	settled = 3 * time.Second
)

// File fetches secrets from files. A reference is a path. A file that changed is read again, at most once a second; while
// it cannot be read or is no secret, the last good one stays.
type File struct {
	warn func(path string, err error)
	now  func() time.Time

	mu    sync.Mutex
	files map[string]*file // by path, added only
}

var _ Provider = (*File)(nil)

// file is what is known of one path.
type file struct {
	mu      sync.Mutex
	secret  Secret
	good    bool        // secret was read once
	err     error       // why the last reading failed, if it did
	checked time.Time   // when was last looked at the file
	info    fs.FileInfo // of the file that was read last, nil if it could not be opened
	read    time.Time   // when that was
}

// NewFile makes a provider. warn is told, once for each change, that a file cannot be used any more and that the last good
// secret stays. It must not be nil, nor call the provider.
func NewFile(warn func(path string, err error)) *File {
	return &File{warn: warn, now: time.Now, files: map[string]*file{}}
}

// Fetch implements [Provider].
func (p *File) Fetch(ctx context.Context, path string) (Secret, error) {
	if err := ctx.Err(); err != nil {
		return Secret{}, err
	}
	p.mu.Lock()
	f := p.files[path]
	if f == nil {
		f = &file{}
		p.files[path] = f
	}
	p.mu.Unlock()

	f.mu.Lock()
	defer f.mu.Unlock()
	if now := p.now(); f.checked.IsZero() || now.Sub(f.checked) >= checkEvery || now.Before(f.checked) {
		f.checked = now
		p.refresh(f, path, now)
	}
	if !f.good {
		return Secret{}, f.err
	}
	return f.secret, nil
}

// refresh reads the file if it is not known to be the one that was read last. f is locked.
func (p *File) refresh(f *file, path string, now time.Time) {
	info, err := os.Stat(path)
	if err == nil && f.unchanged(info) {
		return
	}
	var secret Secret
	if err == nil {
		secret, info, err = readFile(path, info)
	}
	f.info, f.read = info, now
	if err == nil {
		f.secret, f.good, f.err = secret, true, nil
		return
	}
	err = bareError(err)
	if f.good && (f.err == nil || f.err.Error() != err.Error()) {
		p.warn(path, err)
	}
	f.err = err
}

// unchanged says whether info is surely that of the content that was read last.
func (f *file) unchanged(info fs.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() &&
		f.info.ModTime().Equal(info.ModTime()) && f.read.Sub(info.ModTime()) >= settled
}

// readFile reads the secret at path, and returns the state of the file that it was read from: it may have been replaced
// after info was taken.
func readFile(path string, info fs.FileInfo) (Secret, fs.FileInfo, error) {
	if !info.Mode().IsRegular() {
		return Secret{}, info, errors.New("not a regular file") // a pipe would block, and is gone after one reading
	}
	opened, err := os.Open(path)
	if err != nil {
		return Secret{}, nil, err
	}
	defer func() { _ = opened.Close() }() // nothing was written
	if info, err = opened.Stat(); err != nil {
		return Secret{}, nil, err
	}
	content, err := io.ReadAll(io.LimitReader(opened, maxSize+1))
	if err != nil {
		return Secret{}, nil, err
	}
	secret, err := parse(content)
	return secret, info, err
}

// bareError leaves the path out: the caller knows it and names it once.
func bareError(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
