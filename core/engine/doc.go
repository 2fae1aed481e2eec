// Package engine is the seam between Berth's core and a wire protocol.
//
// An [Engine] speaks one protocol for one target group. Its blocking half (Accept, Dial, Watch, Cancel) runs in
// login goroutines under a deadline. Its relaying half is a [Machine] per session: bytes in, bytes out, no
// sockets, no clocks, no locks. A machine acts on the world through a [Wire] only, so that an event loop drives it
// in production and a simulator in tests, and it cannot tell which.
//
// # Words
//
//   - session: one client connection after login; it has exactly one machine.
//   - backend: one logged-in database connection, with its actual session state in [Backend.State].
//   - boundary: a point at which a backend may go to another session: every answer has been read, no
//     transaction is open, and nothing that the session changed remains on it.
//   - lend: the time from a grant to the next boundary at which the core takes the backend back.
//   - event: what a machine tells the core about session state. The core alone decides what it means.
//
// # Who may call what
//
// Every method of a Machine and of the Wire passed to it is called on the goroutine of the session's loop, never
// concurrently, and the Wire is valid only during the call it was passed to. The methods of an Engine may be called
// from any goroutine; Idle is called on the goroutine of the loop that has the backend.
package engine
