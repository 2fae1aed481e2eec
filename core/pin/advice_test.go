package pin

import (
	"os"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

func TestEveryReasonToPinComesWithAdviceThatIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/pinning.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(doc)), " ")
	for k := range engine.Kinds {
		for _, name := range []string{"postgres", "mysql"} {
			kind := engine.Kind(k)
			got := Advice(name, kind)
			if (got == "") != (kind == engine.KindReset) {
				t.Errorf("%s on %s: %q", kind, name, got)
			}
			if !strings.Contains(text, got) {
				t.Errorf("%s on %s is not in docs/pinning.md: %s", kind, name, got)
			}
		}
	}
	if Advice("postgres", engine.Kind(200)) != "" {
		t.Error("there is advice on a kind from the future")
	}
}
