// Package identity makes what a client shows instead of a password: login tokens of AWS IAM.
//
// It asks nobody: a token is made of credentials that the caller has, of the name of what it is for, and of the time. Any
// goroutine may use it.
package identity
