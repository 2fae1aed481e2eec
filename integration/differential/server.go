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
