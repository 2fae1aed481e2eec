package differential

import "regexp"

func (postgres) accepted() []acceptance {
	return []acceptance{{
		request: regexp.MustCompile(`pg_temp`),
		want:    regexp.MustCompile(`(?m)^ErrorResponse ERROR (3F000 "schema \\"pg_temp\\" does|42883 "function pg_temp|42P01 "table )`),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR (3F000 "schema \\"pg_temp\\" does|42883 "function pg_temp|42P01 "table )`),
		reason:  "a connection's temporary schema stays when it is empty; what is not in it is missing by either error",
	}, {
		request: regexp.MustCompile(`unclosed|selekt|raise`),
		want:    regexp.MustCompile(`(?m)^ErrorResponse ERROR 42601 `),
		got:     regexp.MustCompile(`(?m)^ErrorResponse ERROR 25P02 `),
		reason: "in a transaction that failed, text that is no SQL is refused because of the transaction: in front of what cannot " +
			"be read the proxy makes the connection forget its sequences",
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
	}}
}

func (mysql) accepted() []acceptance {
	const reason = "a value of the previous statement that cannot be known is refused, and never wrong"
	refused := regexp.MustCompile(`^ERR "Q\\x04#HY000The value belongs to a statement whose database connection has been returned`)
	return []acceptance{
		{request: regexp.MustCompile(`^request \d+: query (select|show) [^;@]*(@@[^;@]*)*$`), got: refused, reason: reason, alone: true},
		{got: refused, reason: reason},
	}
}
