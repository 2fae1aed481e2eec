package harness

import (
	"os"
	"strings"
	"syscall"
)

// Rewrite replaces text in the proxy's configuration, which must have it, and asks for a reload.
func (p *Proxy) Rewrite(t T, oldnew ...string) {
	t.Helper()
	text, err := os.ReadFile(p.ConfigFile())
	if err != nil {
		t.Fatalf("%v", err)
	}
	changed := strings.NewReplacer(oldnew...).Replace(string(text))
	if changed == string(text) {
		t.Fatalf("nothing is replaced in\n%s", text)
	}
	if err := os.WriteFile(p.ConfigFile(), []byte(changed), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatalf("%v", err)
	}
}
