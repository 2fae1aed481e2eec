package control

import (
	"net/http"

	"github.com/rs/zerolog"
)

// Reload is the body of the answer to POST /api/v1/reload. Both lists hold paths of the configuration file's keys. A
// configuration that cannot be used is answered with status 422 and what is wrong with it, one problem a line.
type Reload struct {
	Changed     []string `json:"changed"`      // in effect now
	NeedRestart []string `json:"need_restart"` // changed in the file, and not in effect
}

func reloading(log zerolog.Logger, reload func() (Reload, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		done, err := reload()
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		reply(w, log, http.StatusOK, done)
	})
}
