package drivers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
)

// longest is the longest message that a prologue may send.
const longest = 1 << 20

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.Contains(err.Error(), "connection reset")
}

// startUp begins the note of PostgreSQL's start-up parameters.
const startUp = "start-up: "

// readPostgres notes the start-up parameters but for who logs in, and the text of each Query and Parse (PostgreSQL
// manual, 54.7).
func readPostgres(r io.Reader, note func(string)) error {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return err
	}
	body, err := readBody(r, int(binary.BigEndian.Uint32(head))-4)
	if err != nil {
		return err
	}
	if len(body) < 4 || binary.BigEndian.Uint32(body)>>16 != 3 {
		return fmt.Errorf("no start-up message of protocol 3, is TLS off? % x", body[:min(8, len(body))])
	}
	var parameters []string
	words := strings.Split(strings.TrimRight(string(body[4:]), "\x00"), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		if words[i] != "user" && words[i] != "database" {
			parameters = append(parameters, words[i]+"="+words[i+1])
		}
	}
	slices.Sort(parameters) // some drivers keep them in a map
	if len(parameters) > 0 {
		note(startUp + strings.Join(parameters, ", "))
	}
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		if body, err = readBody(r, int(binary.BigEndian.Uint32(head[1:]))-4); err != nil {
			return err
		}
		switch head[0] {
		case 'Q':
			text, _, _ := strings.Cut(string(body), "\x00")
			note(text)
		case 'P':
			if fields := strings.SplitN(string(body), "\x00", 3); len(fields) == 3 {
				note(fields[1])
			}
		}
	}
}

// readMySQL notes commands, and the text of those that have one (MySQL's protocol documentation, Command Phase).
func readMySQL(r io.Reader, note func(string)) error {
	const queryAttributes = 1 << 27
	head := make([]byte, 4)
	attributes, loggedIn := false, false
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return err
		}
		body, err := readBody(r, int(head[0])|int(head[1])<<8|int(head[2])<<16)
		if err != nil {
			return err
		}
		switch {
		case !loggedIn: // HandshakeResponse41 begins with the capabilities
			if len(body) < 4 {
				return fmt.Errorf("no handshake response: % x", body)
			}
			attributes = binary.LittleEndian.Uint32(body)&queryAttributes != 0
			loggedIn = true
		case head[3] != 0 || len(body) == 0: // a command's packets are numbered from 0
		default:
			noteCommand(body, attributes, note)
		}
	}
}

// stmtPrepare begins the note of a statement that is prepared by the binary protocol.
const stmtPrepare = "COM_STMT_PREPARE "

func noteCommand(body []byte, attributes bool, note func(string)) {
	text := string(body[1:])
	switch body[0] {
	case 0x03:
		if attributes && len(text) > 2 {
			text = text[2:] // no attributes, in one set
		}
		note(text)
	case 0x16:
		note(stmtPrepare + text)
	default:
		if name, known := commands[body[0]]; known {
			note(name)
		}
	}
}

// commands are those without text that could matter to the session's state.
var commands = map[byte]string{
	0x02: "COM_INIT_DB", 0x0e: "COM_PING", 0x11: "COM_CHANGE_USER", 0x1b: "COM_SET_OPTION", 0x1f: "COM_RESET_CONNECTION",
}

func readBody(r io.Reader, length int) ([]byte, error) {
	if length < 0 || length > longest {
		return nil, fmt.Errorf("a message of %d bytes", length)
	}
	body := make([]byte, length)
	_, err := io.ReadFull(r, body)
	return body, err
}
