// Package discovery finds the servers of a target group where others keep account of them: in DNS, and at Patroni.
//
// A source is asked again and again by the target group, and says what it finds there. It keeps nothing, decides nothing, and does not
// say who the writer is: the servers are asked that. Everything here is safe for concurrent use.
package discovery
