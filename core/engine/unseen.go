package engine

import "sync/atomic"

// Unseen says what becomes of session state that code changed which no scan of a statement sees (unseen_changes).
type Unseen uint8

const (
	UnseenVerify Unseen = iota // the server is asked before the backend goes to another session
	UnseenPin                  // whatever may have changed something unseen keeps the backend
	UnseenTrust                // there is nothing of the kind, says the configuration
)

// UnseenRule is what unseen_changes says now, to be embedded in an Engine. A session reads it once, when it begins, so
// that a reload changes it for those that begin afterwards. Any goroutine may use it.
type UnseenRule struct{ now atomic.Uint32 }

// SetUnseen changes the rule.
func (r *UnseenRule) SetUnseen(u Unseen) { r.now.Store(uint32(u)) }

// Unseen returns the rule.
func (r *UnseenRule) Unseen() Unseen { return Unseen(r.now.Load()) }

// UnseenSetter is an Engine whose UnseenRule can be changed.
type UnseenSetter interface{ SetUnseen(Unseen) }
