package discovery

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/berthdb/berth/core/engine"
)

// Cluster says where the instances of an Aurora cluster, or of a Multi-AZ DB cluster of RDS, are. Who they are, its servers tell.
type Cluster struct {
	host, port string // with a "?" for the ID; host is empty if the servers are to say
}

// endpoint is what Amazon calls the endpoints of clusters and instances: NAME.cluster-ID.REGION.rds.amazonaws.com and such. What follows the
// first label, without the kind of endpoint, is the same for all instances.
var endpoint = regexp.MustCompile(`(?i)^[a-z0-9-]+\.(?:cluster-(?:ro-|custom-)?)?([a-z0-9]+\.(?:[a-z0-9-]+\.rds|rds\.[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?)$`)

// instanceID is what Amazon lets an instance be called, and clusterHost what a host may be.
var (
	instanceID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)
	clusterHost = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$`)
)

// NewCluster makes what knows the instances of the cluster at address, host:port. pattern is an instance's host, and its port if that
// is another, with a "?" for the ID; if it is empty it follows from the address. If it does not, addresses says whether the
// servers are believed where the instances are.
func NewCluster(address, pattern string, addresses bool) (*Cluster, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if pattern == "" {
		m := endpoint.FindStringSubmatch(strings.TrimSuffix(host, "."))
		switch {
		case m != nil:
			return &Cluster{"?." + m[1], port}, nil
		case addresses:
			return &Cluster{}, nil
		}
		return nil, errors.New("is missing: write where the instances are, such as ?.abcdefgh.eu-central-1.rds.amazonaws.com")
	}
	if h, p, err := net.SplitHostPort(pattern); err == nil {
		pattern, port = h, p
	}
	c := &Cluster{pattern, port}
	if strings.Count(pattern+port, "?") != 1 {
		return nil, fmt.Errorf("%q has not one ? for an instance's ID: write one such as ?.abcdefgh.eu-central-1.rds.amazonaws.com", pattern)
	}
	if _, err := c.Locate(engine.Instance{ID: "1"}); err != nil {
		return nil, fmt.Errorf("%q is not a host, or a host and a port: write one such as ?.abcdefgh.eu-central-1.rds.amazonaws.com", pattern)
	}
	return c, nil
}

// Locate says where an instance is. It is named by its ID. What a server says is part of a name at most: it cannot
// lead to hosts of another pattern.
func (c *Cluster) Locate(i engine.Instance) (engine.Target, error) {
	if !instanceID.MatchString(i.ID) {
		return engine.Target{}, fmt.Errorf("the servers name an instance %q", cut(i.ID))
	}
	host, port := strings.Replace(c.host, "?", i.ID, 1), strings.Replace(c.port, "?", i.ID, 1)
	if c.host == "" {
		var err error
		if host, port, err = net.SplitHostPort(i.Address); err != nil {
			return engine.Target{}, fmt.Errorf("the servers do not say where instance %s is", i.ID)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !clusterHost.MatchString(host) {
		return engine.Target{}, fmt.Errorf("the servers say that instance %s is at %q", i.ID, cut(net.JoinHostPort(host, port)))
	}
	return engine.Target{Name: i.ID, Address: net.JoinHostPort(host, port)}, nil
}
