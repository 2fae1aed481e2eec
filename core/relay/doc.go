// Package relay drives sessions: it gives each machine the bytes of its client and of its backend, borrows backends for
// it, pins it, and takes backends back.
//
// # Who owns what
//
//   - A [Worker] is what the relay keeps on one loop. Everything of it belongs to the loop's goroutine.
//   - A [Session] belongs to the worker it was started on, for life. Other goroutines know it by its ID in a [Registry]
//     and reach it by posting to its loop.
//   - A [Backend] belongs to the worker whose loop its stream is on. While it is idle in its [Pool], its stream is
//     parked and the pool's lock decides who may take it.
//
// # Lending
//
// A backend goes back in a deferred task, never while a call into a session or a stream is on the stack: by then the
// machine has returned, the stream has done its bookkeeping, and the next borrower may be on another loop already.
//
// A backend that must not be used again is closed and keeps its place in the pool's budget until the server has closed
// its side too, because until then the server counts it.
package relay
