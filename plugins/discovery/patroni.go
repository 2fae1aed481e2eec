package discovery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/berthdb/berth/core/engine"
)

const (
	// maxCluster is how much of an answer is read.
	maxCluster = 1 << 20
	// patroniWithin is how long one of several nodes may take to answer before the next is asked.
	patroniWithin = 3 * time.Second
	// maxName is the longest name of a member: it becomes a metric's label and part of log lines.
	maxName = 253
)

// Patroni is a cluster that Patroni runs (REST API, section "Cluster status and history endpoints").
type Patroni struct {
	nodes  []*url.URL
	client *http.Client
}

// NewPatroni makes a source of the REST APIs of several nodes, of which any one will do. A user and password in a URL are
// sent as basic authentication. roots is who certificates are verified against, nil: the system's.
func NewPatroni(nodes []string, roots *x509.CertPool) (*Patroni, error) {
	p := &Patroni{client: &http.Client{
		Timeout: patroniWithin,
		// A node that is cut off must not hold a connection for good.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // it would be told the password
		},
	}}
	for _, text := range nodes {
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, errors.New("not a URL of the form http://host:8008") // what it is may have a password in it
		}
		p.nodes = append(p.nodes, u.JoinPath("cluster"))
	}
	return p, nil
}

func (p *Patroni) String() string {
	var all []string
	for _, u := range p.nodes {
		all = append(all, u.Scheme+"://"+u.Host)
	}
	return "patroni " + strings.Join(all, " ")
}

// Find implements target.Source. The nodes are asked in their order until one answers. Those that do not answer leave their share of
// ctx's time to the others.
func (p *Patroni) Find(ctx context.Context) ([]engine.Target, error) {
	var errs []error
	for i, u := range p.nodes {
		asking, stop := ctx, context.CancelFunc(func() {})
		if deadline, ok := ctx.Deadline(); ok {
			asking, stop = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(len(p.nodes)-i))
		}
		found, err := p.ask(asking, u)
		stop()
		if err == nil || len(found) > 0 {
			return found, err
		}
		errs = append(errs, fmt.Errorf("%s: %w", u.Host, err))
	}
	return nil, errors.Join(errs...)
}

// cluster is what is read of an answer. Each member is read by itself: one that is no good is not the others' fault.
type cluster struct {
	Members []json.RawMessage `json:"members"`
}

type member struct {
	Name string         `json:"name"`
	Role string         `json:"role"`
	Host string         `json:"host"`
	Port int            `json:"port"`
	Tags map[string]any `json:"tags"`
}

func (p *Patroni) ask(ctx context.Context, u *url.URL) (found []engine.Target, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("bad request")
	}
	response, err := p.client.Do(request)
	if err != nil {
		var wrapped *url.Error // whose text has the whole URL
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
	var c cluster
	if err := json.NewDecoder(io.LimitReader(response.Body, maxCluster)).Decode(&c); err != nil {
		return nil, fmt.Errorf("its answer is no cluster: %w", err)
	}
	var leftOut []string
	for _, raw := range c.Members {
		var m member
		if err := json.Unmarshal(raw, &m); err != nil {
			leftOut = append(leftOut, fmt.Sprintf("a member of its answer is none: %.64q", raw))
			continue
		}
		switch leads := m.Role == "leader" || m.Role == "master" || m.Role == "standby_leader"; {
		case m.Name == "" || m.Host == "" || m.Port <= 0 || m.Port > 1<<16-1:
			continue // it has not told Patroni yet where it is
		case m.Tags["noloadbalance"] == true && !leads:
			continue
		case len(m.Name) > maxName || strings.ContainsFunc(m.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
			leftOut = append(leftOut, fmt.Sprintf("it names a member %.64q", m.Name))
			continue
		case !pluginHost.MatchString(m.Host):
			leftOut = append(leftOut, fmt.Sprintf("it says that the host of member %q is %.64q", m.Name, m.Host))
			continue
		}
		found = append(found, engine.Target{Name: m.Name, Address: net.JoinHostPort(m.Host, strconv.Itoa(m.Port))})
	}
	switch {
	case leftOut != nil:
		return found, &engine.IncompleteError{LeftOut: leftOut}
	case len(found) == 0:
		return nil, errors.New("it knows no member with an address")
	}
	return found, nil
}
