package postgres

import (
	"bytes"
	"strings"
)

// harmlessExtensions bring functions in SQL and PL/pgSQL that leave nothing in the session. Of other extensions these are
// looked into like everybody's; what they bring in C is trusted, unless they are among sessionExtensions, which exist to keep
// something in the session.
const (
	harmlessExtensions = "plpgsql adminpack amcheck btree_gin btree_gist citext cube dblink earthdistance file_fdw fuzzystrmatch " +
		"hstore insert_username intarray isn lo ltree moddatetime pageinspect pg_buffercache pg_freespacemap pg_prewarm " +
		"pg_stat_statements pg_surgery pg_trgm pg_visibility pg_walinspect pgcrypto pgrowlocks pgstattuple postgres_fdw seg " +
		"sslinfo tablefunc tsm_system_rows tsm_system_time unaccent uuid-ossp vector xml2 postgis postgis_raster " +
		"postgis_sfcgal postgis_topology postgis_tiger_geocoder address_standardizer address_standardizer_data_us"
	sessionExtensions = "pg_background pg_variables session_variable pgtt hypopg orafce pllua plv8 plproxy"
)

// Words in the text of a function that can change the session (the first), and those of them whose effect DISCARD ALL does not
// undo. nextval is none: nobody finds another session's sequence values (prepareSequences), but currval and lastval in
// a function do, unseen. Functions that execute SQL from strings are among them.
const (
	// setters are names of functions.
	setters = "set_config|set_limit|currval|lastval|pg_(try_)?advisory_(un)?lock[[:alnum:]_]*|[[:alnum:]_]*_to_xml[[:alnum:]_]*|" +
		"ts_stat|ts_rewrite|crosstab[[:alnum:]_]*|connectby|xpath_table|pg_create_(logical|physical)_replication_slot|" +
		"pg_copy_(logical|physical)_replication_slot|" + stickers
	stickers     = "setseed|dblink[[:alnum:]_]*|pg_replication_origin_session[[:alnum:]_]*|pg_backup_start|pg_start_backup"
	settingWords = "set|reset|execute|prepare|deallocate|listen|unlisten|temp|temporary|pg_temp[[:alnum:]_]*|discard|hold|" +
		"pg_settings|create|alter|load|" + setters
	stickingWords = "load|" + stickers
)

// harmlessPhrases are SET where it is no setting of the session: UPDATE ... SET, SET LOCAL, and set_config with the word true in
// the end, which no string and no comment has. A comment could make them of words that do not belong together: they must not begin in one. From
// [ to ^ stands a backslash.
const harmlessPhrases = "[[:<:]](do[[:space:]]+update[[:space:]]+set|" +
	"update[[:space:]]+(only[[:space:]]+)?" + plainName + "[[:space:]]+((as[[:space:]]+)?" + plainName + "[[:space:]]+)?set|" +
	"set[[:space:]]+(local|constraints)|set_config[[:space:]]*[(](''[^''[-^]*''|[^()''$*[-^-])*,[[:space:]]*true[[:space:]]*[)])"

const plainName = `(?!(then|loop|else|begin|as)[[:space:]])[[:alnum:]_."]+`

// codeNames is the part of it that asks for names: of settings, with dots in them, that a source sets, or asks for, if the maker says
// so, and of one that stands for those that decide how texts are read, if a body mentions them. A body that makes names of settings itself
// may have them from any of its strings. namedInCode finds the same.
const codeNames = `SELECT '` + lexingName + `' AS name WHERE EXISTS (SELECT 1 FROM bare WHERE
  body ~* 'client_encoding|standard_conforming|[[:<:]]set[[:space:]]+(session[[:space:]]+|local[[:space:]]+)?names[[:>:]]')
 UNION ALL (SELECT DISTINCT name FROM (SELECT pg_catalog.lower(pg_catalog.regexp_replace(matched[1], '` + codeGap + `|"|[$][[:alnum:]_]*[$]$', '', 'g')) AS name FROM source, maker,
  pg_catalog.regexp_matches(body, '(?:[[:<:]](?:(?:' || setting || ')"?` + codeGap + `*[(][^'';$]*(?:''+|[$][[:alnum:]_]*[$])|set` + codeGap + `+(?:session` + codeGap + `+)?)' ||
   CASE WHEN body ~* '` + codeMakes + `' THEN '|''(?=[[:alnum:]_.$]+'')' ELSE '' END ||
   ')(` + codePart + `(?:` + codeGap + `*[.]` + codeGap + `*` + codePart + `)+)', 'gi') AS matched) AS found
  WHERE name ~ '^[[:alpha:]_][[:alnum:]_$]*([.][[:alpha:]_][[:alnum:]_$]*)+$' LIMIT 65)`

