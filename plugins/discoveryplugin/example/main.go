package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/berthdb/berth/plugins/discoveryplugin"
)

func main() { discoveryplugin.Serve(file{}) }

type file struct{}

// Watch implements discoveryplugin.Source.
func (file) Watch(ctx context.Context, r discoveryplugin.Request, tell func([]discoveryplugin.Target, error)) error {
	log.Printf("the targets of %s are in %s", r.TargetGroup, r.Settings["file"])
	var last []byte
	for {
		text, err := os.ReadFile(r.Settings["file"])
		switch {
		case err != nil:
			last = nil
			tell(nil, err)
		case last == nil || !bytes.Equal(text, last):
			last = text
			tell(parse(string(text)))
		}
		select {
		case <-time.After(r.Interval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func parse(text string) (targets []discoveryplugin.Target, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		host, port, err := net.SplitHostPort(fields[len(fields)-1])
		if err != nil || len(fields) != 2 {
			return nil, fmt.Errorf("%q is not NAME HOST:PORT", strings.TrimSpace(line))
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return nil, fmt.Errorf("%q has no port that is a number", strings.TrimSpace(line))
		}
		targets = append(targets, discoveryplugin.Target{Name: fields[0], Host: host, Port: number})
	}
	return targets, nil
}
