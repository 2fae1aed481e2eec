package differential

import (
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/berthdb/berth/integration/harness"
)

// grace is how long one session is waited for before another one is given its turn. It decides nothing but the order: a
// session that waits for a connection must not hinder those that have one.
const grace = 5 * time.Millisecond

// lost begins the answer to a request that the connection did not survive. None follows it.
const lost = "the connection is lost: "

// alone plays one session, and returns what it was told: what it learned at login, then the answer to each request.
func alone(e engine, at harness.Endpoint, s *session) []string {
	p := player{engine: e, at: at, session: s}
	for !p.over() {
		p.step()
	}
	p.leave()
	return p.answers
}

// together plays the sessions of a script in turns, in an order that r decides as far as no session has to wait.
func together(e engine, at harness.Endpoint, s script, r *rand.Rand) [][]string {
	answers := make([][]string, len(s.sessions))
	finished := make(chan int, len(s.sessions))
	var players []*player
	var ready []int
	for i := range s.sessions {
		p := &player{engine: e, at: at, session: &s.sessions[i], turn: make(chan struct{})}
		go p.run(i, finished)
		players, ready = append(players, p), append(ready, i)
	}
	back := func(i int) {
		if players[i].over() {
			close(players[i].turn)
			answers[i] = players[i].answers
		} else {
			ready = append(ready, i)
		}
	}
	for busy := 0; busy+len(ready) > 0; {
		if len(ready) == 0 {
			back(<-finished)
			busy--
			continue
		}
		at := r.IntN(len(ready))
		next := ready[at]
		ready = append(ready[:at], ready[at+1:]...)
		players[next].turn <- struct{}{}
		busy++
		for impatient, waiting := time.After(grace), true; waiting; {
			select {
			case i := <-finished:
				back(i)
				busy--
				waiting = i != next
			case <-impatient:
				waiting = false
			}
		}
	}
	return answers
}

// player plays one session, a step at a time.
type player struct {
	engine  engine
	at      harness.Endpoint
	session *session
	turn    chan struct{} // one step each; closed at the end

	client  connection
	answers []string
	gone    bool
}

// run does a step each turn and says so. The player is its own from a turn to when it says so.
func (p *player) run(number int, finished chan<- int) {
	for range p.turn {
		p.step()
		if p.over() {
			p.leave()
		}
		finished <- number
	}
}

func (p *player) over() bool { return p.gone || len(p.answers) > len(p.session.requests) }

// step logs in or sends the next request.
func (p *player) step() {
	var answer string
	var err error
	if n := len(p.answers); n == 0 {
		p.client, answer, err = p.engine.login(p.at, p.session)
	} else {
		answer, err = p.client.do(p.session.requests[n-1])
	}
	if err != nil {
		var cause net.Error
		if errors.As(err, &cause) && cause.Timeout() {
			err = errors.New("no answer") // either side's address is in the way of comparing them
		}
		answer += lost + err.Error()
		p.gone = true
	}
	p.answers = append(p.answers, answer)
}

func (p *player) leave() {
	if p.client != nil {
		p.client.close()
	}
}
