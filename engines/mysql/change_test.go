package mysql

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// changePacket is a COM_CHANGE_USER.
func changePacket(user string, proof []byte, database string, charset uint16, plugin string) []byte {
	p := append([]byte{protocol.COM_CHANGE_USER}, user...)
	p = append(p, 0, byte(len(proof)))
	p = append(p, proof...)
	p = append(p, database...)
	p = append(p, 0)
	p = binary.LittleEndian.AppendUint16(p, charset)
	p = append(p, plugin...)
	return append(p, 0)
}

// before is the session that changes its user.
func before() *sessionInfo {
	return &sessionInfo{id: 5, capabilities: clientCaps | protocol.CLIENT_FOUND_ROWS, charset: 45,
		key: keyOf("open", "", protocol.CLIENT_FOUND_ROWS, 45), salt: [saltSize]byte(fakeSalt), clientAddress: "192.0.2.9:1234", sequence: 4}
}

func TestAChangeOfUserNeedsNoSwitchIfTheProofIsRight(t *testing.T) {
	for _, c := range []struct {
		authType, plugin string
		calculate        func(salt, password []byte) []byte
		reply            string
	}{
		{native, protocol.AUTH_NATIVE_PASSWORD, protocol.CalcNativePassword, ""},
		{native, "", protocol.CalcNativePassword, ""},
		{cachingSHA2, protocol.AUTH_CACHING_SHA2_PASSWORD, protocol.CalcCachingSha2Password, "\x01\x03"},
	} {
		e := testEngine(Config{Credentials: users(c.authType)}, mysqlServer)
		s := before()
		u, err := e.changeUser(s, changePacket("app", c.calculate(fakeSalt, []byte(password)), "shop", 33, c.plugin))
		if err != nil {
			t.Fatal(err)
		}
		if reply, v := u.first(e.lookUp(t.Context(), u.request.user, u.server)); v != verdictAccepted || string(reply) != c.reply {
			t.Errorf("%s: %q, verdict %d", c.authType, reply, v)
		}
		got := u.session()
		if got.id != 5 || got.key.User != "app" || got.database != "shop" || got.charset != 33 ||
			got.key != (engine.Key{User: "app", Database: "*", Options: "charset=33,found_rows"}) {
			t.Errorf("%+v", got)
		}
		if s.key.User != "open" || s.database != "" {
			t.Error("the old session was changed")
		}
	}
}

func TestAChangeOfUserSwitchesOnceIfTheProofIsWrong(t *testing.T) {
	for _, authType := range []string{native, cachingSHA2} {
		calculate := protocol.CalcNativePassword
		if authType == cachingSHA2 {
			calculate = protocol.CalcCachingSha2Password
		}
		for _, right := range []bool{true, false} {
			e := testEngine(Config{Credentials: users(authType)}, mysqlServer)
			u, err := e.changeUser(before(), changePacket("app", []byte("made with another salt"), "", 45, authType[6:]))
			if err != nil {
				t.Fatal(err)
			}
			request, v := u.first(e.lookUp(t.Context(), u.request.user, u.server))
			if v != verdictMore || len(request) == 0 || request[0] != authSwitchRequest {
				t.Fatalf("%q, verdict %d", request, v)
			}
			f := fields{rest: request[1:]}
			f.terminated()
			salt := f.bytes(saltSize)
			proof := calculate(salt, []byte(password))
			want := verdictAccepted
			if !right {
				proof[3]++
				want = verdictDenied
			}
			if _, v := u.next(proof); v != want {
				t.Errorf("%s: verdict %d", authType, v)
			}
			if u.session().salt != [saltSize]byte(salt) {
				t.Error("the next change would begin with an old salt")
			}
			if _, v := u.next(proof); v != verdictDenied {
				t.Errorf("a packet too many: verdict %d", v)
			}
		}
	}
}

