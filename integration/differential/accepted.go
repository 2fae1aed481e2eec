package differential

import "regexp"

func (p postgres) accepted() []acceptance {
	all := []acceptance{{
		request: regexp.MustCompile(`pg_temp`),
		want:    regexp.MustCompile(`(?m)^ErrorResponse ERROR (3F000 "schema \\"pg_temp\\" does|42883 "function pg_temp|42P01 "table )`),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR (3F000 "schema \\"pg_temp\\" does|42883 "function pg_temp|42P01 "table )`),
		reason:  "a connection's temporary schema stays when it is empty; what is not in it is missing by either error",
	}, {
		request: regexp.MustCompile(`currval|lastval`),
		want:    regexp.MustCompile(`(?m)^ErrorResponse ERROR 55000 "(currval|lastval) .* hint ""`),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR 55000 "(currval|lastval) .* hint "The statement that used the sequence ran on another`),
		reason:  "whether a statement that writes has used a sequence is not known",
	}, {
		request: regexp.MustCompile(`Describe\(S `),
		want:    regexp.MustCompile(`(?m)^ParameterDescription `),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR 25P02 `),
		reason:  "in a transaction that failed no statement can be prepared, so one that the connection has not cannot be described",
	}, {
		request: regexp.MustCompile(`Describe\(S `),
		want:    regexp.MustCompile(`(?m)^ParameterDescription .*\n(NoData\nReadyForQuery .*\n)?ErrorResponse ERROR 42P01 `),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR 42P01 `),
		reason:  "a statement whose table is gone is refused when it is described, or bound if it has no columns, or, on a connection that has it not, when it is prepared",
	}}
	all = append(all, described()...)
	all = append(all, acceptance{
		request: regexp.MustCompile(`(?i)\bcall\b|\bselect\b`),
		where:   regexp.MustCompile(`PL/pgSQL function (d\d+\.)?`), alone: true,
		reason: "an error's context names a function as the search path had it when the connection read the function, for whomever",
	}, acceptance{
		request: regexp.MustCompile(`temp_buffers`),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR 22023 "invalid value for parameter \\"temp_buffers\\".* cannot be changed after any temporary tables`),
		reason:  "a connection that had a temporary table, whosever, takes no other temp_buffers",
	})
	if p.groups == nil { // with statements whose use of a sequence does not show
		all = append(all, acceptance{
			request: regexp.MustCompile(`currval|lastval`),
			got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR 55000 "(currval|lastval) `),
			reason: "where the statement behind one that writes does not ask for the value of a sequence, a later one may be refused, " +
				"and is never told a wrong one",
		})
	}
	return all
}

// described are the acceptances of a transaction's characteristics behind the description of a statement with a name. The server itself
// takes a snapshot for that if anybody has created a schema since it was prepared, and none otherwise.
func described() (all []acceptance) {
	const (
		statement = `Describe\(S [^)]`
		sets      = `(?i)set (local )?transaction`
		reason    = "a statement that is described takes the transaction's snapshot where it has to be prepared again"
	)
	refused := regexp.MustCompile(`(?m)^ErrorResponse ERROR 25001 ".* before any query"`)
	behind := acceptance{request: regexp.MustCompile(sets), behind: regexp.MustCompile(statement), reason: reason}
	within := acceptance{request: regexp.MustCompile(statement + `.*` + sets), reason: reason}
	for _, a := range []acceptance{behind, within} {
		server, proxy := a, a
		server.want, proxy.got = refused, refused
		all = append(all, server, proxy)
	}
	return all
}

