package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
)

const (
	// takeOverVariable tells a process that it takes over from the one that started it. It holds, as JSON, what the
	// sockets are for whose descriptors begin at firstInherited + 1; firstInherited itself is a pipe into which the
	// process writes a byte when it accepts.
	takeOverVariable = "BERTH_TAKE_OVER"
	// firstInherited is also where systemd's descriptors begin (sd_listen_fds(3), SD_LISTEN_FDS_START).
	firstInherited = 3
)

// purpose is what an inherited socket was opened for.
type purpose struct {
	Listener string `json:"listener"` // its name; "" is the admin server
	Address  string `json:"address"`  // as configured
}

// inherited is a listening socket that the process began with.
type inherited struct {
	purpose
	byName bool // whoever has the name gets it, whatever address it wants: systemd has the say
	socket net.Listener
}

// sockets are all that the process began with, and how it tells the one before it that it accepts.
type sockets struct {
	mu    sync.Mutex
	list  []inherited
	ready *os.File // nil: nobody wants to know
}

// inheritedSockets reads the environment, and takes what is about sockets out of it: it is not for further processes.
func inheritedSockets() (*sockets, error) {
	s := &sockets{}
	text, takesOver := os.LookupEnv(takeOverVariable)
	count, names := systemdSockets()
	for _, name := range []string{takeOverVariable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name) // it fails for impossible names only
	}
	if !takesOver {
		for i := range count {
			if err := s.add(firstInherited+i, purpose{Listener: names[i]}, true); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
	var purposes []purpose
	if err := json.Unmarshal([]byte(text), &purposes); err != nil {
		return nil, fmt.Errorf("%s: %w", takeOverVariable, err)
	}
	syscall.CloseOnExec(firstInherited)
	s.ready = os.NewFile(firstInherited, "ready")
	for i, p := range purposes {
		if err := s.add(firstInherited+1+i, p, false); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// systemdSockets returns how many sockets systemd has opened for this process, and what it calls them (sd_listen_fds(3)).
func systemdSockets() (count int, names []string) {
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return 0, nil
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || count < 0 {
		return 0, nil
	}
	names = strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for len(names) < count {
		names = append(names, "unknown")
	}
	return count, names
}

func (s *sockets) add(fd int, p purpose, byName bool) error {
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), p.Listener)
	defer func() { _ = file.Close() }() // what is made of it has a descriptor of its own
	socket, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("inherited descriptor %d: %w", fd, err)
	}
	if byName {
		p.Address = socket.Addr().String()
	}
	s.list = append(s.list, inherited{p, byName, socket})
	return nil
}

// listen returns the socket that was inherited for a listener, or opens one. An address alone decides only if it says
// which port it is.
func (s *sockets) listen(name, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fits := []func(inherited) bool{
		func(i inherited) bool { return i.Listener == name && (i.byName || i.Address == address) },
		func(i inherited) bool { return i.Address == address && !strings.HasSuffix(address, ":0") },
	}
	for _, fit := range fits {
		for i, have := range s.list {
			if fit(have) {
				s.list = append(s.list[:i:i], s.list[i+1:]...)
				return have.socket, nil
			}
		}
	}
	return net.Listen("tcp", address)
}

// done says that everything accepts: what nobody wanted is closed, and the process before this one is told.
func (s *sockets) done(log zerolog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.list {
		log.Warn().Str("name", i.Listener).Str("address", i.Address).Msg("inherited socket is nobody's: closed")
		_ = i.socket.Close()
	}
	s.list = nil
	if s.ready == nil {
		return
	}
	if _, err := s.ready.Write([]byte{1}); err != nil {
		log.Error().Err(err).Msg("the process that hands over could not be told")
	}
	_ = s.ready.Close()
	s.ready = nil
}
