package mysql

import (
	"fmt"
	"strconv"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/berthdb/berth/core/engine"
)

// inconvertible are the capabilities that change what a server does with a statement, so that a session needs a backend
// that was opened with the same ones, in the order in which key options name them.
var inconvertible = [...]struct {
	flag uint32
	name string
}{
	{protocol.CLIENT_FOUND_ROWS, "found_rows"},
	{protocol.CLIENT_IGNORE_SPACE, "ignore_space"},
	{protocol.CLIENT_INTERACTIVE, "interactive"},
	{protocol.CLIENT_LOCAL_FILES, "local_files"},
	{protocol.CLIENT_MULTI_STATEMENTS, "multi_statements"},
	// With query attributes every COM_QUERY and COM_STMT_EXECUTE has another form, of another length.
	{protocol.CLIENT_QUERY_ATTRIBUTES, "query_attributes"},
	{extendedMetadata, "extended_metadata"},
}

// extendedMetadata stands, among the capabilities, for MARIADB_CLIENT_EXTENDED_METADATA: definitions of columns say besides which of
// MariaDB's own types a column has, JSON above all. It is one of the extended capabilities, which MariaDB and its clients have in the last four
// bytes of a filler, where wireExtendedMetadata is its flag. No server offers the flag that stands for it here (CLIENT_CAPABILITY_EXTENSION;
// MariaDB's CLIENT_PROGRESS_OBSOLETE); whatever peers say of that one is not looked at.
//
// bulkOperations stands for MARIADB_CLIENT_STMT_BULK_OPERATIONS in the same way, and for CLIENT_SSL_VERIFY_SERVER_CERT, which only clients use, and for themselves.
// It allows of COM_STMT_BULK_EXECUTE and changes nothing else, so that every backend that can has it.
const (
	extendedMetadata     = 1 << 29
	bulkOperations       = 1 << 30
	extendedCapabilities = extendedMetadata | bulkOperations
	wireExtendedMetadata = 1 << 3 // 1 << 35, less the 32 bits of the others
	wireBulkOperations   = 1 << 2 // 1 << 34
)

// appendExtended appends capabilities' extended ones.
func appendExtended(dst []byte, capabilities uint32) []byte {
	var extended uint32
	if capabilities&extendedMetadata != 0 {
		extended |= wireExtendedMetadata
	}
	if capabilities&bulkOperations != 0 {
		extended |= wireBulkOperations
	}
	return appendUint32(dst, extended)
}

// withExtended returns the capabilities of a peer with these extended ones.
func withExtended(capabilities, extended uint32) uint32 {
	capabilities &^= extendedCapabilities
	if capabilities&protocol.CLIENT_LONG_PASSWORD != 0 { // CLIENT_MYSQL
		return capabilities
	}
	if extended&wireExtendedMetadata != 0 {
		capabilities |= extendedMetadata
	}
	if extended&wireBulkOperations != 0 {
		capabilities |= bulkOperations
	}
	return capabilities
}

// keyOf returns the key of the backends that serve a session.
func keyOf(user, database string, capabilities uint32, charset byte) engine.Key {
	k := engine.Key{User: user, Options: keyOptions(capabilities, charset)}
	if database != "" {
		k.Database = anyDatabase
	}
	return k
}

// keyOptions is the canonical form of what a session needs of a backend beyond user and database: "charset=45",
// followed by the names of inconvertible capabilities.
func keyOptions(capabilities uint32, charset byte) string {
	var b strings.Builder
	b.WriteString("charset=")
	b.WriteString(strconv.Itoa(int(charset)))
	for _, c := range inconvertible {
		if capabilities&c.flag != 0 {
			b.WriteByte(',')
			b.WriteString(c.name)
		}
	}
	return b.String()
}

// parseKeyOptions is the inverse of keyOptions. What loginsBefore has put behind them says nothing of how to log in.
func parseKeyOptions(options string) (capabilities uint32, charset byte, err error) {
	options, _, _ = strings.Cut(options, loginsOption)
	first, rest, more := strings.Cut(options, ",")
	id, ok := strings.CutPrefix(first, "charset=")
	n, err := strconv.ParseUint(id, 10, 8)
	if !ok || err != nil {
		return 0, 0, fmt.Errorf("key options %q", options)
	}
	for more {
		var name string
		name, rest, more = strings.Cut(rest, ",")
		flag := inconvertibleFlag(name)
		if flag == 0 {
			return 0, 0, fmt.Errorf("key options %q", options)
		}
		capabilities |= flag
	}
	return capabilities, byte(n), nil
}

func inconvertibleFlag(name string) uint32 {
	for _, c := range inconvertible {
		if c.name == name {
			return c.flag
		}
	}
	return 0
}