func (mysql) accepted() []acceptance {
	const reason = "a value of the previous statement that cannot be known is refused, and never wrong"
	refused := regexp.MustCompile(`^ERR "Q\\x04#HY000The value belongs to a statement whose database connection has been returned`)
	return []acceptance{
		{
			request: regexp.MustCompile(`^request \d+: execute `), got: regexp.MustCompile(`^ERR "O\\x06#HY000Prepared statement needs to be re-prepared`),
			behind: regexp.MustCompile(`(?i)^query (.*;.*\bset\b|.*\bset\b.*;)`),
			reason: "nothing may be prepared in front of what uses tables, as scripts have code that reads ROW_COUNT(), so that SET beside that costs statements",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .*(types \[(\d+ )*6\b|"NULL")`), where: regexp.MustCompile(`(?m)^COLUMN .*"$`), alone: true,
			behind: regexp.MustCompile(`^prepare \w+: select (\?(, \?| \+ 1)|concat\(\?, 'ü'\))$`),
			reason: "a column of which a parameter alone decides has the type, or the width, of its last value that was not NULL, which a connection on which there was none cannot be told",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .*[^r]$`), want: regexp.MustCompile(`(?m)^ERR .*too many"`), got: regexp.MustCompile(`^ERR "O\\x06#HY000Prepared statement needs to be re-prepared`),
			behind: regexp.MustCompile(`^execute .* with a cursor$`),
			reason: "MySQL sends neither rows nor their end to an execution without a cursor of a statement whose first one had one: behind code that failed in that one it is " +
				"refused, and only the server knows that it will fail again",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .*(types \[(\d+ )*6\b|"NULL")`), where: regexp.MustCompile(`(?m)^COLUMN .*"$`), alone: true,
			behind: regexp.MustCompile(`^prepare \w+: select @\w+ := \?$`),
			reason: "MariaDB describes the column of an assignment of NULL by what the variable was when the statement was prepared, and on the connection that has it that may be later",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .* types (\[(\d+ )*25[0-4]\b|as before)`), want: regexp.MustCompile(`(?m)^EOF 1 warnings,`), got: regexp.MustCompile(`(?m)^EOF [2-9] warnings,`),
			where: regexp.MustCompile(`(?m)^EOF \d warnings`), behind: regexp.MustCompile(`(?i)^(query (create temporary|rename|alter|drop|truncate) table |execute \w+ \[.*types \[(\d+ )*25[0-4]\b)`),
			reason: "a string for a number is compared as DOUBLE where MySQL itself prepares again, behind DDL, or a temporary table in the place of another one, or another string, and as " +
				"INTEGER where it is prepared then for the first time: it warns once, or for each place",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .*, types as before`), want: regexp.MustCompile(`^ERR "\\xba\\x04#HY000Incorrect arguments to mysqld_stmt_execute"`),
			behind: regexp.MustCompile(`^prepare \w+: call `),
			reason: "MariaDB reads OUT and INOUT parameters of a CALL by the types of the procedure's own when it is executed again without types, and refuses what is too " +
				"short for them; to a connection on which the client's types are not known for sure they are sent, and that is understood",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .*, types as before`), want: regexp.MustCompile(`^ERR .*(Malformed communication packet\.|Incorrect arguments to mysqld_stmt_execute)"`),
			got:    regexp.MustCompile(`^ERR "z\\x04#42S02Table `),
			behind: regexp.MustCompile(`(?i)^query .*\b(rename|drop|alter) table `),
			reason: "of parameters that are too short for the types of before, and a table that is gone, a connection that has to prepare the statement is told the table first",
		},
		{
			request: regexp.MustCompile(`^request \d+: execute .*(types \[(\d+ )*10\b|types as before)`), where: regexp.MustCompile(`(?m)^EOF \d warnings`),
			behind: regexp.MustCompile(`^prepare \w+: .*\b[a-z]\(\?`),
			reason: "MariaDB warns of a date that is none when it reads the parameters, and forgets that where it has to read a function's code again, as behind any " +
				"CREATE or DROP of code by anybody",
		},
		{
			request: regexp.MustCompile(`^request \d+: reset statement `), want: regexp.MustCompile(`^OK .* status 0x2,`), got: regexp.MustCompile(`^OK .* status 0x3,`),
			where: regexp.MustCompile(`status 0x[23],`), behind: regexp.MustCompile(`(?i)^query .*\b(truncate|create|alter|drop|rename)\b`), alone: true,
			reason: "an ERR does not say that a statement which failed has committed before; the OK for a statement that the connection has not says what was known last",
		},
		{
			request: regexp.MustCompile(`^request \d+: field list `), want: regexp.MustCompile(`^ROW "\\x00\\x00\\x00\\x02\\x00\\x00\\x00"`), got: regexp.MustCompile(`^ERR "\\x16\\x04#3D000No database selected"`),
			behind: regexp.MustCompile(`(?i)\bwith\b`),
			reason: "without a default database MariaDB answers COM_FIELD_LIST behind a WITH by an OK, where a client expects columns",
		},
		{request: regexp.MustCompile(`^request \d+: query (select|show) [^;@]*(@@[^;@]*)*$`), got: refused, reason: reason, alone: true},
		{got: refused, reason: reason},
		{
			request: regexp.MustCompile(`^request \d+: init db `), want: regexp.MustCompile(`, 1 warnings `), got: regexp.MustCompile(`, 0 warnings `), alone: true,
			reason: "an error that the proxy tells in the server's words, as that there is no such cursor, is in no list",
		},
		{
			request: regexp.MustCompile(`^request \d+: query select @@session\.warning_count \+ 1$`), want: regexp.MustCompile(`(?m)^ROW "\\x013"`), got: regexp.MustCompile(`(?m)^ROW "\\x012"`), alone: true,
			behind: regexp.MustCompile(`^fetch `), reason: "nor in that to which MySQL adds the error of an execution with a cursor",
		},
		{
			request: regexp.MustCompile(`^request \d+: init db `), want: regexp.MustCompile(`, 2 warnings `), got: regexp.MustCompile(`, 1 warnings `), alone: true,
			reason: "nor is the warning that FOUND_ROWS() is deprecated, where the question is refused, and an error follows that is in it",
		},
	}
}
