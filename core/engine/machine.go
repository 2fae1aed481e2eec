package engine

import (
	"context"
	"time"
)

// Machine relays one session. It never blocks, never keeps a slice that it was passed after returning, and never
// panics whatever bytes it is given.
type Machine interface {
	// Start is called once, when the session is on its loop: it finishes the login, at once or after borrowing a
	// backend. If the login fails after all, the machine says so to the client and calls Wire.Close.
	Start(w Wire)

	// FromClient is given bytes of the client: all that is not yet consumed, contiguous, at least one byte. It
	// returns how many it has dealt with; the rest is given again when there is more, after Granted, after
	// Refused, and after a FromBackend. It is not called while a borrow or something aside is outstanding. An error means that
	// the client broke the protocol: the machine has told it, and the session ends.
	FromClient(in []byte, w Wire) (consumed int, err error)

	// FromBackend is the same for bytes of the held backend. An error means that the backend broke the
	// protocol or is unusable: it is discarded and BackendLost is called.
	FromBackend(in []byte, w Wire) (consumed int, err error)

	// Granted says that the borrow came through: the machine holds b from now on, and brings b's state in line
	// with the session's. FromClient is called afterwards with what waited.
	Granted(b *Backend, w Wire)

	// Refused says that the outstanding borrow ended without a backend: a borrow timeout, no target, a
	// permanent dial error ([DialError]), or [ErrCanceled]. The machine answers the request that needed it
	// in the protocol's own words; the request is never executed later.
	//
	// It is also called once in place of Start, with a [LimitError]: the client has authenticated, and is not let in. The
	// machine says so and calls Wire.Close.
	Refused(err error, w Wire)

	// BackendLost says that the held backend is gone. The machine tells the client what this means for its
	// request and transaction, and then either goes on without a backend or calls Wire.Close.
	BackendLost(err error, w Wire)

	// Stop says that the proxy ends the session for reason ([ErrIdleTimeout], [ErrShutdown], [ErrKilled], or a time limit).
	// The machine says goodbye to the client if the protocol allows it at this point; the core closes then.
	Stop(reason error, w Wire)

	// Busy says whether a request of the client is under way (so that a cancel request has something to stop).
	Busy() bool

	// InTransaction says whether a transaction is open, as the server last said.
	InTransaction() bool
}

// Teller is a Machine that can tell what its client's request is that is under way.
type Teller interface {
	// Running returns the beginning of the text of the statement whose answer is due, nil if it is not known, or if
	// AcceptOptions.KeepText was not set. The caller must neither change nor keep it.
	Running() []byte
}

// Patient is a Machine whose client may have told the server for how long it may be silent.
type Patient interface {
	// Patience returns that; 0: nothing was said.
	Patience() time.Duration
}

// Decliner is a Machine that can answer its client's next request while it holds a backend that is not to have it.
type Decliner interface {
	// Decline is called in front of FromClient, with the same bytes, while nothing is under way. If they begin with a request that a
	// server could be asked to stop, the machine answers that, of which it has taken nothing yet, with err, drops it and returns true.
	Decline(in []byte, err error, w Wire) bool
}

// Committer is a Machine that can tell a COMMIT from what may be stopped when its client has gone.
type Committer interface {
	// Commits says whether something is under way that ends a transaction, or of which that is not known.
	Commits() bool
}

// Wire is all that a machine can do to the world. Its methods return at once and never call the machine back.
type Wire interface {
	// ToClient and ToBackend send p, in order. p may be reused when they return. What one call of a machine
	// sends goes out together. ToBackend without a held backend is a bug and panics in tests.
	ToClient(p []byte)
	ToBackend(p []byte)

	// Borrow asks for a backend. If one is free it is returned, held, and Granted is not called: the machine
	// does itself what it does in Granted. Otherwise it returns nil, and Granted or Refused follows, exactly
	// once, unless the session ends first.
	Borrow(Want) *Backend

	// Idle says that the held backend is at a boundary. If it returns true the machine holds it no more; if
	// false the session is pinned and keeps it.
	Idle() (taken bool)

	// Discard says that the held backend must not be used again by anyone; the machine holds it no more.
	Discard(reason error)

	// Report tells the core of a change of session state that the server has confirmed, and returns what the
	// policy makes of it. Pin has taken effect when it returns. Of state that is gone it says whether something of
	// the kind (of a reset: anything) still pins, by Pin, or not, by Ignore.
	Report(Event) Action

	// Become says that the session is another user's from now on, or begins afresh as the same one's, and that this user
	// has shown who it is. A [LimitError] says that the user is not let in: the session is what it was, and must end.
	Become(user, database, application string) error

	// Kill asks to stop the session with the given ID as owner may: its running request, or the whole of it.
	// The error is nil, ErrNoSession or ErrNotOwner. A session may kill itself.
	Kill(id uint32, what KillScope) error

	// Aside has work done that may block, off the loop: at the latest when ctx ends, which is after as long as a login may
	// take, or with the session. What work returns is called on the loop, unless the session has ended by then. Until it was
	// called, FromClient is not. work must not touch the machine, and a machine has one thing done at a time.
	Aside(work func(ctx context.Context) (then func(Wire)))

	// Outdate says that a login is not any more what the held backend's target made of those so far, if its key has user, unless that is
	// "", and database, unless that is "": no backend with such a key whose login has begun is lent again. The caller answers for it that
	// the client may do that to them.
	Outdate(user, database string)

	// Close ends the session once what was sent to the client has gone out. A held backend is discarded. reason
	// is nil if the client asked for it.
	Close(reason error)

	// Observe counts a finished request or transaction (see Moment). It costs nothing worth avoiding.
	Observe(Moment)
}

// Want is what a session needs of a backend.
type Want struct {
	Key Key
}

// KillScope says what Wire.Kill stops.
type KillScope uint8

const (
	KillRequest KillScope = iota // what the session is executing
	KillSession                  // the session itself
)

// Moment is something worth counting on the relay path.
type Moment uint8

const (
	RequestBegan     Moment = iota // a request of the client needs an answer
	RequestEnded                   // its last answer went out
	TransactionEnded               // a transaction (also a single statement outside of one) ended
	StateRestored                  // a borrowed backend was brought in line with the session
	WriteRefused                   // the server says that it takes no writes: it may be no writer any more
)
