package drivers

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/berthdb/berth/integration/harness"
)

// restless is a proxy that gives a session another of two connections for each transaction.
func restless(t *testing.T, server string) harness.Endpoint {
	t.Helper()
	front(t, server) // makes the table
	harness.Exec(t, harness.Shared(t, server), "grant all on "+notes+"_id_seq to public")
	l := harness.App()
	return harness.Start(t, harness.Config{Env: []string{"BERTH_PARANOID=1"}, Routes: []harness.Route{{
		Server: harness.Shared(t, server), MaxConnections: 2, Users: []harness.Account{{User: l.User, Password: l.Password}},
	}}}).Endpoint(server)
}

// printed is what a program prints that is run with an endpoint's port.
func printed(t *testing.T, e harness.Endpoint, program ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program[0], append(program[1:], strconv.Itoa(e.Port))...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(program, " "), err)
	}
	return string(bytes.TrimSpace(out))
}

func TestPDOIsToldTheLastValueOfASequence(t *testing.T) {
	for _, server := range harness.PostgresNames() {
		t.Run(server, func(t *testing.T) {
			e := restless(t, server)
			for i, want := range []string{"1", "0", "0"} { // nobody has asked before the first time
				if got := printed(t, e, "php", "php/moves.php"); got != want {
					t.Errorf("run %d: refused %s times, not %s", i, got, want)
				}
			}
		})
	}
}

func TestPsycopgsPreparedStatementsWorkBehindSetTimeZone(t *testing.T) {
	for _, server := range harness.PostgresNames() {
		t.Run(server, func(t *testing.T) {
			program := []string{filepath.Join(fetched(t, "python"), "bin", "python"), "python/moves.py"}
			want := printed(t, harness.Shared(t, server).Endpoint, program...)
			if got := printed(t, restless(t, server), program...); got != want {
				t.Errorf("through the proxy:\n%s\nthe server itself:\n%s", got, want)
			}
		})
	}
}
