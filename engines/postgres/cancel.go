package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/berthdb/berth/core/engine"
)

// Cancel implements engine.Engine. The server closes the connection once it has signalled the backend's process (54.2.8), and
// a process that is signalled while it waits for a query forgets the signal: after that, the cancel can hit nothing else.
func (e *Engine) Cancel(ctx context.Context, t engine.Target, b *engine.Backend) error {
	state, ok := b.State.(*backendState)
	if !ok {
		return fmt.Errorf("postgres: backend has state %T", b.State)
	}
	conn, _, err := dialTarget(ctx, t)
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	defer conn.Close()
	stop := interruptReads(ctx, conn)
	defer stop()
	if _, err := conn.Write(appendCancel(nil, state.pid, state.cancelKey)); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	// Nothing comes but the end. A reset is an end, too.
	var answer [1]byte
	if _, err := io.ReadFull(conn, answer[:]); err == nil {
		return errors.New("cancel: the server answered")
	}
	return ctx.Err()
}

// appendCancel appends a CancelRequest (54.7).
func appendCancel(dst []byte, pid uint32, key []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(key)))
	dst = binary.BigEndian.AppendUint32(dst, codeCancel)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, key...)
}
