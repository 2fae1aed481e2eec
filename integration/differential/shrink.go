package differential

import "time"

// tries is how often a script is played before it counts as one without a difference: the order of its sessions is not
// the same each time.
const tries = 3

// shrink leaves out sessions and requests of a script as long as there is a difference. It returns the smallest script
// found within the time given, and its difference.
func (r *rig) shrink(s script, d *difference, within time.Duration) (script, *difference) {
	end := time.Now().Add(within)
	fails := func(smaller script) bool {
		for range tries {
			if time.Now().After(end) {
				return false
			}
			if found, err := r.compare(smaller); err != nil {
				return false
			} else if found != nil {
				s, d = smaller, found
				return true
			}
		}
		return false
	}
	// What follows the difference cannot have caused it, and often its session alone is enough.
	for _, one := range s.sessions {
		if one.number == d.session && fails(script{s.seed, []session{one}}) {
			break
		}
	}
	for i := len(s.sessions) - 1; i >= 0 && len(s.sessions) > 1; i-- {
		fails(without(s, i))
	}
	for i := range s.sessions {
		for n := (len(s.sessions[i].requests) + 1) / 2; n > 0; n /= 2 {
			for from := len(s.sessions[i].requests) - n; from > -n; from -= n {
				fails(withoutRequests(s, i, max(from, 0), from+n))
			}
		}
		if len(s.sessions[i].startup) > 0 {
			plain := withoutRequests(s, i, 0, 0)
			plain.sessions[i].startup = nil
			fails(plain)
		}
	}
	return s, d
}

func without(s script, i int) script {
	kept := append([]session(nil), s.sessions[:i]...)
	return script{s.seed, append(kept, s.sessions[i+1:]...)}
}

// withoutRequests leaves out the requests [from, to) of session i.
func withoutRequests(s script, i, from, to int) script {
	sessions := append([]session(nil), s.sessions...)
	all := sessions[i].requests
	kept := append([]request(nil), all[:from]...)
	sessions[i].requests = append(kept, all[min(to, len(all)):]...)
	return script{s.seed, sessions}
}
