// Package control is what operators see of a running proxy: health checks, metrics and status over HTTP.
//
// It reads snapshots and live counters; it changes nothing. Any goroutine may use it.
package control
