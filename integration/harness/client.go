package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// ClientSpec is what a client process does on each of its connections. It goes to the process as JSON.
type ClientSpec struct {
	Endpoint    Endpoint
	Login       Login
	Connections int      // 1 if 0
	Statements  []string // run one after the other, their results read
	Unread      string   // a query of which only the first row is read
}

// Client is a process whose connections have run their statements and which now does nothing until it is killed.
type Client struct{ cmd *exec.Cmd }

// StartClient starts a process of its own and returns when all its connections are where spec leaves them.
func StartClient(ctx context.Context, spec ClientSpec) (*Client, error) {
	binary, err := binaries.build(ctx, "./integration/client", false)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, string(text))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &Client{cmd}
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line == "ready\n"
	}()
	select {
	case ok := <-ready:
		if ok {
			return c, nil
		}
		err = fmt.Errorf("client: %w: %s", cmd.Wait(), strings.TrimSpace(stderr.String()))
	case <-time.After(connectWithin):
		c.Kill()
		err = fmt.Errorf("client: not ready within %s", connectWithin)
	case <-ctx.Done():
		c.Kill()
		err = ctx.Err()
	}
	return nil, err
}

// Kill ends the process by SIGKILL: nothing says goodbye, the kernel closes its sockets.
func (c *Client) Kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // that it was killed is no news
}

// Doomed starts a client process that is killed at the end of t if not before.
func Doomed(t T, spec ClientSpec) *Client {
	t.Helper()
	c, err := StartClient(t.Context(), spec)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(c.Kill)
	return c
}
