package main

import (
	"strings"
	"testing"
)

func TestTokenIsMadeWithTheCredentialsInTheEnvironment(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
	args := []string{"token", "--host", "db.example.com", "--port", "5432", "--user", "app"}
	if code, out, errs := call(t, args...); code != exitUsage || out != "" || errs != "berth token: --region is missing\n" {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	code, out, errs := call(t, append(args, "--region", "eu-west-1")...)
	if code != exitOK || errs != "" || !strings.HasPrefix(out, "db.example.com:5432/?Action=connect&DBUser=app&") || strings.Count(out, "\n") != 1 {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	t.Setenv("AWS_DEFAULT_REGION", "eu-west-2")
	t.Setenv("AWS_SESSION_TOKEN", "a/b")
	code, out, errs = call(t, args...)
	if code != exitOK || errs != "" || !strings.Contains(out, "%2Feu-west-2%2Frds-db%2F") || !strings.Contains(out, "&X-Amz-Security-Token=a%2Fb&") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	if code, out, errs := call(t, append(args, "--host", "https://db.example.com")...); code != exitError || out != "" || !strings.Contains(errs, "without a port") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if code, out, errs := call(t, args...); code != exitError || out != "" || !strings.Contains(errs, "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("%d, %s, %s", code, out, errs)
	}
}
