package drivers

import (
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// tap is a relay in front of an endpoint, in clear, that notes what clients send.
type tap struct {
	harness.Endpoint
	listener net.Listener
	to       string

	mu    sync.Mutex
	notes []string // in the order of their first appearance, each once
	errs  []error
	conns sync.WaitGroup
}

func startTap(t *testing.T, e harness.Endpoint) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{Endpoint: harness.Endpoint{Engine: e.Engine, Port: l.Addr().(*net.TCPAddr).Port}, listener: l, to: e.Address()}
	p.conns.Add(1)
	go p.accept()
	t.Cleanup(func() { _ = l.Close() })
	return p
}

// accept relays until the listener is closed.
func (p *tap) accept() {
	defer p.conns.Done()
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.conns.Add(1)
		go p.relay(c)
	}
}

func (p *tap) relay(c net.Conn) {
	defer p.conns.Done()
	defer func() { _ = c.Close() }()
	s, err := net.Dial("tcp", p.to)
	if err != nil {
		p.failed(err)
		return
	}
	defer func() { _ = s.Close() }()
	go func() { _, _ = io.Copy(c, s); _ = c.Close() }()
	read := readPostgres
	if p.Engine == harness.MySQL {
		read = readMySQL
	}
	// A client that hangs up in the middle of a message, or at all, ends it.
	if err := read(io.TeeReader(c, s), p.note); err != nil && !isEnd(err) {
		p.failed(err)
	}
}

func (p *tap) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.errs = append(p.errs, err)
}

var (
	// bounds are of transactions, whose savepoints have names that differ from run to run.
	bounds = regexp.MustCompile(`(?i)^(begin|start transaction|commit|rollback|(savepoint|release|rollback to)\b.*)?$`)
	// counted are the names that PDO gives to statements.
	counted = regexp.MustCompile(`pdo_stmt_\d+`)
)

// note keeps what a client said unless it is the application's: a statement on the tests' table, or the bounds of a
// transaction. That a statement of the application's is prepared by MySQL's binary protocol is the driver's doing.
func (p *tap) note(said string) {
	said = strings.TrimRight(strings.Join(strings.Fields(said), " "), "; ")
	said = counted.ReplaceAllString(said, "pdo_stmt_N")
	if strings.Contains(strings.ToLower(said), notes) {
		if !strings.HasPrefix(said, stmtPrepare) {
			return
		}
		said = stmtPrepare + "of the application's statements"
	}
	if bounds.MatchString(said) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, have := range p.notes {
		if have == said {
			return
		}
	}
	p.notes = append(p.notes, said)
}

// close ends the tap when its clients are gone, and returns what they said.
func (p *tap) close(t *testing.T) []string {
	t.Helper()
	_ = p.listener.Close()
	p.conns.Wait()
	for _, err := range p.errs {
		t.Errorf("the tap: %v", err)
	}
	return p.notes
}
