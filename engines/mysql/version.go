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
