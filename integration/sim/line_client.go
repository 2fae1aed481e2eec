package sim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// lines is the line protocol.
type lines struct{ engine *lineEngine }

var _ dialect = lines{}

func (lines) serve(s *session)               { serveLines(s) }
func (lines) mischief(s *session, last bool) { lineMischief(s, last) }
func (lines) quit() []byte                   { return []byte("quit\n") }
func (lines) undoes() bool                   { return false }
func (lines) restores() bool                 { return false }
func (lines) dooms() bool                    { return true }
func (lines) bereaved() byte                 { return 0 }

func (l lines) accept(r *run, c *client, id uint32, _ *engine.Conn) (engine.Accepted, error) {
	key := engine.Key{User: c.user()}
	secret := fmt.Sprintf("secret%d", r.w.rng.IntN(1000000))
	m := &lineMachine{e: l.engine, id: id, key: key, secret: secret}
	return engine.Accepted{Machine: m, Key: key, User: key.User, Secret: []byte(secret)}, nil
}

func (l lines) login(c *client) error {
	a, err := c.patiently(request{verb: "login"})
	if err != nil {
		return err
	}
	f := strings.Fields(a.line)
	if len(f) != 3 || f[0] != "hello" {
		return fmt.Errorf("greeted with %q", a.line)
	}
	id, _ := strconv.ParseUint(f[1], 10, 32)
	c.id, c.secret = uint32(id), []byte(f[2])
	return nil
}

func (lines) encode(_ *client, q request) []byte { return append([]byte(q.line()), q.body...) }

func (lines) answer(c *client, q request) (a answer, err error) {
	if a.line, err = c.in.line(); err != nil {
		return a, err
	}
	if f := strings.Fields(a.line); len(f) == 4 && f[2] == "rows" {
		n, _ := strconv.Atoi(f[3])
		a.rows, err = c.in.block(n)
	}
	return a, err
}
