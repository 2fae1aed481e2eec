// Package host runs plugins: programs that Berth starts, talks to over gRPC (HashiCorp's go-plugin), and ends.
//
// A plugin gets nothing of Berth's environment, in which there may be secrets, and a directory of its own for its socket. Both sides
// prove by certificates made for the start that they are those of the start. Its file may be held to a checksum, at every start. It is
// taken for a program with bugs, not for an enemy: it runs as Berth's user. What it says is bounded in size and in
// how much of it is logged, and nothing waits for it without a limit.
package host
