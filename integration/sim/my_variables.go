package sim

import (
	"encoding/hex"
	"regexp"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// What the proxy asks about user variables, and how it restores them.

var (
	askedVariable    = regexp.MustCompile("@`([^`]+)`, HEX\\(")
	restoredVariable = regexp.MustCompile("@`([^`]+)`=_utf8mb4 X'([0-9A-F]*)' COLLATE 'utf8mb4_bin'")
)

// tellVariables answers SELECT of a variable that nobody has set, and then of each one its value, in hexadecimal digits, its character
// set and its collation. What was never set has another type.
func (s *mySession) tellVariables(sql string) {
	columns, row := [][]byte{variableColumn(false)}, []byte{0xfb}
	for _, m := range askedVariable.FindAllStringSubmatch(sql, -1) {
		value, known := s.settings[m[1]]
		columns = append(columns, variableColumn(known), myColumn(), myColumn(), myColumn())
		if !known {
			row = append(row, 0xfb, 0xfb)
			row = append(append(row, lenenc("binary")...), lenenc("binary")...)
			continue
		}
		for _, cell := range []string{value, strings.ToUpper(hex.EncodeToString([]byte(value))), "utf8mb4", "utf8mb4_bin"} {
			row = append(row, lenenc(cell)...)
		}
	}
	s.out = packet(s.out, &s.sequence, protocol.AppendLengthEncodedInteger(nil, uint64(len(columns))))
	for _, c := range columns {
		s.out = packet(s.out, &s.sequence, c)
	}
	s.out = packet(s.out, &s.sequence, row)
	s.okay(0xfe, 0, "", 0, nil)
}

func variableColumn(known bool) []byte {
	column := myColumn()
	if !known {
		column[len(column)-6] = protocol.MYSQL_TYPE_LONG_BLOB
	}
	return column
}

// restoreVariables executes the SET that restores variables.
func (s *mySession) restoreVariables(sql string) {
	rest := strings.TrimPrefix(sql, "SET ")
	for _, m := range restoredVariable.FindAllStringSubmatch(sql, -1) {
		value, err := hex.DecodeString(m[2])
		if err != nil {
			break
		}
		s.settings[m[1]] = string(value)
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, m[0]), ", ")
	}
	if rest != "" {
		s.server.w.fail("connection %d was asked %q", s.id, sql)
	}
	s.ok("", 0, nil)
}
