package loop

import (
	"sync"
	"sync/atomic"
)

// mailboxKept is how many tasks' room a mailbox keeps when it is empty.
const mailboxKept = 4 << 10

// mailbox is where other goroutines leave tasks for a loop. The loop says when it is about to sleep; only then does a
// task cost a system call to wake it.
type mailbox struct {
	waiting atomic.Int32 // len(tasks), so that a busy loop looks without the lock

	mu     sync.Mutex
	tasks  []Task
	asleep bool
	closed bool

	spare []Task // the loop's: what tasks was before the last take
}

// put leaves t. It returns false if nobody will run it; and whether the loop must be woken.
func (b *mailbox) put(t Task) (ok, wake bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false, false
	}
	b.tasks = append(b.tasks, t)
	b.waiting.Add(1)
	wake = b.asleep
	b.asleep = false
	return true, wake
}

// take returns what was left since the last call. It is valid until the next call, before which the loop must have
// returned it to done.
func (b *mailbox) take() []Task {
	if b.waiting.Load() == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	tasks := b.tasks
	b.tasks = b.spare
	b.spare = nil
	b.waiting.Store(0)
	return tasks
}

// done gives back the room of what take returned.
func (b *mailbox) done(tasks []Task) {
	if cap(tasks) > mailboxKept {
		return
	}
	clear(tasks)
	b.spare = tasks[:0]
}

// sleep says that the loop is about to block. It returns false if there is something to do.
func (b *mailbox) sleep() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asleep = len(b.tasks) == 0
	return b.asleep
}

// awake says that the loop does not block any more.
func (b *mailbox) awake() {
	b.mu.Lock()
	b.asleep = false
	b.mu.Unlock()
}

// close makes put refuse from now on.
func (b *mailbox) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
}
