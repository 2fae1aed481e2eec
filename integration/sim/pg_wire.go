package sim

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
)

// message appends a message of PostgreSQL's protocol.
func message(dst []byte, kind byte, parts ...[]byte) []byte {
	n := 4
	for _, p := range parts {
		n += len(p)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, kind), uint32(n))
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

func text(s string) []byte { return append([]byte(s), 0) }

// complaint is the body of an ErrorResponse or NoticeResponse.
func complaint(severity, code, message string) []byte {
	var b []byte
	for _, f := range []string{"S" + severity, "V" + severity, "C" + code, "M" + message} {
		b = append(b, text(f)...)
	}
	return append(b, 0)
}

// fieldsOf takes such a body apart.
func fieldsOf(body []byte) map[byte]string {
	fields := make(map[byte]string)
	for _, f := range bytes.Split(body, []byte{0}) {
		if len(f) > 0 {
			fields[f[0]] = string(f[1:])
		}
	}
	return fields
}

// message reads a message.
func (r *reader) message() (kind byte, body []byte, err error) {
	head, err := r.block(5)
	if err != nil {
		return 0, nil, err
	}
	body, err = r.block(int(binary.BigEndian.Uint32(head[1:])) - 4)
	return head[0], body, err
}

// md5Answer is what a client answers to AuthenticationMD5Password.
func md5Answer(user, password string, salt []byte) []byte {
	sum := func(p []byte) string {
		s := md5.Sum(p)
		return hex.EncodeToString(s[:])
	}
	return text("md5" + sum(append([]byte(sum([]byte(password+user))), salt...)))
}
