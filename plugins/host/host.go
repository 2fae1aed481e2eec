package host

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/rs/zerolog"
	"google.golang.org/grpc"
)

const (
	// startWithin bounds a start, up to the moment when the plugin may be called.
	startWithin = 5 * time.Second
	// stopWithin is how long a plugin may take to end by itself.
	stopWithin = 2 * time.Second
	// partWithin is how long it may take until nobody writes to its output, after which nobody waits for that any more: what it has
	// started may have a process group of its own.
	partWithin = 3 * stopWithin
	// maxCause is how much is kept of why a start failed: part of that is what the program wrote.
	maxCause = 300
)

// Config is how a plugin is run.
type Config struct {
	Program
	Handshake  plugin.HandshakeConfig
	Name       string         // of the service
	Plugin     plugin.Plugin  // its client half, a plugin.GRPCPlugin
	MaxMessage int            // of a message that it sends, in bytes
	Log        zerolog.Logger // where what it writes goes
}

// Running is a plugin that was started. It must be stopped, by one goroutine.
type Running struct {
	Service any // what the client half made

	client *plugin.Client
	cmd    *exec.Cmd
	dir    string // has the plugin's socket
}

// Start runs a plugin. It blocks for startWithin at most, and for partWithin more if that fails.
func Start(c Config) (*Running, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "berth-plugin-")
	if err != nil {
		return nil, err
	}
	r := &Running{cmd: exec.Command(c.Path), dir: dir}
	// What go-plugin would set only for programs that it does not start itself.
	r.cmd.Env = []string{plugin.EnvUnixSocketDir + "=" + dir, "TMPDIR=" + dir}
	r.cmd.Dir = dir
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to end what it has started, too
	config := &plugin.ClientConfig{
		HandshakeConfig: c.Handshake, Plugins: plugin.PluginSet{c.Name: c.Plugin}, AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Cmd: r.cmd, SkipHostEnv: true, AutoMTLS: true, StartTimeout: startWithin,
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(c.MaxMessage))},
		Logger:          hclog.NewNullLogger(), Stderr: newLines(c.Log), SyncStdout: newLines(c.Log), SyncStderr: newLines(c.Log),
	}
	if c.SHA256 != nil {
		config.SecureConfig = &plugin.SecureConfig{Checksum: c.SHA256, Hash: sha256.New()}
	}
	r.client = plugin.NewClient(config)
	if err := r.dispense(c.Name); err != nil {
		return nil, fmt.Errorf("it does not start (%s): %s", r.Stop(), brief(err))
	}
	return r, nil
}

func (r *Running) dispense(name string) error {
	if _, err := r.client.Start(); err != nil {
		return err
	}
	defer time.AfterFunc(startWithin, r.kill).Stop() // Client waits for an answer without a limit
	protocol, err := r.client.Client()
	if err != nil {
		return err
	}
	r.Service, err = protocol.Dispense(name)
	return err
}

// Stop ends the plugin and says how it ended.
func (r *Running) Stop() string {
	if r.cmd.Process != nil {
		// A plugin that hangs does not answer when it is asked to end, and what it has started may hold its output open.
		defer time.AfterFunc(stopWithin, r.kill).Stop()
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.client.Kill()
	}()
	select {
	case <-ended:
	case <-time.After(partWithin): // Kill waits for the end of the output, however long that takes
		_ = os.RemoveAll(r.dir)
		return "what it has started holds its output open"
	}
	_ = os.RemoveAll(r.dir)
	if r.cmd.ProcessState == nil {
		return "it was never there"
	}
	return r.cmd.ProcessState.String()
}

// kill ends the process and what it has started. go-plugin waits for it only when that has closed its output, so that the number is still its own.
func (r *Running) kill() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) }

// brief is the first line of an error. What go-plugin says behind it is advice to the author.
func brief(err error) string {
	text, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(err.Error(), "?")), "\n")
	if len(text) > maxCause {
		text = fmt.Sprintf("%.*s...", maxCause, text)
	}
	return text
}
