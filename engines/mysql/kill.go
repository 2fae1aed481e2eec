package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// Cancel asks t to stop b's statement: KILL QUERY on a connection of its own, as the same user, who may. A connection
// that is no more has nothing to stop.
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
