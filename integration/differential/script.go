package differential

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/berthdb/berth/integration/harness"
)

// request is what a client sends before it waits for the answers to all of it. Each engine has its own; String is how
// it is printed.
type request interface{ String() string }

// session is one client's life: it logs in, sends requests, and leaves.
type session struct {
	number   int // which schemas, locks and so on are its own
	login    harness.Login
	startup  map[string]string // parameters of its start-up packet
	requests []request
}

// script is sessions that are played together.
type script struct {
	seed     uint64
	sessions []session
}

// engine is what scripts need to know of a protocol and its SQL. Several may be at work on one server: each is one worker's, or a
// kind of that worker's scripts, and what sessions of one use, such as databases, no session of another one does.
type engine interface {
	// prepare makes what scripts need that stays, such as roles.
	prepare(t harness.T, s *harness.Server)
	// reset makes the objects of sessions 0 to sessions-1 as they are at a script's beginning.
	reset(s *harness.Server, sessions int) error
	// generate makes a session.
	generate(r *rand.Rand, number int) session
	// accepted are differences that are none.
	accepted() []acceptance
	// login logs in. greeting is what the client learns by that.
	login(e harness.Endpoint, s *session) (c connection, greeting string, err error)
}

// connection is a session's connection.
type connection interface {
	// do sends a request and renders its answers. After an error the connection is of no use.
	do(q request) (answer string, err error)
	close()
}

// sessionsOfScript is four times the connections of the proxy that it is played through.
const sessionsOfScript = 8

// generate makes the script of a seed.
func generate(e engine, seed uint64) script {
	s := script{seed: seed}
	for i := range sessionsOfScript {
		s.sessions = append(s.sessions, e.generate(rand.New(rand.NewPCG(seed, uint64(i))), i))
	}
	return s
}

func (s script) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", s.seed)
	for _, one := range s.sessions {
		fmt.Fprintf(&b, "session %d of %s", one.number, one.login.User)
		for _, name := range slices.Sorted(maps.Keys(one.startup)) {
			fmt.Fprintf(&b, " %s=%q", name, one.startup[name])
		}
		b.WriteByte('\n')
		for i, q := range one.requests {
			fmt.Fprintf(&b, "  %3d %s\n", i+1, q)
		}
	}
	return b.String()
}
