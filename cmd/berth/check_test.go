package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCheckAcceptsWhatServeWouldStart(t *testing.T) {
	path := configure(t, minimal)
	if code, out, errs := call(t, "check", "--config", path); code != exitOK || !strings.Contains(out, "is valid") || errs != "" {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
}

func TestCheckNamesEveryFileThatCannotBeUsedWithItsKey(t *testing.T) {
	path := configure(t, `
listeners:
  - {name: one, engine: postgres, address: "127.0.0.1:0", target_group: g, tls: {cert_file: no.crt, key_file: no.key}}
  - {name: two, engine: mysql, address: "127.0.0.1:0", target_group: h, tls: {mode: require, client_ca_file: empty.pem}}
target_groups:
  - name: g
    engine: postgres
    targets: [{name: t, address: "127.0.0.1:1"}]
    tls: {mode: verify-ca, ca_file: no-ca.pem}
    auth: [{secret: "file:no-secret.json"}, {secret: "file:empty.pem"}, {secret: "env:BERTH_TEST_NOT_SET"}]
  - name: h
    engine: mysql
    targets: [{name: t, address: "127.0.0.1:1"}]
    auth: [{secret: "file:secret.json", iam_auth: enabled}]
`)
	place(t, filepath.Dir(path), "empty.pem", "")
	code, _, errs := call(t, "check", "--config", path)
	if code != exitError {
		t.Errorf("exit code %d", code)
	}
	for _, expected := range []string{
		`listeners\[0\] \(one\): tls.cert_file: .*no.crt: no such file`,
		`listeners\[0\] \(one\): tls.key_file: .*no.key: no such file`,
		`listeners\[1\] \(two\): tls.client_ca_file: .*empty.pem holds no PEM`,
		`target_groups\[0\] \(g\): tls.ca_file: .*no-ca.pem: no such file`,
		`target_groups\[0\] \(g\): auth: secret file:.*no-secret.json: no such file`,
		`target_groups\[0\] \(g\): auth: secret file:.*empty.pem: not a JSON`,
		`target_groups\[0\] \(g\): auth: secret env:BERTH_TEST_NOT_SET: environment variable is not set`,
		`target_groups\[1\] \(h\): auth\[0\].iam_auth: enabled is not supported`,
	} {
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(path) + ": " + expected).MatchString(errs) {
			t.Errorf("%s is missing in\n%s", expected, errs)
		}
	}
	if lines := strings.Count(errs, "\n"); lines != 8 {
		t.Errorf("%d lines:\n%s", lines, errs)
	}
}

func TestCheckConnectsToEveryTarget(t *testing.T) {
	path := configure(t, strings.Replace(minimal, `targets: [`, `targets: [{name: other, address: "127.0.0.1:2"}, `, 1))
	code, _, errs := call(t, "check", "--config", path, "--connect")
	if code != exitError || !strings.Contains(errs, "g/t at 127.0.0.1:1: ") || !strings.Contains(errs, "g/other at 127.0.0.1:2: ") {
		t.Errorf("%d, %s", code, errs)
	}
}

func TestUsageErrorsAreToldApart(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitUsage, "usage: berth COMMAND"},
		{[]string{"server"}, exitUsage, `unknown command "server"`},
		{[]string{"check"}, exitError, "--config FILE is missing"},
		{[]string{"check", "x.yaml"}, exitUsage, `unexpected argument "x.yaml"`},
		{[]string{"check", "--no-such"}, exitUsage, "no-such"},
		{[]string{"check", "--config", "/no/such.yaml"}, exitError, "/no/such.yaml"},
		{[]string{"status", "-o", "xml"}, exitUsage, "table or json"},
		{[]string{"serve", "-h"}, exitOK, "configuration file"},
	} {
		if code, _, errs := call(t, c.args...); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%v: %d, %s", c.args, code, errs)
		}
	}
	for _, args := range [][]string{{"help"}, {"version"}} {
		if code, out, _ := call(t, args...); code != exitOK || !strings.Contains(out, "berth") {
			t.Errorf("%v: %d, %s", args, code, out)
		}
	}
}
