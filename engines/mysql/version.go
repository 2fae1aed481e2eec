package mysql

import (
	"strconv"
	"strings"
)

// versionNumber is a server's version as executable comments write it, 80017 for 8.0.17 and 101118 for 10.11.18, without
// MariaDB's prefix; 0 if it cannot be told. Versions from 10 on have six digits.
func versionNumber(version string) int {
	parts := strings.SplitN(strings.TrimPrefix(version, mariaDBPrefix), ".", 3)
	if len(parts) < 3 {
		return 0
	}
	if end := strings.IndexFunc(parts[2], func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		parts[2] = parts[2][:end]
	}
	number := 0
	for _, part := range parts {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > 99 {
			return 0
		}
		number = number*100 + n
	}
	return number
}

// dialect is how a server reads text. The zero dialect is that of a server of which nothing is known.
type dialect struct {
	version int // see versionNumber; 0 if unknown
	mariaDB bool
}

func dialectOf(version string, mariaDB bool) dialect { return dialect{versionNumber(version), mariaDB} }

// isMySQL says whether the server is known to be no MariaDB.
func (d dialect) isMySQL() bool { return d.version > 0 && !d.mariaDB }

// hasRoles says whether the server is known to have roles.
func (d dialect) hasRoles() bool { return d.version >= 80000 || d.mariaDB && d.version >= 100005 }

// maxDigits is how many digits a version has at most in an executable comment.
const maxDigits = 6

// oldest is older than every server to which the engine can log in: without authentication plugins none is new enough.
const oldest = 50500

// executes says whether a server executes a comment that begins with these digits, at most maxDigits, and the byte next, and
// how many of them are its version (MySQL's manual, "Comments"; MariaDB's, "Comment Syntax"). Fewer than five are none. It is
// sure only where it has been tried: MySQL 9 takes a sixth digit only in front of white space, and older ones not at all or
// always; MariaDB leaves out the versions of MySQL that it is not like, 10.11 all, older ones some.
func (d dialect) executes(digits []byte, next byte, maria bool) (run bool, used int, sure bool) {
	known := d.version > 0
	if len(digits) < 5 {
		return true, 0, known || !maria // to MySQL the latter is a comment like others
	}
	used = len(digits)
	if !d.mariaDB && used == maxDigits && next != ' ' && (next < '\t' || next > '\r') {
		used = 5
	}
	n, _ := strconv.Atoi(string(digits[:used]))
	sixth := len(digits) == maxDigits
	switch {
	case n <= oldest && !sixth && (known || !maria):
		return true, used, true
	case !known:
		return true, used, false
	case !d.mariaDB:
		return n <= d.version, used, !sixth || d.version >= 90000
	case n > d.version || maria || n < 50700:
		return n <= d.version, used, true
	case n <= 99999:
		return false, used, n <= 50999 || d.version >= 101100
	}
	return true, used, true
}
