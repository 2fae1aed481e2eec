// Package loop runs sockets on event loops.
//
// A [Loop] is one goroutine around a poller. It owns the streams that are open on it, their buffers and its timers;
// nothing of them is locked. Other goroutines reach it through Post only.
//
// A [Stream] is a socket on a loop. What arrives is given to its [Handler]; what is written is staged and goes out when
// the handler's call (or the task, or the timer) returns, in one system call where the kernel takes it. A stream that
// is idle owns no buffer.
//
// An idle backend connection is shared by all loops through its pool: its stream is parked. A loop that gets an event
// for a parked stream asks the handler (OnWake) whether the stream is its own before it touches it; another loop that
// was lent the connection moves the stream to itself (MoveTo). Who owns a stream is one atomic word, so that a stale
// event on the old loop is seen as such.
package loop
