package relay

import (
	"fmt"
	"runtime/debug"

	"github.com/rs/zerolog"
)

// Safely makes a panic in call an error, for what is called off the loops: it is about one connection, and nobody else would catch it.
func Safely(log zerolog.Logger, call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			log.Error().Any("panic", v).Bytes("stack", debug.Stack()).Msg("BUG: an engine panicked")
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return call()
}
