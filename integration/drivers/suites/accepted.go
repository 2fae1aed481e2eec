package suites

import (
	"fmt"
	"os"
	"strings"
)

// accepted is a line of a suite's file accepted: a test that may end in another way than directly.
//
//	WAY SERVER TEST: REASON
//
// WAY is proxy, paranoid or any, with a "?" behind it if the test does not always end otherwise; SERVER is a server's name or any. TEST is a test's name, or the beginning of one and "*". Its name may hold
// spaces and colons; the reason follows the last ": ".
type accepted struct {
	way, server, test, reason string
	sometimes                 bool
}

func readAccepted(path string) ([]*accepted, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []*accepted
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, ": ")
		if at < 0 {
			return nil, fmt.Errorf("%s: no reason in %q", path, line)
		}
		f := strings.SplitN(line[:at], " ", 3)
		if len(f) != 3 {
			return nil, fmt.Errorf("%s: write WAY SERVER TEST: REASON, not %q", path, line)
		}
		way, sometimes := strings.CutSuffix(f[0], "?")
		all = append(all, &accepted{way: way, server: f[1], test: f[2], reason: line[at+2:], sometimes: sometimes})
	}
	return all, nil
}

// concerns says whether runs of a way on a server can use the line.
func (a *accepted) concerns(way, server string) bool {
	return (a.way == "any" || a.way == way) && (a.server == "any" || a.server == server)
}

// failsAnyway says whether a test of the line failed directly, too, so that the runs do not tell whether the line is needed: on a machine that is
// busy, tests of times do.
func (a *accepted) failsAnyway(direct, through results) bool {
	for test, ended := range direct {
		if ended == "fail" && through.ended(test) == "fail" && a.names(test) {
			return true
		}
	}
	return false
}

func (a *accepted) allows(way, server, test string) bool {
	return a.concerns(way, server) && a.names(test)
}

func (a *accepted) names(test string) bool {
	if prefix, open := strings.CutSuffix(a.test, "*"); open {
		return strings.HasPrefix(test, prefix)
	}
	return a.test == test
}