const (
	// codeGap is white space or a comment, codePart a part of a name.
	codeGap = `(?:[[:space:]]|/[*](?:[^*]|[*]+[^*/])*[*]+/|--[^
]*)`
	codePart = `(?:[[:alpha:]_][[:alnum:]_$]*|"[[:alnum:]_$]+")`
	// codeMakes finds names of settings that are no plain strings, and SET in a string.
	codeMakes = `[[:<:]]set_config[[:space:]]*[(][[:space:]]*(?!''[^'']*''[[:space:]]*,)|''[[:space:]]*set[[:space:]]`
)

const lexingName = "client_encoding"

// SET of the seed, which no reset undoes, or its name in a string of code that may use it so, as what is left of a body has it behind harmlessPhrases, and the body itself.
const (
	seedsInRest = `[[:<:]]set` + codeGap + `+(session` + codeGap + `+)?"?seed"?` + codeGap + `*(=|to[[:>:]])`
	seedsInBody = `[[:<:]](set` + codeGap + `+local` + codeGap + `+"?seed"?` + codeGap + `*(=|to[[:>:]])|set_config"?` + codeGap + `*[(]` + codeGap + `*''+seed'')`
)

// treeNames asks for names of settings that parsed forms give to set_config: a constant there is the bytes of a text behind four of its
// length. Those that decide how texts are read have no dot.
const treeNames = `(SELECT DISTINCT CASE WHEN name LIKE '%.%' THEN name ELSE '` + lexingName + `' END FROM (SELECT
  (SELECT pg_catalog.lower(pg_catalog.string_agg(pg_catalog.chr(b::pg_catalog.int4), '' ORDER BY i)) FROM pg_catalog.regexp_split_to_table(matched[1], ' ') WITH ORDINALITY AS bytes (b, i) WHERE i > 4) AS name
  FROM tree, pg_catalog.regexp_matches(node, ':funcid 2078 [^{}]*[{](?:RELABELTYPE :arg [{])?CONST [^{}]*:constvalue [0-9]+ [[] ([0-9]+(?: [0-9]+)+) []]', 'g') AS matched
  WHERE node ~ ':funcid 2078 ') AS given
  WHERE name ~ '^[[:alpha:]_][[:alnum:]_$]*([.][[:alpha:]_][[:alnum:]_$]*)+$' OR name IN ('client_encoding', 'standard_conforming_strings') LIMIT 65)`

// ownOperators makes the operators of what follows, in the same query, the server's own: the search path may lead to others, which would be
// executed with the session's rights, and answer what they like. Nor does the session's own timeout cut it short, which is meant for its statements: without
// an answer it would be pinned. It counts to the end of the query, which is a transaction.
const ownOperators = "SET LOCAL statement_timeout = 0; SET LOCAL search_path = pg_catalog; "

// untimed takes away, for the length of the query, the session's transaction_timeout where there is one (since 17), which would end its connection. Its row has
// no names, and so is no answer.
const untimed = "SELECT pg_catalog.set_config('transaction_timeout', '0', true) WHERE pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL; "

