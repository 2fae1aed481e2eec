// Package soak is a long run: for as long as it is told (-soak.time), everything at once, at a set rate, on all four servers through one
// Berth with small pools, while one thing after the other goes wrong. At its end the books must balance. `make soak` runs it for an hour and
// prints a table that can be kept; `make test` runs a quarter of a minute of it.
//
// # The load
//
// Requests are due at a fixed rate, whether or not those before have been answered (an open loop), and a crowd of clients with real drivers takes
// them in order. Latency counts from when a request was due: what waits for a slow one counts as slow. Each client has one connection, and
// a request is one of everything that clients do (pg_ops_test.go, my_ops_test.go): selects by each way of a driver, transactions, acknowledged
// writes, settings that are read later, temporary tables and locks that are kept for a while, COPY, LISTEN, errors, cancels, time-outs, large
// values, resets, and connections that end without a word in the middle of a transaction. An answer is checked against what only this client can know.
//
// # The faults
//
// One every few seconds, by the seed (faults_test.go): clients' sockets are reset, backends terminated at the server, a group is paused, a server
// stops for half a second or is killed and started again, the limits of the pools change by a reload, a new process takes over. A client may be told only what
// docs/failover.md and docs/configuration.md say (verdict_test.go): anything else fails the run.
// Processes change in the first part of the run only, so that the last one is old when it is measured.
//
// # The books
//
// When all clients have gone (books_test.go): every acknowledged write is there once, those of unknown outcome in full or not at all; nothing is
// lent, dialed or waited for, nothing is open beyond the limit, no session is left; descriptors, goroutines and memory are what they were early in the run; the
// servers have no more prepared statements than the caches may hold; and when Berth has ended, the servers have no connection, lock, transaction
// or statement of its clients.
//
// # What it cannot see
//
// A seed makes the same plan of faults, and the same choices of each client; it does not make the same run: which request meets which fault, the
// scheduler and the servers decide. That is the simulator's part (integration/sim). It asks for no figure of speed but its table: it runs on whatever machine there is.
// PostgreSQL does not tell of prepared statements on others' connections; that the caches are bounded there, tests in integration/postgres show. Networks that lose packets
// and replicas are not in it (integration/failover).
package soak
