// Package pool accounts for the backend connections of one target: who has which, who waits, and what must be opened or
// closed so that the waiters are served and the budget holds. It opens and closes nothing itself, has no goroutine and
// no clock: every operation is told the time, and returns a [Todo] for the caller to carry out.
//
// # Words
//
//   - connection ([Conn]): a slot of the budget from the decision to dial until it is closed. It is always in exactly
//     one state: dialing, idle, lent or closing.
//   - key: what a connection is bound to for its life; it serves borrowers of an equal key only.
//   - waiter ([Waiter]): a place in the queue. A waiter is covered while a dial for its key is in flight that it would
//     get if nothing else came sooner, and needy otherwise.
//   - pass: an older waiter sees a connection go to a younger one.
//
// # Invariants
//
//   - dialing + idle + lent + closing + claimed <= Max, less what is kept and not claimed, at every instant; a claimed slot
//     is that of a connection which is not the pool's (the monitor's). When Max is lowered the sum falls as connections come
//     back, and does not grow before it is below the new Max.
//   - A dial belongs to the pool, not to the waiter that caused it. Whoever is first when it ends gets it.
//   - No waiter waits while a connection of its key is idle.
//   - No waiter is needy while a dial may start: not paused, a slot free, fewer than MaxDials in flight, of which neither its key has
//     its share nor, if its last dial failed, those of which that is true (a quarter or so is for others), nor, if none succeeded yet or since, those of which
//     that is true (an eighth or so is for others), its key not in the pause after a failure, which ends early when the server is said to be reachable. When only the slot is missing and connections of other keys are idle, one of them is closing.
//   - No connection is idle that had begun when its key was outdated.
//   - While the pool is paused nothing is idle, no dial begins and nobody is granted anything.
//   - A waiter is taken out of the queue exactly once: by a grant, a refusal, or Abandon.
//
// # Order
//
// Waiters are served first come, first served, with two liberties. A connection that comes back goes to a waiter on the
// loop that it is on rather than to an older one elsewhere (no wake-up, no move), and to a waiter of its own key rather
// than to an older needy one of another key (no close, no dial). Each waiter is passed at most 8 times, both kinds
// together, while it is the oldest of its key or the oldest needy one. Then order holds: the connection is granted to
// it, or is closed to make place for its key. So one that finds n waiters of its key before it is granted at the latest
// with the 9(n+1)-th connection that its key's waiters get. Passes by other keys are not counted while they cost a
// waiter nothing: while a slot is already on its way to it or as many dials as allowed are in flight.
//
// # Who may call what
//
// A pool may be used from any goroutine. It never calls out. Whoever a connection is lent to, dials it or closes it owns
// its Value; so the one who calls Opened must have finished with Value before, and the one who calls Return or Closed
// does not touch it after. A Waiter belongs to its session; its exported fields must not change while it is queued.
// Misuse (a connection returned twice, a waiter queued twice) panics with "BUG: pool: ...".
package pool
