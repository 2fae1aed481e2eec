// Package target is a target group: the database servers behind listeners, whether they are up, which of them is the
// writer, and how many connections each may be given.
//
// # Who does what
//
// A [Group] owns a [Member] for each target: its [relay.Pool], and its monitor. The monitor is one goroutine that keeps one
// connection to the target (engine.Watch), apart from the loops: it asks after every health_check.interval, and at once when
// that connection ends or when the pool says that something is the matter: a backend was lost or could not be opened, or the
// server refused a write. While a group has several targets and no writer, its targets are asked every 100 ms.
//
// What the monitors find meets in the group, under its lock. From all of it together follow each target's [Health] and
// where the roles lead; both are published as immutable values that any goroutine may read. Where a role leads is
// read by each borrow; when it changes, the sessions that wait are moved (relay.Worker.Reroute). Pools' limits are changed on
// a worker's loop.
//
// # Who the targets are
//
// They are a value that is replaced (Group.SetTargets). Who joins gets a pool and a monitor. Who leaves loses the monitor
// and its part of the routes; when every worker has been told, its pool is closed, and it is forgotten with its
// last connection.
//
// # Which target is used
//
// The only target of a group is used for everything, whatever it says. Of several, the writer is the one that says it is;
// read-only sessions are spread over the others that are up and not too far behind ([Replicas]), or use the writer. If two
// say that they are the writer, both are asked again, and if they insist none of them is used until one steps back: their
// sessions are cut, and others wait.
// While there is no target for a role, its borrows wait within their timeout.
//
// # Reads that see what was written
//
// With Replicas.ReadYourWrites two kinds of goroutines more ask, over a connection each, how far the writer is and whether a replica is there, when
// somebody reads (fresh.go).
//
// # Up and down
//
// A target is down when its monitoring connection fails and a second one, made at once, fails as well. It is up with
// the first answer; but a target that was lost repeatedly within a minute is used again only after it has answered for a
// while, each time longer (damping). A target that lives and only has no place for a connection more stays up while its
// pool has connections, of which one that is idle makes place for the monitor. One that is only too slow for the monitor stays up while it answers
// sessions, unless it is a writer beside another one. A target from which nothing at all came (no refusal, no reset: a cut network, a stopped
// machine) loses its sessions when it is down: nobody else would tell them.
//
// # A hard limit
//
// With max_connections the monitor's connection is one of them: it claims a place in the pool's budget for as long as
// it is open, which is for one question. The only target of such a group is not asked while its connections work, unless its
// lag matters. Where what the targets say matters (several, or max_lag) a place is kept for the monitor, if the limit leaves one for sessions
// beside it: a pool may be full for as long as it likes, and whose replica is promoted meanwhile is the writer. The
// connection that asks how far the target is claims the place that is kept for it.
package target
