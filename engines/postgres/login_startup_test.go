package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/berthdb/berth/core/engine"
)

// read gives a start-up packet to a login without a client.
func read(code uint32, body string) (startup, *login, error) {
	l := &login{}
	s, err := l.startup(startupPacket{code, []byte(body)})
	return s, l, err
}

func TestStartupParametersAreReadStrictly(t *testing.T) {
	const layout = "invalid startup packet layout: expected terminator as last byte"
	missing := "A user name is missing from the connection startup packet. Provide a user name for this connection."
	cases := []struct{ name, body, code, message string }{
		{"nothing at all", "", "08P01", layout},
		{"no terminator", "user\x00alice\x00", "08P01", layout},
		{"a name without its end", "user\x00alice\x00data", "08P01", layout},
		{"a name without a value", "user\x00alice\x00database\x00", "08P01", layout},
		{"a value without its end", "user\x00alice\x00database\x00shop", "08P01", layout},
		{"bytes behind the terminator", "user\x00alice\x00\x00x", "08P01", layout},
		{"another terminator", "user\x00alice\x00\x00\x00", "08P01", layout},
		{"no user", "database\x00shop\x00\x00", "28000", missing},
		{"an empty user", "user\x00\x00\x00", "28000", missing},
		{"no parameters", "\x00", "28000", missing},
		{"two users", "user\x00alice\x00user\x00bob\x00\x00", "08P01", `invalid startup packet layout: parameter "user" is given twice`},
		{"a setting twice", "user\x00a\x00DateStyle\x00ISO\x00datestyle\x00ISO\x00\x00", "08P01", `invalid startup packet layout: parameter "datestyle" is given twice`},
		{"replication", "user\x00a\x00replication\x00database\x00\x00", "0A000", "Feature not supported: RDS Proxy currently doesn't support streaming replication mode."},
		{"physical replication", "user\x00a\x00replication\x00TRUE\x00\x00", "0A000", "Feature not supported: RDS Proxy currently doesn't support streaming replication mode."},
		{"neither replication nor not", "user\x00a\x00replication\x00maybe\x00\x00", "22023", `invalid value for parameter "replication": "maybe"`},
	}
	for _, c := range cases {
		_, _, err := read(protocol30, c.body)
		code, message := describe(err)
		if err == nil || code != c.code || message != c.message {
			t.Errorf("%s: got %v, %s %q", c.name, err, code, message)
		}
	}
}

func TestTheDatabaseDefaultsToTheUser(t *testing.T) {
	for _, body := range []string{"user\x00alice\x00\x00", "user\x00alice\x00database\x00\x00\x00"} {
		if s, _, err := read(protocol30, body); err != nil || s.database != "alice" {
			t.Errorf("%q: %+v, %v", body, s, err)
		}
	}
}

func TestSessionsThatStartAlikeShareAKey(t *testing.T) {
	key := func(body string) engine.Key {
		t.Helper()
		s, _, err := read(protocol30, body)
		if err != nil {
			t.Fatal(err)
		}
		return s.key()
	}
	first := key("user\x00alice\x00DateStyle\x00ISO\x00application_name\x00App\x00replication\x00off\x00\x00")
	same := key("application_name\x00App\x00datestyle\x00ISO\x00user\x00alice\x00database\x00alice\x00_pq_.x\x001\x00\x00")
	if first != same {
		t.Errorf("%q and %q differ", first, same)
	}
	for _, application := range []string{"application_name\x00it's another\x00", ""} {
		if other := key("user\x00alice\x00datestyle\x00ISO\x00" + application + "\x00"); other != first {
			t.Errorf("with %q the key is %q", application, other)
		}
	}
	for _, other := range []string{
		"user\x00alice\x00datestyle\x00iso\x00application_name\x00App\x00\x00", // values are exact
		"user\x00alice\x00datestyle\x00ISO\x00application_name\x00\x00\x00",    // not what the server would make of none
		"user\x00alice\x00datestyle\x00ISO\x00application_name\x00\u00fc\x00\x00",
		"user\x00alice\x00datestyle\x00ISO\x00application_name\x00App\x00options\x00-c a=b+c\\ d\x00\x00",
	} {
		if key(other) == first {
			t.Errorf("%q has the key of another session", other)
		}
	}
}

