package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"

	"github.com/berthdb/berth/core/control"
)

// reloadCommand makes a running proxy read its configuration again, and prints what came of it.
func reloadCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("reload", flag.ContinueOnError)
	admin := fs.String("admin", "http://127.0.0.1:7070", "`URL` of the proxy's admin server")
	if code, ok := parse(fs, args, stderr); !ok {
		return code
	}
	status, body, err := request(ctx, http.MethodPost, *admin, "/api/v1/reload")
	if err != nil {
		return fail(stderr, fs.Name(), err)
	}
	if status == http.StatusUnprocessableEntity {
		fmt.Fprintf(stderr, "%snothing was changed\n", body)
		return exitError
	}
	var done control.Reload
	if status != http.StatusOK {
		return fail(stderr, fs.Name(), refused(status, body))
	}
	if err := json.Unmarshal(body, &done); err != nil {
		return fail(stderr, fs.Name(), fmt.Errorf("answer of the admin server: %w", err))
	}
	for _, key := range done.Changed {
		fmt.Fprintf(stdout, "changed: %s\n", key)
	}
	for _, key := range done.NeedRestart {
		fmt.Fprintf(stdout, "needs a restart: %s\n", key)
	}
	return exitOK
}
