// Command berth is a database proxy: many client connections in front, few database connections behind.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage: berth COMMAND [options]

  serve   --config FILE              run the proxy
  check   --config FILE [--connect]  validate a configuration
  status  [--admin URL] [-o FORMAT]  show listeners, target groups and pools of a running proxy
  pins    [--admin URL] [-o FORMAT]  show what keeps sessions on their database connections, and what to write instead
  pause   [--timeout D] GROUP        make sessions of a target group wait, and close its database connections
  resume  GROUP                      let them go on
  reload  [--admin URL]              make a running proxy read its configuration again
  top     [--admin URL]              watch sessions, target groups and pools of a running proxy
  token   --host H --port P --user U --region R
                                     print an AWS IAM login token, made with the AWS credentials in the environment
  version                            print version, commit and Go version

berth COMMAND -h lists a command's options.
`

// command is one subcommand. It returns the process's exit code.
type command func(ctx context.Context, args []string, stdout, stderr io.Writer) int

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process at once, as it does without us
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]command{
		"serve": serve, "check": check, "status": status, "pins": pins, "pause": pause, "resume": resume, "reload": reloadCommand,
		"top": top, "token": token, "version": version,
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return exitOK
	}
	c, known := commands[args[0]]
	if !known {
		fmt.Fprintf(stderr, "berth: unknown command %q\n\n%s", args[0], usage)
		return exitUsage
	}
	return c(ctx, args[1:], stdout, stderr)
}

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)
