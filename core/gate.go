package core

// gate bounds how many logins are at work at once, so that their TLS and hashing (milliseconds each) do not take the
// processors from the loops. It implements socket.Gate.
type gate chan struct{}

func newGate(n int) gate { return make(gate, n) }

func (g gate) Enter() { g <- struct{}{} }
func (g gate) Leave() { <-g }
