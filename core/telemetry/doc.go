// Package telemetry counts what Berth does, in atomics that cost the relay path a few nanoseconds, and exports them.
//
// Whoever does something counts it here directly: a counter is a field, not a name. The fields are grouped by what they
// are labelled with: [Listener] and [Target]. Any goroutine may read and write them. Gauges that somebody
// else already keeps (the pool's accounts) are read when metrics are collected, not kept twice.
package telemetry