func TestADeniedChangeOfUserIsToldLikeADeniedLogin(t *testing.T) {
	for user, cause := range map[string]error{"app": engine.ErrDenied, "nobody": engine.ErrNoCredential, "": engine.ErrNoCredential} {
		e := testEngine(Config{Credentials: users(native)}, mysqlServer)
		u, err := e.changeUser(before(), changePacket(user, make([]byte, 20), "", 45, protocol.AUTH_NATIVE_PASSWORD))
		if err != nil {
			t.Fatal(err)
		}
		if _, v := u.first(e.lookUp(t.Context(), u.request.user, u.server)); v != verdictMore {
			t.Fatalf("%q: verdict %d", user, v)
		}
		if _, v := u.next([]byte("still wrong")); v != verdictDenied {
			t.Fatalf("%q: verdict %d", user, v)
		}
		got := told(t, clientCaps, u.denied())
		if got.Number != 1045 || got.Message != "Access denied for user '"+user+"'@'192.0.2.9' (using password: YES)" {
			t.Errorf("%+v", got)
		}
		if !errors.Is(u.denied(), cause) {
			t.Errorf("%q: the log would say %v", user, u.denied())
		}
	}
}

func TestAMalformedChangeOfUserIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		payload string
		number  uint16
	}{
		"nothing but the command": {"\x11", 1835},
		"no end of the user":      {"\x11app", 1835},
		"no proof":                {"\x11app\x00", 1835},
		"a proof cut off":         {"\x11app\x00\x14short", 1835},
		"half a charset":          {"\x11app\x00\x00db\x00\x01", 1835},
		"a charset beyond 255":    {"\x11app\x00\x00db\x00\x35\x01", 1115},
		"attributes cut off":      {"\x11app\x00\x00db\x00\x2d\x00p\x00\x05", 1835},
	} {
		e := testEngine(Config{Credentials: users(native)}, mysqlServer)
		s := before()
		s.capabilities |= protocol.CLIENT_CONNECT_ATTRS
		if _, err := e.changeUser(s, []byte(c.payload)); err == nil || told(t, clientCaps, err).Number != c.number {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAChangeOfUserIsRefusedWithoutAServer(t *testing.T) {
	e := New(Config{Credentials: users("")})
	if _, err := e.changeUser(before(), changePacket("app", nil, "", 45, "")); !errors.Is(err, engine.ErrNoTarget) {
		t.Errorf("%v", err)
	}
}

func TestAnOldChangeOfUserEndsAfterTheDatabase(t *testing.T) {
	r, err := parseChangeUser([]byte("\x11open\x00\x00shop"), clientCaps)
	if err != nil || r.user != "open" || r.database != "shop" || r.plugin != "" || r.charset != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestTheRSAExchangeIsAskedForOnce(t *testing.T) {
	e := testEngine(Config{Credentials: users(cachingSHA2)}, mysqlServer)
	for name, packets := range map[string][]string{
		"the key twice":            {"\x02", "\x02"},
		"no ciphertext":            {"\x02", ""},
		"a ciphertext of nonsense": {"\x02", strings.Repeat("x", 256)},
		"a short ciphertext":       {strings.Repeat("x", 10)},
	} {
		a := authentication{account: account{methodCachingSHA2, password, true}, salt: fakeSalt,
			full: &fullAuthentication{key: e.serverKey}}
		if reply, v := a.first(protocol.AUTH_CACHING_SHA2_PASSWORD, []byte("proof")); v != verdictMore || string(reply) != "\x01\x04" {
			t.Fatalf("%q, verdict %d", reply, v)
		}
		v := verdictMore
		for _, p := range packets {
			if v != verdictMore {
				t.Fatalf("%s: ended early", name)
			}
			_, v = a.next([]byte(p))
		}
		if v != verdictDenied {
			t.Errorf("%s: verdict %d", name, v)
		}
	}
}

func FuzzChangeUser(f *testing.F) {
	f.Add(changePacket("app", make([]byte, 20), "shop", 45, protocol.AUTH_NATIVE_PASSWORD), []byte("answer"), uint32(offered))
	f.Add([]byte("\x11app\x00\x00db\x00\x2d\x00p\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff"), []byte{}, uint32(0xffffffff))
	e := testEngine(Config{Credentials: accounts{map[string]string{"app": password}, ""}}, mysqlServer)
	f.Fuzz(func(t *testing.T, payload, answer []byte, caps uint32) {
		s := before()
		s.capabilities = caps
		u, err := e.changeUser(s, payload)
		if err != nil {
			return
		}
		_, v := u.first(e.lookUp(t.Context(), u.request.user, u.server))
		if v == verdictMore {
			_, v = u.next(answer)
		}
		if v != verdictDenied {
			t.Fatalf("verdict %d without the password", v)
		}
	})
}
