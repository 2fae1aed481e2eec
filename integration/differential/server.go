package differential

import (
	"context"

	"github.com/berthdb/berth/integration/harness"
)

// execWithin runs statements as superuser on the server itself, for at most as long as an answer may take.
func execWithin(s *harness.Server, statements ...string) error {
	ctx, stop := context.WithTimeout(context.Background(), answerWithin)
	defer stop()
	return s.Exec(ctx, statements...)
}

// leaveNothing drops what a test made: code on a server makes proxies clean their connections in other tests.
func leaveNothing(t harness.T, s *harness.Server, statements ...string) {
	t.Cleanup(func() {
		for i := range sessionsOfScript {
			for _, q := range statements {
				if err := s.Exec(context.Background(), numbered(i, q)); err != nil {
					t.Errorf("%s: %v", numbered(i, q), err)
				}
			}
		}
	})
}
