// Package pin decides what a change of session state means and keeps a session's reasons to stay on its backend.
//
// A [Policy] maps each kind of event to an action; the zero policy pins on everything. A session keeps the policy that it
// began with. A [Set] is one session's causes, counted per kind; it belongs to the session's loop and is not locked. The
// session may leave its backend when the set is empty.
package pin
