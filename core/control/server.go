package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/pin"
	"github.com/berthdb/berth/core/telemetry"
)

const (
	headersWithin  = 5 * time.Second
	requestWithin  = 30 * time.Second
	shutdownWithin = 2 * time.Second
)

// Source is the proxy as the admin server sees it.
type Source interface {
	Snapshot() core.Snapshot
	Sessions() []core.SessionSnapshot
	InTransaction() map[*telemetry.Listener]int64
	Pins() []pin.Row
	Pause(ctx context.Context, group string) error
	Resume(group string) error
	Holders(group string) []core.SessionSnapshot
}

// Server serves the admin address.
type Server struct {
	listener net.Listener
	http     *http.Server
}

// Config is what an admin server is made of. It is immutable.
type Config struct {
	Address string
	Token   string // if not empty, everyone but health checks must show it as bearer token
	Build   Build
	Log     zerolog.Logger
	Reload  func() (Reload, error) // reads the configuration again
	// Listen opens the address; nil: net.Listen.
	Listen func(address string) (net.Listener, error)
}

// Build says what is running.
type Build struct {
	Version string
	Commit  string
	Go      string
}

// Listen opens the admin address.
func Listen(c Config, source Source) (*Server, error) {
	listen := c.Listen
	if listen == nil {
		listen = func(address string) (net.Listener, error) { return net.Listen("tcp", address) }
	}
	listener, err := listen(c.Address)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	handler, err := newHandler(c, source)
	if err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("admin: %w", err)
	}
	return &Server{
		listener: listener,
		http: &http.Server{
			Handler: handler, ReadHeaderTimeout: headersWithin, ReadTimeout: requestWithin, WriteTimeout: requestWithin, ConnState: newCrowd().changed,
			ErrorLog: stdlog.New(complaints{c.Log}, "", 0),
		},
	}, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Socket is what the server accepts at, for a process that takes over.
func (s *Server) Socket() (syscall.Conn, bool) {
	c, ok := s.listener.(syscall.Conn)
	return c, ok
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		within, cancel := context.WithTimeout(context.Background(), shutdownWithin)
		defer cancel()
		if s.http.Shutdown(within) != nil {
			_ = s.http.Close()
		}
	}()
	err := s.http.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		return nil
	}
	return fmt.Errorf("admin: %w", err)
}

// complaints logs what net/http has to say, which is about clients.
type complaints struct{ log zerolog.Logger }

func (c complaints) Write(p []byte) (int, error) {
	c.log.Debug().Str("complaint", strings.TrimSpace(string(p))).Msg("admin")
	return len(p), nil
}

func newHandler(c Config, source Source) (http.Handler, error) {
	metrics, err := newMetrics(c.Build, source)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { ready(w, source.Snapshot()) })
	mux.Handle("GET /metrics", guarded(c.Token, metrics))
	mux.Handle("GET /api/v1/status", guarded(c.Token, answer(c.Log, func() any { return newStatus(source.Snapshot()) })))
	mux.Handle("GET /api/v1/pins", guarded(c.Token, answer(c.Log, func() any { return newPins(source.Pins()) })))
	mux.Handle("GET /api/v1/sessions", guarded(c.Token, answer(c.Log, func() any { return newSessions(source.Sessions()) })))
	p := pauser{source, c.Log}
	mux.Handle("POST /api/v1/target_groups/{group}/pause", guarded(c.Token, http.HandlerFunc(p.pause)))
	mux.Handle("POST /api/v1/target_groups/{group}/resume", guarded(c.Token, http.HandlerFunc(p.resume)))
	mux.Handle("POST /api/v1/reload", guarded(c.Token, reloading(c.Log, c.Reload)))
	// A page that an operator's browser shows must not be able to change anything here.
	return http.NewCrossOriginProtection().Handler(mux), nil
}

// ready says whether the proxy can serve: every listener accepts and every group has a target that is up.
func ready(w http.ResponseWriter, s core.Snapshot) {
	var reasons []string
	switch {
	case s.Draining:
		reasons = append(reasons, "the proxy is draining")
	case !s.Accepting:
		reasons = append(reasons, "the proxy is starting: its listeners do not accept yet")
	}
	for _, g := range s.Groups {
		if !g.Usable() {
			reasons = append(reasons, fmt.Sprintf("target group %s has no usable target", g.Name))
		}
	}
	if len(reasons) > 0 {
		http.Error(w, strings.Join(reasons, "\n"), http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// guarded asks for the bearer token (RFC 6750 section 2.1; the scheme's name has no case, RFC 9110 section 11.1). Both
// sides are hashed, so that the time to compare tells nothing.
func guarded(token string, h http.Handler) http.Handler {
	if token == "" {
		return local(h)
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(strings.TrimLeft(shown, " ")))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !strings.EqualFold(scheme, "bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a bearer token is required", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// local serves those who ask a server without a token by its address, or as localhost. A page in a browser on this machine can have a name of
// its own lead here (DNS rebinding), and is then of the same origin; it cannot have the browser ask by another.
func local(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]") // without a port
		}
		if _, err := netip.ParseAddr(host); err != nil && host != "" && !strings.EqualFold(host, "localhost") {
			http.Error(w, "ask by address or as localhost: other names need admin.token", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func answer(log zerolog.Logger, f func() any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reply(w, log, http.StatusOK, f()) })
}

func reply(w http.ResponseWriter, log zerolog.Logger, status int, what any) {
	body, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		log.Error().Err(err).Msg("admin answer could not be rendered")
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
