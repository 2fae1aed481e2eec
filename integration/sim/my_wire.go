package sim

import (
	"encoding/binary"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// packet appends a packet of MySQL's protocol, and its continuation where it is too long for one.
func packet(dst []byte, sequence *uint8, payload ...[]byte) []byte {
	var whole []byte
	for _, p := range payload {
		whole = append(whole, p...)
	}
	dst = append(dst, byte(len(whole)), byte(len(whole)>>8), byte(len(whole)>>16), *sequence)
	*sequence++
	return append(dst, whole...)
}

// lenenc is a length-encoded string.
func lenenc(s string) []byte {
	return append(protocol.AppendLengthEncodedInteger(nil, uint64(len(s))), s...)
}

// packet reads a packet.
func (r *reader) packet() (sequence uint8, payload []byte, err error) {
	head, err := r.block(4)
	if err != nil {
		return 0, nil, err
	}
	sequence = head[3]
	payload, err = r.block(int(head[0]) | int(head[1])<<8 | int(head[2])<<16)
	return sequence, payload, err
}

// myOK is an OK packet taken apart.
type myOK struct {
	status uint16
	info   string
}

func parseMyOK(p []byte) myOK {
	_, _, n := protocol.LengthEncodedInt(p[1:])
	at := 1 + n
	_, _, n = protocol.LengthEncodedInt(p[at:])
	at += n
	ok := myOK{status: binary.LittleEndian.Uint16(p[at:])}
	if at += 4; at < len(p) {
		info, _, _, _ := protocol.LengthEncodedString(p[at:]) // with or without SESSION_TRACK, whatever the manual says
		ok.info = string(info)
	}
	return ok
}
