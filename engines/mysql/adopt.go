package mysql

import (
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Server is what a server's greeting says of it.
type Server struct {
	Version      string // as greeted
	Capabilities uint32
	Charset      byte
}

// Reach notes that a server of the group greeted, as Dial and Probe do with those that they reach: no client can log in
// before. Simulations need it, whose connections Dial cannot make.
func (e *Engine) Reach(s Server) {
	e.reach(serverInfo{
		version: s.Version, mariaDB: strings.Contains(s.Version, "MariaDB"), charset: s.Charset, capabilities: s.Capabilities &^ extendedCapabilities,
	})
}

// Adopt does what Dial does once it is logged in, for a connection on which somebody else has logged in to s as key says, and
// on which s tracks what Dial makes it track: it returns Backend.State. id is the connection's on the server.
func (e *Engine) Adopt(key engine.Key, s Server, id uint32) (any, error) {
	flags, charset, err := parseKeyOptions(key.Options)
	if err != nil {
		return nil, err
	}
	e.Reach(s)
	return &backendState{
		id:           id,
		version:      strings.TrimPrefix(s.Version, mariaDBPrefix),
		dialect:      dialectOf(s.Version, strings.Contains(s.Version, "MariaDB")),
		mariaDB:      strings.Contains(s.Version, "MariaDB"),
		capabilities: (wanted | flags) & s.Capabilities,
		charset:      charset,
		user:         key.User,
		status:       statusAutocommit,
		arm:          trackers,
	}, nil
}
