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
	// readWithin is how long somebody waits for a file whose last good secret is known. One on a network that is down does not answer, and
	// does not fail either.
	readWithin = time.Second
)

var errSlow = errors.New("reading it takes too long")

// File fetches secrets from files. A reference is a path. A file that changed is read again, at most once a second; while
// it cannot be read or is no secret, the last good one stays.
type File struct {
	warn     func(path string, err error)
	now      func() time.Time
	stat     func(path string) (fs.FileInfo, error)
	patience time.Duration // readWithin

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

	reading chan struct{} // closed when the look at the file is over that is under way, nil: none is
	began   time.Time     // when that began
	slow    bool          // and it is known to take too long
}

// NewFile makes a provider. warn is told, once for each change, that a file cannot be used any more and that the last good
// secret stays. It must not be nil, nor call the provider.
func NewFile(warn func(path string, err error)) *File {
	return &File{warn: warn, now: time.Now, stat: os.Stat, patience: readWithin, files: map[string]*file{}}
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

	reading, known, patience := p.look(f, path)
	if reading != nil {
		var late <-chan time.Time
		if known {
			late = time.After(patience)
		}
		select {
		case <-reading:
		case <-late:
			p.outlasted(f, path, reading)
		case <-ctx.Done():
			return Secret{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.good {
		return Secret{}, f.err
	}
	return f.secret, nil
}

// look begins to look at the file, if it is time for that. If reading is not nil, that is to be waited for: for patience, if a good
// secret is known.
func (p *File) look(f *file, path string) (reading <-chan struct{}, known bool, patience time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := p.now(); f.reading == nil && (f.checked.IsZero() || now.Sub(f.checked) >= checkEvery || now.Before(f.checked)) {
		f.checked = now
		f.reading, f.began = make(chan struct{}), time.Now()
		go p.refresh(f, path, now)
	}
	return f.reading, f.good, p.patience - time.Since(f.began)
}

// outlasted notes that the reading takes too long, once for each.
func (p *File) outlasted(f *file, path string, reading <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading == reading && !f.slow {
		f.slow = true
		p.warn(path, errSlow)
	}
}

// refresh reads the file if it is not known to be the one that was read last. It is called by one goroutine at a time.
func (p *File) refresh(f *file, path string, now time.Time) {
	info, err := p.stat(path)
	f.mu.Lock()
	same := err == nil && f.unchanged(info)
	f.mu.Unlock()
	var secret Secret
	if err == nil && !same {
		secret, info, err = readFile(path, info)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.reading)
	f.reading, f.slow = nil, false
	if same {
		return
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
