package main

import (
	"net"
	"os"
	"strings"

	"github.com/rs/zerolog"
)

// notify tells the service manager what has become of the process, in the form of sd_notify(3): a datagram of lines to the
// socket that NOTIFY_SOCKET names. The protocol is that small, so no library is worth its weight. Without a service
// manager nothing happens.
func notify(log zerolog.Logger, lines ...string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	// A name that begins with @ is an abstract one, in Go as well.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err == nil {
		_, err = conn.Write([]byte(strings.Join(lines, "\n")))
		_ = conn.Close()
	}
	if err != nil {
		log.Warn().Err(err).Msg("the service manager could not be told")
	}
}
