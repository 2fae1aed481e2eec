package sim

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/socket"
)

// dialer is the half of an engine that opens connections, for model servers: whatever protocol they speak afterwards, a
// connection begins with one line each way.
type dialer struct {
	w       *world
	servers map[string]*server // by their names as targets
	faults  faults
	state   func(key engine.Key, id int) any // makes Backend.State, a pointer
	ids     map[any]int                      // the server's id of a connection, by its state
	sticky  bool
}

// CancelSticks implements engine.StickyCanceler.
func (d *dialer) CancelSticks() bool { return d.sticky }

// hangs is how long a dial takes that is never answered.
const hangs = 15 * time.Second

// Dial implements engine.Engine.
func (d *dialer) Dial(ctx context.Context, t engine.Target, key engine.Key) (engine.Dialed, error) {
	d.w.current.sleep(d.w.upTo(50 * time.Millisecond))
	fail := func(permanent bool, err error) (engine.Dialed, error) {
		return engine.Dialed{}, &engine.DialError{Target: t.Name, Permanent: permanent, Err: err}
	}
	if d.w.chance(d.faults.hang) {
		for until := d.w.now + hangs; d.w.now < until; d.w.current.sleep(100 * time.Millisecond) {
			if errors.Is(ctx.Err(), context.Canceled) { // the deadline is real time
				break
			}
		}
		return fail(false, context.DeadlineExceeded)
	}
	if d.servers[t.Name].down || d.w.chance(d.faults.refuseDial) {
		return fail(false, errors.New("connection refused"))
	}
	conn := d.servers[t.Name].dial("backend")
	r := &reader{from: conn}
	_, err := fmt.Fprintf(conn, "hello %s\n", key.User)
	line := ""
	if err == nil {
		line, err = r.line()
	}
	if err != nil {
		_ = conn.Close()
		return fail(false, err)
	}
	id, welcome := strings.CutPrefix(line, "welcome ")
	if !welcome {
		_ = conn.Close()
		return fail(true, &engine.ServerError{Code: "28000", Message: line})
	}
	c := socket.New(conn)
	c.Rest = r.have
	n, err := strconv.Atoi(id)
	state := d.state(key, n)
	d.ids[state] = n
	return engine.Dialed{Conn: c, State: state}, err
}

// Cancel implements engine.Engine.
func (d *dialer) Cancel(_ context.Context, t engine.Target, b *engine.Backend) error {
	d.w.current.sleep(d.w.upTo(20 * time.Millisecond))
	if d.w.chance(d.faults.cancel) {
		return errors.New("cancel refused")
	}
	if d.servers[t.Name].down {
		return errors.New("connection refused")
	}
	conn := d.servers[t.Name].dial("cancel")
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "cancel %d\n", d.ids[b.State]); err != nil {
		return err
	}
	if d.w.chance(d.faults.cancel) {
		return errors.New("cancel timed out") // and takes effect later
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		return errors.New("cancel was answered")
	}
	return nil
}

// greet is the server's side of how a connection begins. It says whether the connection goes on.
func (c *session) greet(r *reader) bool {
	hello, err := r.line()
	if err != nil {
		return false
	}
	switch f := strings.Fields(hello); {
	case f[0] == "cancel":
		id, _ := strconv.Atoi(f[1])
		c.server.cancel(id)
		return false
	case f[1] == "nobody":
		_, _ = c.conn.Write([]byte("nobody may not log in\n"))
		return false
	default:
		c.enter(engine.Key{User: f[1]})
	}
	_, err = fmt.Fprintf(c.conn, "welcome %d\n", c.id)
	return err == nil
}
