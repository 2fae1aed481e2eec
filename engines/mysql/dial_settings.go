package mysql

import (
	"slices"
	"strings"

	protocol "github.com/go-mysql-org/go-mysql/mysql"
)

// fundamental are the variables that a fresh session of a server does not have from DEFAULT (the character sets, and the
// timeout of interactive clients, come from the handshake; of two switches MySQL's DEFAULT is the opposite), and those that
// drivers set most often, mostly to what they are already.
var fundamental = []string{
	clientCharset, resultsCharset, connectionCollation, waitTimeout, "foreign_key_checks", "unique_checks",
	"autocommit", "sql_mode", "time_zone", autoIsNull, "net_write_timeout", completionType,
}

// completionType is the variable by which COMMIT and ROLLBACK may end the connection (RELEASE).
const completionType = "completion_type"

// identity is what tells a server from others that may answer at the same address later: replication needs server_id to be unique.
const identity = "@@GLOBAL.server_id, @@GLOBAL.hostname"

// readBase finds out who the server is, and which values the connection has that no session may change for another.
func (u *upstream) readBase(initQuery string) error {
	names := fundamental
	assigned := setReader{actReader: actReader{rest: []byte(initQuery)}}
	assigned.text()
	for _, name := range append(u.reported, assigned.names...) {
		name = dialectOf(u.greeting.version, u.greeting.mariaDB).variable(name)
		if len(names) < maxSettings && restorable(name, "0") && !slices.Contains(names, name) {
			names = append(names[:len(names):len(names)], name)
		}
	}
	query, d := "SELECT "+identity+", @@SESSION."+strings.Join(names, ", @@SESSION.")+", @@GLOBAL.max_prepared_stmt_count", dialectOf(u.greeting.version, u.greeting.mariaDB)
	if d.hasRoles() {
		query += ", CURRENT_ROLE()"
	}
	row, err := u.ask(query)
	if err != nil {
		return err
	}
	if d.hasRoles() && len(row) == 2+len(names)+2 {
		u.role, row = d.setRole(row[len(row)-1]), row[:len(row)-1]
	}
	if len(row) != 2+len(names)+1 {
		return broken("not as many values as variables")
	}
	u.server, u.statements, row = row[0]+" "+row[1], row[len(row)-1], row[2:len(row)-1]
	for i, name := range names {
		if restorable(name, row[i]) {
			u.base, _ = u.base.with(name, row[i])
		}
		u.releases = u.releases || name == completionType && !restorable(name, row[i])
	}
	u.collate(initQuery)
	return nil
}

// setRole is the statement that takes the roles of CURRENT_ROLE(): MySQL lists them as SET ROLE does, MariaDB has one name, or NULL.
func (d dialect) setRole(role string) string {
	switch {
	case d.mariaDB && role == "":
		role = "NONE"
	case d.mariaDB:
		role = "`" + strings.ReplaceAll(role, "`", "``") + "`"
	}
	return "SET ROLE " + role
}

// collate adds to the base which collations character sets have: that of the handshake, as connections have at first, unless the
// target's own query may have set one of them.
func (u *upstream) collate(initQuery string) {
	q := strings.ToLower(initQuery)
	if strings.Contains(q, "char") || strings.Contains(q, "names") || strings.Contains(q, "coll") {
		return
	}
	d := dialectOf(u.greeting.version, u.greeting.mariaDB)
	collation, _ := u.base.value(connectionCollation)
	for _, name := range [...]string{clientCharset, resultsCharset} {
		if charset, _ := u.base.value(name); strings.HasPrefix(collation, charset+"_") {
			u.base, _ = u.base.with(name, d.withCollation(charset, collation))
		}
	}
}

// note notes which variables an OK packet reports as set.
func (u *upstream) note(packet []byte) {
	var o okPacket
	if !o.parse(packet) {
		return
	}
	for name := range variables(o.state) {
		switch {
		case automatic(name), derived(name), string(name) == connectionCharset, string(name) == serverCharset:
		case len(u.reported) < maxSettings:
			u.reported = append(u.reported, string(name))
		}
	}
}

// arm is what a backend needs behind COM_RESET_CONNECTION: the trackers, and what the handshake said. In its place MySQL then has the
// server's global character sets and collation, MariaDB the global sql_mode and wait_timeout.
func (u *upstream) arm() string {
	names := []string{clientCharset, resultsCharset, connectionCollation}
	if u.greeting.mariaDB {
		names = names[:0]
		if u.caps&protocol.CLIENT_IGNORE_SPACE != 0 {
			names = append(names, "sql_mode")
		}
		if u.caps&protocol.CLIENT_INTERACTIVE != 0 {
			names = append(names, waitTimeout)
		}
	}
	var reset *settings
	for _, name := range names {
		reset, _ = reset.with(name, "\x00") // no value of the base's
	}
	if reset == nil {
		return trackers
	}
	return string(difference([]byte(trackers+", "), reset, nil, u.base))
}
