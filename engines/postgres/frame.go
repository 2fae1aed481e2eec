package postgres

import (
	"encoding/binary"

	"github.com/berthdb/berth/core/engine"
)

const (
	headerLength = 5 // the type, and the length of the rest including itself (54.7)
	// maxMessage is the longest message that is passed on, either way: what PostgreSQL takes (PQ_LARGE_MESSAGE_LIMIT).
	maxMessage = 1<<30 - 1
	// maxSmall is PostgreSQL's bound for messages that carry no data of a user's (PQ_SMALL_MESSAGE_LIMIT).
	maxSmall = 10000
)

// frame is one message at the beginning of some bytes, of which the end need not have come yet.
type frame struct {
	kind byte
	size int // of the whole message
}

// readFrame reads a header. ok is false if it has not come in full; the size is not checked.
func readFrame(in []byte) (f frame, ok bool) {
	if len(in) < headerLength {
		return frame{}, false
	}
	return frame{in[0], 1 + int(binary.BigEndian.Uint32(in[1:]))}, true
}

// holdable says that a message may wait, unconsumed, until it is there in full.
func (f frame) holdable() bool { return f.size <= engine.MaxHeld }

// stream is the rest of a message whose beginning has been dealt with.
type stream struct {
	rest int  // bytes to come
	drop bool // they go nowhere
}

// take says how many of n bytes belong to the message, and counts them.
func (s *stream) take(n int) int {
	n = min(n, s.rest)
	s.rest -= n
	return n
}

// clientLimit is how long, without its type, a message of a client may be; 0: there is no such message (54.7). A client that is
// logged in has no use for password messages.
func clientLimit(kind byte) int {
	switch kind {
	case 'Q', 'P', 'B', 'F', 'd':
		return maxMessage
	case 'C', 'D', 'E', 'H', 'S', 'X', 'c', 'f':
		return maxSmall
	}
	return 0
}

// backendMessage says whether a backend may send kind once it is logged in.
func backendMessage(kind byte) bool {
	switch kind {
	case 'A', 'C', 'D', 'E', 'G', 'H', 'I', 'N', 'S', 'T', 'V', 'W', 'Z', 'c', 'd', 'n', 's', 't', '1', '2', '3':
		return true
	}
	return false
}

// cutString returns the string at the beginning of p without its terminating NUL, and what follows.
func cutString(p []byte) (s, rest []byte, ok bool) {
	for i, c := range p {
		if c == 0 {
			return p[:i], p[i+1:], true
		}
	}
	return nil, nil, false
}

// appendKey appends a BackendKeyData.
func appendKey(dst []byte, id uint32, secret []byte) []byte {
	start := len(dst)
	dst = append(dst, 'K', 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, id)
	dst = append(dst, secret...)
	return endMessage(dst, start)
}
