package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/plugins/identity"
)

// token prints what a client gives as its password where AWS IAM says who may log in.
func token(_ context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("token", flag.ContinueOnError)
	var l identity.Login
	fs.StringVar(&l.Host, "host", "", "`endpoint` that the client connects to, as AWS names it")
	fs.IntVar(&l.Port, "port", 0, "its `port`")
	fs.StringVar(&l.User, "user", "", "the database `user`")
	fs.StringVar(&l.Region, "region", cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")), "AWS `region` of the endpoint")
	if code, ok := parse(fs, args, stderr); !ok {
		return code
	}
	for _, o := range []struct {
		name    string
		missing bool
	}{{"--host", l.Host == ""}, {"--port", l.Port == 0}, {"--user", l.User == ""}, {"--region", l.Region == ""}} {
		if o.missing {
			fmt.Fprintf(stderr, "berth token: %s is missing\n", o.name)
			return exitUsage
		}
	}
	c, err := awsCredentials()
	if err != nil {
		return fail(stderr, fs.Name(), err)
	}
	made, err := identity.Token(l, c, time.Now())
	if err == nil {
		_, err = fmt.Fprintln(stdout, made)
	}
	if err != nil {
		return fail(stderr, fs.Name(), err)
	}
	return exitOK
}

// awsCredentials are those in the environment, by the names that every tool of AWS knows.
func awsCredentials() (identity.Credentials, error) {
	c := identity.Credentials{
		AccessKey: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: engine.NewSecret(os.Getenv("AWS_SECRET_ACCESS_KEY")), Session: os.Getenv("AWS_SESSION_TOKEN"),
	}
	if c.AccessKey == "" || c.Secret.Reveal() == "" {
		return c, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set, and AWS_SESSION_TOKEN for temporary credentials")
	}
	return c, nil
}
