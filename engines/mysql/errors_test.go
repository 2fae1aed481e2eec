package mysql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// told is what a client is told of err.
func told(t *testing.T, caps uint32, err error) *engine.ServerError {
	t.Helper()
	raw := (*Engine)(nil).render([]byte("before"), 3, caps, err)
	body, ok := strings.CutPrefix(string(raw), "before")
	if !ok || len(body) < headerSize || int(body[0])|int(body[1])<<8|int(body[2])<<16 != len(body)-headerSize || body[3] != 3 {
		t.Fatalf("%v: packet %q", err, raw)
	}
	return parseERR([]byte(body[headerSize:]))
}

func TestEveryConditionHasItsWords(t *testing.T) {
	for _, condition := range engine.Conditions() {
		r, ok := conditions[condition]
		if !ok {
			t.Errorf("%v has no words", condition)
			continue
		}
		if r.number == 0 || len(r.state) != 5 || r.message == "" {
			t.Errorf("%v: %+v", condition, r)
		}
		got := told(t, clientCaps, fmt.Errorf("for 192.0.2.1: %w", condition))
		if got.Number != r.number || got.Code != r.state || got.Message != r.message {
			t.Errorf("%v: told %+v", condition, got)
		}
		if got := told(t, 0, condition); got.Message != r.message || got.Code != "HY000" {
			t.Errorf("%v before the response: told %+v", condition, got)
		}
	}
	if len(conditions) != len(engine.Conditions()) {
		t.Error("words for what is no condition")
	}
}

func TestWordsOfTheProxyAreThoseOfRDSProxy(t *testing.T) {
	for err, want := range map[error]string{
		engine.ErrBorrowTimeout:  "9501 HY000 Timed-out waiting to acquire database connection",
		engine.ErrTLSRequired:    "3159 HY000 This RDS Proxy requires TLS connections.",
		engine.ErrTooManyClients: "1040 HY000 Number simultaneous connections exceeded",
		errors.New("whatever"):   "1105 HY000 Unknown error",
		engine.ErrIdleTimeout:    "4031 HY000 The client was disconnected by the server because of inactivity.",
		engine.ErrKilled:         "1317 70100 Query execution was interrupted",
		&engine.LimitError{Err: engine.ErrUserConnections, Name: "app"}:      "1203 42000 User app already has more than 'max_user_connections' active connections",
		&engine.LimitError{Err: engine.ErrDatabaseConnections, Name: "shop"}: "1040 08004 Too many connections to database 'shop'",
		&engine.ProtocolError{Side: engine.SideClient}:                       "1835 HY000 Malformed communication packet",
		&engine.ProtocolError{Side: engine.SideBackend}:                      "1105 HY000 Unknown error",
	} {
		e := told(t, clientCaps, err)
		if got := fmt.Sprintf("%d %s %s", e.Number, e.Code, e.Message); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestAServersWordsPassThroughADialError(t *testing.T) {
	err := &engine.DialError{Target: "one", Err: &engine.ServerError{Code: "42000", Number: 1049, Message: "Unknown database 'x'"}}
	if got := told(t, clientCaps, err); got.Number != 1049 || got.Code != "42000" || got.Message != "Unknown database 'x'" {
		t.Errorf("told %+v", got)
	}
	if got := told(t, clientCaps, &engine.DialError{Target: "one", Err: errors.New("dial tcp 192.0.2.1: refused")}); got.Message != "Unknown error" {
		t.Errorf("told %+v", got)
	}
}

func TestAnERRPacketIsWellFormedWhateverItSays(t *testing.T) {
	p := appendERR(nil, 255, clientCaps, 1, "bad state", strings.Repeat("m", 10_000))
	if got := parseERR(p[headerSize:]); got.Code != "HY000" || len(got.Message) != maxMessage || p[3] != 255 {
		t.Errorf("%+v", got)
	}
	for _, payload := range []string{"", "\xff", "\xff\x01", "\xff\x01\x00", "\xff\x01\x00#", "\xff\x01\x00#2800"} {
		parseERR([]byte(payload))
	}
}

func TestKeyOptionsAreCanonicalAndReversible(t *testing.T) {
	all := uint32(0)
	for _, c := range inconvertible {
		all |= c.flag
	}
	for bits := range 1 << len(inconvertible) {
		var caps uint32
		for i, c := range inconvertible {
			if bits&(1<<i) != 0 {
				caps |= c.flag
			}
		}
		got, charset, err := parseKeyOptions(keyOptions(caps|^all, byte(bits)))
		if err != nil || got != caps || charset != byte(bits) {
			t.Errorf("%#x became %#x, %d, %v", caps, got, charset, err)
		}
	}
	for _, bad := range []string{"", "charset=", "charset=256", "charset=-1", "charset=45,", "charset=45,ssl", "45", "found_rows"} {
		if _, _, err := parseKeyOptions(bad); err == nil {
			t.Errorf("%q was understood", bad)
		}
	}
}

func TestTheOKOfALoginReportsTheDefaultDatabase(t *testing.T) {
	const track = protocol.CLIENT_SESSION_TRACK
	for name, c := range map[string]struct {
		info sessionInfo
		want string
	}{
		"no reports":             {sessionInfo{database: "app"}, "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"},
		"no database":            {sessionInfo{capabilities: track}, "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"},
		"a database":             {sessionInfo{capabilities: track, database: "app"}, "\x0f\x00\x00\x02\x00\x00\x00\x02\x40\x00\x00\x00\x06\x01\x04\x03app"},
		"a database and a proof": {sessionInfo{capabilities: track, database: "app", info: "xy"}, "\x11\x00\x00\x02\x00\x00\x00\x02\x40\x00\x00\x02xy\x06\x01\x04\x03app"},
	} {
		c.info.sequence = 2
		if got := string(appendLoginOK(nil, &c.info, statusAutocommit)); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}
