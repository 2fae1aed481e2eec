// Package discovery finds the servers of a target group where others keep account of them: in DNS, at Patroni, and by
// a plugin: a program of somebody else's that Berth runs.
//
// A source is asked again and again by the target group, and says what it finds there. It decides nothing, and does not
// say who the writer is: the servers are asked that. Only a [Plugin] keeps something, its last answer: it tells of changes by itself. Everything here is safe for concurrent use.
package discovery