func TestNamesThatWouldChangeTheirMeaningAreNotFolded(t *testing.T) {
	s, l, err := read(protocol30, "user\x00alice\x00USER\x00root\x00Database\x00x\x00OPTIONS\x00-c a=b\x00_PQ_.x\x00y\x00\x00")
	if err != nil || s.user != "alice" || s.database != "alice" || len(l.out) != 0 {
		t.Fatalf("%+v, %q, %v", s, l.out, err)
	}
	want := map[string]string{"USER": "root", "Database": "x", "OPTIONS": "-c a=b", "_PQ_.x": "y"}
	if got := decodeOptions(s.key().Options); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestReplicationIsABooleanAsThePostgresReadsIt(t *testing.T) {
	for _, off := range []string{"0", "false", "F", "fal", "n", "NO", "of", "off"} {
		if err := checkReplication(off); err != nil {
			t.Errorf("%q: %v", off, err)
		}
	}
	for _, on := range []string{"1", "t", "true", "y", "yes", "on", "ON"} {
		if code, _ := describe(checkReplication(on)); code != codeNotSupported {
			t.Errorf("%q: %s", on, code)
		}
	}
	for _, bad := range []string{"", "o", "offf", "2", "truee"} {
		if code, _ := describe(checkReplication(bad)); code != codeInvalidValue {
			t.Errorf("%q: %s", bad, code)
		}
	}
}

func TestTheProtocolVersionIsNegotiated(t *testing.T) {
	const user = "user\x00alice\x00"
	cases := []struct {
		name    string
		asked   uint32
		body    string
		agreed  uint32
		options []string // nil: no NegotiateProtocolVersion
	}{
		{"3.0", protocol30, user, protocol30, nil},
		{"3.1, which never was", 3<<16 | 1, user, protocol30, nil},
		{"3.2", protocol32, user, protocol32, nil},
		{"3.3", 3<<16 | 3, user, protocol32, []string{}},
		{"grease", 3<<16 | 9999, user + "_pq_.test_protocol_negotiation\x00\x00", protocol32, []string{"_pq_.test_protocol_negotiation"}},
		{"unknown options", protocol30, user + "_pq_.b\x001\x00_pq_.a\x002\x00", protocol30, []string{"_pq_.b", "_pq_.a"}},
	}
	for _, c := range cases {
		_, l, err := read(c.asked, c.body+"\x00")
		if err != nil || l.protocol != c.agreed {
			t.Errorf("%s: agreed on %#x, %v", c.name, l.protocol, err)
			continue
		}
		if c.options == nil {
			if len(l.out) != 0 {
				t.Errorf("%s: said %q", c.name, l.out)
			}
			continue
		}
		var m pgproto3.NegotiateProtocolVersion
		if l.out[0] != 'v' || int(binary.BigEndian.Uint32(l.out[1:])) != len(l.out)-1 {
			t.Fatalf("%s: said %q", c.name, l.out)
		}
		if err := m.Decode(l.out[5:]); err != nil || m.NewestMinorProtocol != c.agreed || strings.Join(m.UnrecognizedOptions, " ") != strings.Join(c.options, " ") {
			t.Errorf("%s: said %+v, %v", c.name, m, err)
		}
	}
}

func TestOtherProtocolsAreRefusedInWordsThatClientsKnow(t *testing.T) {
	for code, version := range map[uint32]string{2 << 16: "2.0", 4<<16 | 1: "4.1", 0: "0.0", 1234<<16 | 9: "1234.9"} {
		f := listen(t, engine.AcceptOptions{})
		r := f.dial(t)
		r.send(packet(code, strings.Repeat("\x00", 288))...)
		kind, body := r.message()
		if got := parseServerError(body); kind != 'E' || got.Code != "0A000" ||
			got.Message != "unsupported frontend protocol "+version+": server supports 3.0 to 3.2" {
			t.Errorf("%s: got %q %v", version, kind, got)
		}
	}
}

func TestAPacketOfImpossibleLengthEndsTheConnectionBeforeItIsRead(t *testing.T) {
	for _, length := range []uint32{0, 3, 4, 7, maxStartupPacket + 5, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		if byte(length>>24) == recordHandshake {
			continue
		}
		f := listen(t, engine.AcceptOptions{})
		r := f.dial(t)
		r.send(binary.BigEndian.AppendUint32(nil, length)...)
		if told, err := io.ReadAll(r); err != nil || len(told) > 0 {
			t.Errorf("%d: told %q, %v", length, told, err)
		}
	}
	f := listen(t, engine.AcceptOptions{}, user("alice", "secret"))
	r := f.dial(t)
	body := "user\x00alice\x00application_name\x00"
	body += strings.Repeat("x", maxStartupPacket-4-len(body)-2) + "\x00\x00"
	r.send(packet(protocol30, body)...)
	if kind, body := r.message(); kind != 'R' {
		t.Errorf("the longest packet: got %q %q", kind, body)
	}
}

func TestARequestForEncryptionHasNoBody(t *testing.T) {
	for _, code := range []uint32{codeSSL, codeGSS} {
		f := listen(t, engine.AcceptOptions{})
		r := f.dial(t)
		r.send(packet(code, "x")...)
		if kind, body := r.message(); kind != 'E' || parseServerError(body).Code != "08P01" {
			t.Errorf("got %q %q", kind, body)
		}
	}
}

func TestALongerCancelKeyGoesWithTheNewerProtocol(t *testing.T) {
	alice := user("alice", "secret")
	for text, n := range map[string]int{"max_protocol_version=3.0": 4, "max_protocol_version=3.2": 32} {
		f := listen(t, engine.AcceptOptions{}, alice)
		pg, err := f.connect(t, text, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := f.result(t).accepted
		if len(a.Secret) != n || !bytes.Equal(pg.SecretKey(), a.Secret) {
			t.Errorf("%s: key %x, %x", text, a.Secret, pg.SecretKey())
		}
	}
}

func TestOptionsSurviveTheKey(t *testing.T) {
	for _, settings := range [][]parameter{nil, {{"a", ""}}, {{"a", "1"}, {"b", ""}, {"c", "x\n=y"}}} {
		want := map[string]string{}
		for _, p := range settings {
			want[p.name] = p.value
		}
		if got := decodeOptions(encodeOptions(settings)); !reflect.DeepEqual(got, want) {
			t.Errorf("%v became %v", settings, got)
		}
	}
}

// FuzzStartup compares with pgx: what we take it takes, with the same parameters.
func FuzzStartup(f *testing.F) {
	for _, seed := range []string{"\x00", "user\x00alice\x00\x00", "user\x00a\x00user\x00b\x00\x00", "user\x00alice\x00DATABASE\x00x\x00\x00\x00", "_pq_.x\x00\x00user\x00\xff\x00\x00"} {
		f.Add(protocol30, []byte(seed))
		f.Add(uint32(3<<16|9999), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, code uint32, body []byte) {
		params, err := parseParameters(body)
		if err == nil && len(params) > 0 { // it does not take none
			var m pgproto3.StartupMessage
			if err := m.Decode(append(binary.BigEndian.AppendUint32(nil, protocol30), body...)); err != nil {
				t.Fatalf("pgx does not take %q: %v", body, err)
			}
			if len(m.Parameters) != len(params) {
				t.Fatalf("%q: %v, pgx says %v", body, params, m.Parameters)
			}
			for _, p := range params {
				if m.Parameters[p.name] != p.value {
					t.Fatalf("%q: %v, pgx says %v", body, params, m.Parameters)
				}
			}
		}
		s, l, err := read(code, string(body))
		if err != nil {
			var refused *refusal
			var protocol *engine.ProtocolError
			if !errors.As(err, &refused) && !errors.As(err, &protocol) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if s.user == "" || s.database == "" || len(decodeOptions(s.key().Options)) != len(s.settings) {
			t.Fatalf("%q: %+v", body, s)
		}
		if len(l.out) > 0 {
			var m pgproto3.NegotiateProtocolVersion
			if err := m.Decode(l.out[5:]); err != nil {
				t.Fatalf("%q: said %q: %v", body, l.out, err)
			}
		}
	})
}

// FuzzCancelRequest compares with pgx.
func FuzzCancelRequest(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01key!"))
	f.Add(bytes.Repeat([]byte{7}, 260))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseCancel(body)
		var m pgproto3.CancelRequest
		oracle := m.Decode(append(binary.BigEndian.AppendUint32(nil, codeCancel), body...))
		if (err == nil) != (oracle == nil) {
			t.Fatalf("%x: %v, pgx says %v", body, err, oracle)
		}
		if err == nil && (got.ID != m.ProcessID || !bytes.Equal(got.Secret, m.SecretKey)) {
			t.Fatalf("%x: %+v, pgx says %+v", body, got, m)
		}
	})
}
