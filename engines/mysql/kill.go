package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// errElsewhere is why nothing is killed.
var errElsewhere = errors.New("another server answers at the address of the one that is to stop something")

// Cancel asks t to stop b's statement: KILL QUERY on a connection of its own, as the same user, who may. A connection
// that is no more has nothing to stop. KILL goes by a number that every server counts for itself: where another server answers at the
// address now (an address or a name that has moved to the new writer), it would stop a stranger's statement, and is not sent.
func (e *Engine) Cancel(ctx context.Context, t engine.Target, b *engine.Backend) error {
	state, ok := b.State.(*backendState)
	if !ok {
		return fmt.Errorf("cancel: state is %T", b.State)
	}
	u, err := e.open(ctx, t, engine.Key{User: state.user, Options: keyOptions(0, probeCharset)})
	if err != nil {
		return dialError(t, err)
	}
	defer u.leave()
	row, err := u.ask("SELECT " + identity)
	if err == nil && (len(row) != 2 || row[0]+" "+row[1] != state.server) {
		err = errElsewhere
	}
	if err != nil {
		return dialError(t, err)
	}
	err = u.run("KILL QUERY " + strconv.FormatUint(uint64(state.id), 10))
	var server *engine.ServerError
	if errors.As(err, &server) && server.Number == protocol.ER_NO_SUCH_THREAD {
		return nil
	}
	if err != nil {
		return dialError(t, fmt.Errorf("kill query: %w", err))
	}
	return nil
}

// preparedIn says whether a text has a KILL, or SET RESOURCE GROUP, in a literal that PREPARE or EXECUTE IMMEDIATE takes, or with which an expression
// begins there: CONCAT('KILL ', 5).
func preparedIn(text []byte) (f classFlags) {
	r := actReader{rest: text}
	takes := false // the text may begin here
	var word piece // what came in front: the name of a function, or the literal's character set
	for p := r.next(); p.kind != tokenNone; p = r.next() {
		before := word
		word = piece{}
		switch {
		case p.is("FROM", "IMMEDIATE"):
			takes = true
		case !takes, p.char('('):
		case p.kind == tokenWord && before.kind == tokenNone:
			word = p
		case (p.kind == tokenText || p.char('"')) && len(p.bytes) > 1 && (before.kind == tokenNone || before.is("N") || before.bytes[0] == '_'):
			inside := p.bytes[1 : len(p.bytes)-1]
			c := scan(inside, false, false)
			if f |= c.flags & classGroup; c.flags&(classKill|classKillOther) != 0 {
				f |= classKillOther
			}
			takes = len(bytes.TrimSpace(inside)) == 0
		case (p.char(',') || p.char('|')) && before.kind == tokenNone:
		default:
			takes = false
		}
	}
	return f
}
