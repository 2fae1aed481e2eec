// Package core is Berth without its protocols: it accepts clients, relays their sessions over few database
// connections, and knows how the databases are. This comment is the architecture on one page.
//
// # Two phases
//
// A connection logs in in a goroutine of its own, with plain blocking code under a deadline. Then its socket goes to an
// event loop (package loop), which is one goroutine around epoll or kqueue and owns its sessions outright. An idle
// session has no goroutine and no buffer.
//
// # One query's way
//
//	client socket readable -> loop.Stream reads into the loop's scratch
//	  -> relay.Session hands the bytes to its engine.Machine
//	    -> the machine needs a backend: Wire.Borrow -> pool.Pool lends one, or the session waits in its queue
//	    -> the machine brings the backend in line and sends the query
//	backend socket readable -> relay.Backend -> Machine.FromBackend -> the answer goes to the client
//	    -> at a boundary: Wire.Idle -> unless pinned (package pin), the backend goes back in a deferred task,
//	       straight to the first waiter if there is one
//
// # Packages
//
//   - engine: the seam. What an engine must do, what a machine may do.
//   - socket: a connection's login phase, and what it leaves to a loop.
//   - loop: event loops, streams, timers.
//   - pool: the accounts of lending: budget, queue, eviction. It opens and closes nothing itself.
//   - pin: what a change of session state means.
//   - relay: sessions and backends on loops; the hands of the pool.
//   - target: target groups, their pools and health.
//   - telemetry: counters and their export.
//   - this package: listeners, logins, drain, status.
//
// Imports point to the leaves: core imports target, relay; these import pool, pin, loop, socket, engine. Nothing here
// imports an engine, a plugin or the configuration.
package core
