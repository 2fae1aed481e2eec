package differential

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/berthdb/berth/integration/harness"
)

// difference is the first answer of a script's session that is not what the server itself says.
type difference struct {
	session int
	request string // or the login
	want    string // from the server
	got     string // through the proxy
	before  []request
}

func (d *difference) String() string {
	want, got := strings.Split(strings.TrimSuffix(d.want, "\n"), "\n"), strings.Split(strings.TrimSuffix(d.got, "\n"), "\n")
	same := 0
	for same < len(want) && same < len(got) && want[same] == got[same] {
		same++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "session %d, %s\n    (%d lines are the same)\n", d.session, d.request, same)
	for _, line := range want[same:] {
		fmt.Fprintf(&b, "    the server: %s\n", line)
	}
	for _, line := range got[same:] {
		fmt.Fprintf(&b, "    the proxy:  %s\n", line)
	}
	return b.String()
}

// acceptance is a difference that harms nobody. The lists of them may only become shorter.
type acceptance struct {
	request, want, got *regexp.Regexp // all must match; nil does
	behind             *regexp.Regexp // one of the session's requests before it must, if set
	where              *regexp.Regexp // what of the answers differs, if set
	reason             string
	// alone says that it changes nothing of what follows, which is compared, too.
	alone bool
}

func (a *acceptance) covers(d *difference) bool {
	matches := func(r *regexp.Regexp, text string) bool { return r == nil || r.MatchString(text) }
	return matches(a.request, d.request) && matches(a.want, d.want) && matches(a.got, d.got) &&
		(a.where == nil || a.where.ReplaceAllString(d.want, "") == a.where.ReplaceAllString(d.got, "")) &&
		(a.behind == nil || slices.ContainsFunc(d.before, func(r request) bool { return a.behind.MatchString(r.String()) }))
}

// rig is a server, a listener of a proxy in front of it, and what to play on them. One script is played on it at a time.
type rig struct {
	engine   engine
	server   *harness.Server
	proxy    harness.Endpoint
	accepted []acceptance
}

// compare plays a script on both sides. An error is one of the test itself.
func (r *rig) compare(s script) (*difference, error) {
	if err := r.engine.reset(r.server, sessionsOfScript); err != nil {
		return nil, err
	}
	want := make([][]string, len(s.sessions))
	var sessions sync.WaitGroup
	for i := range s.sessions {
		sessions.Go(func() { want[i] = alone(r.engine, r.server.Endpoint, &s.sessions[i]) })
	}
	sessions.Wait()
	if err := r.engine.reset(r.server, sessionsOfScript); err != nil {
		return nil, err
	}
	got := together(r.engine, r.proxy, s, rand.New(rand.NewPCG(s.seed, sessionsOfScript)))
	for i := range s.sessions {
		if d := r.first(&s.sessions[i], want[i], got[i]); d != nil {
			return d, nil
		}
	}
	return nil, nil
}

// first compares the answers of a session. An accepted difference may change all that follows: nothing after it is compared, unless it
// says otherwise.
func (r *rig) first(s *session, want, got []string) *difference {
	for i := range max(len(want), len(got)) {
		d := difference{session: s.number, request: "login", want: "nothing", got: "nothing"}
		if i > 0 {
			d.request = fmt.Sprintf("request %d: %s", i, s.requests[i-1])
			d.before = s.requests[:i-1]
		}
		if i < len(want) {
			d.want = want[i]
		}
		if i < len(got) {
			d.got = got[i]
		}
		if d.want == d.got {
			continue
		}
		accepted := slices.IndexFunc(r.accepted, func(a acceptance) bool { return a.covers(&d) })
		if accepted < 0 {
			return &d
		}
		if !r.accepted[accepted].alone {
			return nil
		}
	}
	return nil
}
