// Package sim runs Berth's relay under a seeded scheduler with virtual time, against model servers and model clients.
//
// What is real: core/relay (workers, sessions, backends, pools, the registry), core/pool, core/pin, and the machines of
// the engines. What is replaced: core/loop and the sockets below it, by loops and pipes that deliver bytes in random
// pieces after random delays, tear connections, and reuse every buffer that they lent as soon as they may.
//
// # How it runs
//
// A [world] has one thread of control. Loops are events; whatever blocks (clients, servers, logins, dials, cancels) is a
// process: a coroutine that the scheduler resumes and that parks itself, so that at any moment one thing runs, and the
// order is the seed's. Two runs of a seed make the same trace, byte by byte.
//
// # What happens
//
// Clients pipeline, prepare, cancel (also what is not theirs), do not read for long, close their half of the connection, or leave in
// the middle of a message. Connections of either side are torn at any byte; servers are slow, stall, shut down, or say that they
// are going to say no more; dials fail, or are never answered. Limits and rules are reloaded, pools are paused, the proxy drains. There may be
// several targets: servers crash, the writer changes, sessions are rerouted and cut, for either role. Which one that is, is the
// simulation's decision: monitors (core/target) live in real time and have tests of their own.
//
// # What is checked
//
//   - each request of a client gets its own answers, in order, within a bounded virtual time;
//   - no client sees what another one set;
//   - who listens (PostgreSQL) hears what was committed, all of it, once, and by whom it was sent; and nobody else does;
//   - what is committed is what the clients were told: the database keeps a journal, in which every transaction must be
//     one client's, whole, at most once, and there if and only if the client was told so (either, if its connection
//     broke before the answer);
//   - the server never counts more connections than the budget, and the pool's accounts hold, all the time;
//   - open is the sum of idle, lent, dialing and closing, and at most the budget, after every event;
//   - each borrow ends in a grant or a refusal, and neither before nor long after its timeout if it is refused;
//   - no backend is lent to two, or with a transaction or locks on it, and nobody is passed for ever by who came later;
//   - at the end nothing is left: sessions, timers, lent backends, processes, gauges.
//
// The line engine is the smallest protocol that a pool can be wrong with: it tests the relay and nothing else. Replay a
// seed with -sim.seed, run many with -sim.seeds, or for a time with -sim.time (make sim). A seed that fails is shrunk: of what it
// makes up, as much is turned down as can be, and what is left is printed, to be replayed with -sim.with.
package sim
