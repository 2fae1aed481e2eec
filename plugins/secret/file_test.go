package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// watched is a secret file with a provider whose clock the test sets, and what the provider warned of.
type watched struct {
	t        *testing.T
	path     string
	provider *File
	now      time.Time
	warnings []string
}

func watch(t *testing.T) *watched {
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "secret.json"), now: time.Now()}
	w.provider = NewFile(func(path string, err error) {
		if path != w.path {
			t.Errorf("a warning of %s", path)
		}
		w.warnings = append(w.warnings, err.Error())
	})
	w.provider.now = func() time.Time { return w.now }
	w.provider.patience = time.Hour
	return w
}

func (w *watched) write(content string) {
	w.t.Helper()
	if err := os.WriteFile(w.path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// age makes the file's modification time lie d in the provider's past.
func (w *watched) age(d time.Duration) {
	w.t.Helper()
	if err := os.Chtimes(w.path, time.Time{}, w.now.Add(-d)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) later(d time.Duration) { w.now = w.now.Add(d) }

func (w *watched) want(password string) {
	w.t.Helper()
	s, err := w.provider.Fetch(w.t.Context(), w.path)
	if err != nil || s.Username != "app" || s.Password.Reveal() != password {
		w.t.Fatalf("got %q, %q, %v; want password %q", s.Username, s.Password.Reveal(), err, password)
	}
}

func content(password string) string {
	return fmt.Sprintf(`{"username": "app", "password": %q}`, password)
}

func TestAFileThatChangedCountsAfterASecond(t *testing.T) {
	w := watch(t)
	w.write(content("one"))
	w.want("one")
	w.write(content("three"))
	w.later(checkEvery - 1)
	w.want("one")
	w.later(1)
	w.want("three")
}

func TestAChangeIsSeenEvenIfSizeAndTimeAreTheSame(t *testing.T) {
	w := watch(t)
	w.write(content("one"))
	w.age(time.Second) // too young to be sure that it is not written again
	w.want("one")
	w.write(content("two"))
	w.age(time.Second)
	w.later(checkEvery)
	w.want("two")
}

func TestAReplacedFileIsSeenEvenIfSizeAndTimeAreTheSame(t *testing.T) {
	w := watch(t)
	w.write(content("one"))
	w.age(time.Hour)
	w.want("one")
	old := w.path
	w.path += ".new"
	w.write(content("two"))
	w.age(time.Hour)
	if err := os.Rename(w.path, old); err != nil {
		t.Fatal(err)
	}
	w.path = old
	w.later(checkEvery)
	w.want("two")
}

func TestAFileThatDidNotChangeIsNotReadAgain(t *testing.T) {
	w := watch(t)
	w.write(content("one"))
	w.age(time.Hour)
	w.want("one")
	stamp := w.now.Add(-time.Hour)
	w.write(content("two"))
	if err := os.Chtimes(w.path, time.Time{}, stamp); err != nil {
		t.Fatal(err)
	}
	w.later(checkEvery)
	w.want("one") // it looks the same: only reading would tell
}

func TestTheLastGoodSecretStaysWhileTheFileIsBrokenOrMissing(t *testing.T) {
	w := watch(t)
	w.write(content("one"))
	w.want("one")
	w.write(`{"username": "app", "pass`)
	for range 3 {
		w.later(checkEvery)
		w.want("one")
	}
	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.later(checkEvery)
		w.want("one")
	}
	w.write(content("two"))
	w.later(checkEvery)
	w.want("two")
	want := `not a JSON object such as {"username": "...", "password": "..."}; no such file or directory`
	if got := strings.Join(w.warnings, "; "); got != want {
		t.Errorf("warnings are %s, want %s", got, want)
	}
}

func TestAFileThatWasNeverGoodIsAnError(t *testing.T) {
	w := watch(t)
	want := func(want string) {
		t.Helper()
		if _, err := w.provider.Fetch(t.Context(), w.path); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	want("no such file or directory")
	w.write(strings.Repeat(" ", maxSize+1))
	w.later(checkEvery)
	want("larger than 64 KiB")
	w.write(content("one"))
	w.later(checkEvery)
	w.want("one")
	if len(w.warnings) > 0 {
		t.Errorf("warnings %q beside the errors", w.warnings)
	}
	w.path = filepath.Dir(w.path)
	want("not a regular file")
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.provider.Fetch(done, w.path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after the context's end", err)
	}
}

func TestManyFetchWhileTheFileRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret.json")
	write := func(password string) {
		if err := os.WriteFile(path+".new", []byte(content(password)), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
	}
	write("0")
	var clock sync.Mutex
	now := time.Now()
	provider := NewFile(func(_ string, err error) { t.Errorf("warning: %v", err) })
	provider.patience = time.Hour
	provider.now = func() time.Time { // every look at the clock is a second later
		clock.Lock()
		defer clock.Unlock()
		now = now.Add(checkEvery)
		return now
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200 {
				if s, err := provider.Fetch(t.Context(), path); err != nil || s.Username != "app" {
					t.Errorf("got %v, %v", s, err)
				}
			}
		})
	}
	for i := range 50 {
		write(fmt.Sprint(i))
	}
	all.Wait()
	if s, err := provider.Fetch(t.Context(), path); err != nil || s.Password.Reveal() != "49" {
		t.Errorf("the last password is %q, %v", s.Password.Reveal(), err)
	}
}

func TestAFileThatDoesNotAnswerHoldsNobodyUpWhoseSecretIsKnown(t *testing.T) {
	w := watch(t)
	w.write(content("one"))
	w.want("one")
	answers := make(chan struct{})
	w.provider.stat = func(path string) (os.FileInfo, error) { <-answers; return os.Stat(path) }
	w.provider.patience = 10 * time.Millisecond
	w.later(checkEvery)
	w.want("one")
	w.later(checkEvery)
	w.want("one")
	if len(w.warnings) != 1 || w.warnings[0] != errSlow.Error() {
		t.Errorf("warnings %q", w.warnings)
	}
	unknown, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err := w.provider.Fetch(unknown, w.path+" of another"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that was never read: %v", err)
	}
	w.write(content("three"))
	close(answers)
	w.provider.patience = time.Hour
	w.later(checkEvery)
	w.want("three")
}
