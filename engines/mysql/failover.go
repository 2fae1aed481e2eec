package mysql

import protocol "github.com/go-mysql-org/go-mysql/mysql"

// What sessions see of a server that is not the writer any more, or of one that is gone.

// readOnly says whether a server says by an error that it takes no writes: it may not be the writer any more. Or the
// client's own transaction is read only; who hears of it asks the server.
func readOnly(number uint16) bool {
	switch number {
	case protocol.ER_OPTION_PREVENTS_STATEMENT, protocol.ER_READ_ONLY_MODE, protocol.ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
		return true
	}
	return false
}
