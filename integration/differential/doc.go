// Package differential compares sessions behind a proxy with the same sessions on the server itself.
//
// A [script] is a handful of sessions, each a login and a list of requests, made at random from a seed. It is played twice: on
// the server, each session on a connection of its own; and through a proxy with fewer connections than
// sessions, which hands each borrower the connection used longest ago (BERTH_PARANOID=1), the sessions' requests interleaved at
// random. Every message of every answer must be the same. What the sessions do may therefore depend on nothing but
// themselves: each has schemas, locks, channels and the like of its own.
//
// Workers play several scripts at a time, each on objects, and through a listener and connections, of its own. What a script says does
// not depend on who plays it but for the names of these: its seed is enough to play it again.
//
// A script in which answers differ is made smaller by leaving out sessions and requests as long as they differ, and printed
// with its seed.
//
// Rendered answers leave out what two runs on the server itself would not agree on: process and thread ids, the numbers of tables and
// other things that are made anew for each run, and when within an answer a parameter's new value is reported.
package differential