// unseenQuery asks for the worst suspicion about the code of a database, 0, 1 or 2, and for the names of settings, with dots in
// them, that its functions set, at most 65 of functions and of expressions, with commas between them; also of those that they, or policies, ask for, if some seem to make
// such names of parts. It works with either setting of standard_conforming_strings, because there is no backslash in it, and on
// every version with extensions.
//
// Functions are judged by their text, after comments without quotes have been taken out of it, or by their language.
// Expressions elsewhere (views, rules, defaults, checks, policies, bodies in standard SQL) can only call functions: those of the
// user's are judged already, and the server's own are found by their numbers in the parsed form. Below 16384 are the
// objects that initdb created.
var unseenQuery = strings.NewReplacer(
	"HARMLESS_EXTENSIONS", sqlList(harmlessExtensions), "SESSION_EXTENSIONS", sqlList(sessionExtensions),
	"HARMLESS_PHRASES", harmlessPhrases, "SETTING_WORDS", settingWords, "STICKING_WORDS", stickingWords,
	"SETTERS", setters, "STICKERS", stickers, "CODE_NAMES", codeNames, "CODE_MAKES", codeMakes,
	"TREE_NAMES", treeNames, "SEEDS_IN_REST", seedsInRest, "SEEDS_IN_BODY", seedsInBody,
).Replace(ownOperators + untimed + `WITH member AS (SELECT d.objid, e.extname IN (HARMLESS_EXTENSIONS) AS harmless FROM pg_catalog.pg_depend d
 JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
 AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
 AND e.extname NOT IN (SESSION_EXTENSIONS)),
bare AS (SELECT l.lanname, pg_catalog.regexp_replace(p.prosrc, '--[^''"$*
]*', '--', 'g') AS body
 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang LEFT JOIN member m ON m.objid = p.oid
 WHERE p.oid >= 16384 AND p.prosrc <> 'aggregate_dummy' AND NOT (m.harmless IS TRUE)
 AND NOT (l.lanname IN ('c', 'internal') AND (m.objid IS NOT NULL OR p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace))),
maker AS (SELECT CASE WHEN EXISTS (SELECT 1 FROM bare WHERE body ~* 'CODE_MAKES')
 THEN 'set_config|current_setting' ELSE 'set_config' END AS setting),
source AS (SELECT body FROM bare UNION ALL
 SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(polqual, polrelid), pg_catalog.pg_get_expr(polwithcheck, polrelid)) FROM pg_catalog.pg_policy, maker
 WHERE setting <> 'set_config'),
code AS (SELECT lanname, body, pg_catalog.regexp_replace(body, 'HARMLESS_PHRASES', ' ', 'gi') AS rest FROM bare),
setter AS (SELECT p.oid, CASE WHEN p.proname ~ '^(STICKERS)$' THEN 2 ELSE 1 END AS level
 FROM pg_catalog.pg_proc p WHERE p.proname ~ '^(SETTERS)$'),
pattern AS (SELECT level, 'funcid (' || pg_catalog.string_agg(oid::pg_catalog.text, '|') || ') ' ||
 CASE level WHEN 1 THEN '|:relid ' || 'pg_catalog.pg_settings'::pg_catalog.regclass::pg_catalog.oid || ' ' ELSE '' END AS calls
 FROM setter GROUP BY level),
tree AS (SELECT ev_action::pg_catalog.text AS node FROM pg_catalog.pg_rewrite WHERE oid >= 16384
 UNION ALL SELECT ev_qual::pg_catalog.text FROM pg_catalog.pg_rewrite WHERE oid >= 16384
 UNION ALL SELECT adbin::pg_catalog.text FROM pg_catalog.pg_attrdef WHERE oid >= 16384
 UNION ALL SELECT conbin::pg_catalog.text FROM pg_catalog.pg_constraint WHERE oid >= 16384
 UNION ALL SELECT tgqual::pg_catalog.text FROM pg_catalog.pg_trigger WHERE oid >= 16384
 UNION ALL SELECT polqual::pg_catalog.text FROM pg_catalog.pg_policy
 UNION ALL SELECT polwithcheck::pg_catalog.text FROM pg_catalog.pg_policy
 UNION ALL SELECT typdefaultbin::pg_catalog.text FROM pg_catalog.pg_type WHERE oid >= 16384
 UNION ALL SELECT proargdefaults::pg_catalog.text FROM pg_catalog.pg_proc WHERE oid >= 16384
 UNION ALL SELECT pg_catalog.to_jsonb(s) ->> 'stxexprs' FROM pg_catalog.pg_statistic_ext s
 UNION ALL SELECT pg_catalog.to_jsonb(p) ->> 'prosqlbody' FROM pg_catalog.pg_proc p WHERE oid >= 16384 AND prosrc = '')
SELECT coalesce(pg_catalog.max(level), 0), (SELECT pg_catalog.string_agg(name, ',') FROM (
 CODE_NAMES UNION TREE_NAMES) AS names) FROM (
 SELECT CASE WHEN lanname NOT IN ('sql', 'plpgsql') OR rest ~* '[[:<:]](STICKING_WORDS)[[:>:]]|u&"' OR body ~* 'seed' AND (rest ~* 'SEEDS_IN_REST' OR body ~* 'SEEDS_IN_BODY' OR body ~* '[''$]seed[''$]' AND body ~* '[[:<:]](set_config|execute)[[:>:]]') THEN 2
  WHEN rest ~* '[[:<:]](SETTING_WORDS)[[:>:]]' OR body ~* '--[^
]*update' OR body ~* '[[:<:]]pg_settings[[:>:]]' THEN 1 ELSE 0 END AS level FROM code
 UNION ALL SELECT 2 FROM pg_catalog.pg_proc WHERE oid >= 16384 AND proconfig::pg_catalog.text ~* '[{,"]seed='
 UNION ALL SELECT pattern.level FROM tree, pattern WHERE node ~ calls
 UNION ALL SELECT 2 FROM tree WHERE node ~ ':funcid 2078 ' AND node ~ ':constvalue 8 [[] [0-9]+ [0-9]+ [0-9]+ [0-9]+ (83|115) (69|101) (69|101) (68|100) []]'
 UNION ALL SELECT level FROM setter JOIN pg_catalog.pg_operator o ON o.oprcode = setter.oid WHERE o.oid >= 16384
 UNION ALL SELECT level FROM setter JOIN pg_catalog.pg_cast c ON c.castfunc = setter.oid WHERE c.oid >= 16384
 UNION ALL SELECT level FROM setter JOIN pg_catalog.pg_aggregate a ON setter.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn)
) AS found`)

