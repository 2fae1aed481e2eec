// Package drivers runs the prologues of the drivers that applications use: what a driver and its framework say at the
// start, in a transaction and between two uses of a connection, through Berth. Its test generates the table of
// docs/pinning.md.
//
// A prologue is a program in the driver's own language, in a directory named after that, or a Go function. It goes
// through a tap, which records what it sends, to Berth, and so to every server of its engine; while the connection is
// at rest Berth is asked whether the session is pinned. A driver whose language cannot be had is replayed: the
// messages that its source sends, by Go. scripts/drivers and scripts/install-deps get the drivers; what is missing
// fails the test.
package drivers
