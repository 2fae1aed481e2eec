// Package socket is a TCP connection in the two phases of its life.
//
// In the login phase a [Conn] blocks, with deadlines, in a goroutine of its own. [Conn.Detach] ends that phase: what it
// returns is a bare non-blocking descriptor for an event loop and, if the connection is encrypted, the TLS state on
// top of memory instead of the socket. After Detach the loop owns both.
package socket
