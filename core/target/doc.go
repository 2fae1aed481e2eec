// Package target is a target group: the database servers behind listeners, whether they are up, and how many
// connections each may be given.
//
// A [Group] owns a [relay.Pool] for each of its targets and a monitor that probes the target. What the monitor finds is
// published as an immutable [Health], which any goroutine may read; the pools' limits are changed on a worker's loop.
package target
