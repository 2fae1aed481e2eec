// Package loop runs sockets on event loops.
//
// A [Loop] is one goroutine around a poller ([Poll] is the real one). It owns the streams that are open on it, their
// buffers and its timers; nothing of them is locked. Other goroutines reach it through Post only.
//
// A [Stream] is a socket on a loop. What arrives is given to its [Handler]; what is written is staged and goes out when
// the handler's call (or the task, or the timer) returns, in one system call where the kernel takes it. A stream that
// is idle owns no buffer: bytes are read into the loop's scratch, and only what the handler leaves moves to a buffer of
// the stream's own.
//
// An idle backend connection is shared by all loops through its pool: its stream is parked. A loop that gets an event
// for a parked stream asks the handler (OnWake) whether the stream is its own before it touches it; another loop that
// was lent the connection moves the stream to itself (MoveTo). Who owns a stream is one atomic word, so that a stale
// event on the old loop is seen as such. An event's token has a generation besides, so that one that was on its way
// when its stream was closed is not taken for the next stream's.
//
// # An iteration
//
// Events, then posted tasks, then timers that are due, then streams that have something to tell that is no event of
// the poller's (bytes received before Open, a failure). Each of these is one call into the user. After each: deferred
// tasks until there are none, then the output of all streams that were written to. One stream is read once in an
// iteration, at most 64 KiB of it.
//
// # Ends
//
// What the peer sent before its end is delivered before OnClose. A failure to send is told the same way: reading goes
// on until there is nothing, then OnClose has the error. A handler that panics loses its stream: OnClose gets a
// [PanicError].
package loop
