package host

import (
	"bytes"
	"time"

	"github.com/rs/zerolog"
)

const (
	// maxLine is how much of a line is logged.
	maxLine = 1 << 10
	// burst is how many lines are logged in burstWithin, at most.
	burst       = 20
	burstWithin = time.Second
)

// lines logs what is written to it, line by line. One goroutine at a time may write.
type lines struct {
	log  zerolog.Logger
	line []byte
}

func newLines(log zerolog.Logger) *lines {
	return &lines{log: log.Sample(&zerolog.BurstSampler{Burst: burst, Period: burstWithin})}
}

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		l.line = append(l.line, line[:min(len(line), maxLine-len(l.line))]...)
		if ended && len(l.line) > 0 {
			l.log.Info().Str("line", string(bytes.ToValidUTF8(l.line, []byte("?")))).Msg("plugin says")
		}
		if ended {
			l.line = l.line[:0]
		}
		rest = after
	}
	return len(p), nil
}