// sqlList writes words as strings.
func sqlList(words string) string { return "'" + strings.Join(strings.Fields(words), "', '") + "'" }

// controls says that the statement begins or ends a transaction, or a part of one, and nothing else. A COMMIT may execute
// deferred triggers, but only behind a statement that is none of these.
func (c *classifier) controls() bool {
	switch string(c.word()) {
	case "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release":
		return c.kind == tokenWord
	}
	return false
}

// code says that what CREATE or ALTER is about may hold code that is executed unseen.
func (c *classifier) code() bool {
	temporary := false
	ahead := c.scanner
	for ahead.next(); ahead.is("temp") || ahead.is("temporary") || ahead.is("local") || ahead.is("global"); ahead.next() {
		temporary = true
	}
	switch string(ahead.word()) {
	case "table":
		return !temporary
	case "index", "unique", "sequence", "database", "role", "user", "group", "tablespace",
		"publication", "subscription", "system":
		return false
	}
	return true
}

// mentionsCreation looks for CREATE and ALTER in the text of a DO, which is another language's.
func mentionsCreation(text []byte) bool {
	for i := range text {
		if begins(text[i:], "alter") || begins(text[i:], "creat") {
			return true
		}
	}
	return false
}

// mentionsPreparing looks there for PREPARE and DEALLOCATE, and for EXECUTE as SQL that is executed from a string.
func mentionsPreparing(text []byte) bool {
	for i := range text {
		if begins(text[i:], "prepare") || begins(text[i:], "deallocate") || text[i] == '\'' && begins(bytes.TrimLeft(text[i+1:], " \t\r\n"), "execute") {
			return true
		}
	}
	return false
}

func begins(text []byte, word string) bool {
	return len(text) >= len(word) && (text[0]|0x20) == word[0] && bytes.EqualFold(text[:len(word)], []byte(word))
}
