package mysql

import (
	"maps"
	"slices"
	"strings"
)

// keyword is a word that decides what a statement does. The zero keyword is any other word.
type keyword uint8

const (
	kwOther    keyword = iota
	kwHarmless         // begins a statement that leaves no session state, whatever follows
	kwQuery            // begins a statement whose only danger is in the functions that it calls
	kwSelect
	kwInsert
	kwLoad
	kwShow
	kwBegin
	kwStart
	kwEndOfTransaction
	kwRelease
	kwUse
	kwCreate
	kwAlter
	kwDrop
	kwFlush
	kwLock
	kwXA
	kwRename
	kwHandler
	kwCall
	kwPrepared
	kwSet
	kwGet
	kwKill
	kwAs
	kwInto
	kwWith
	kwTable
	kwTemporary
	kwWarnings
	kwCount
	kwWork
	kwTransaction
	kwNo
	kwFor
	kwPrepare
	kwGlobal
	kwSession
	kwRole
	kwPassword
	kwDefault
	kwQueryWord
	kwConnection
	kwHard
	kwCalcFoundRows
	kwNext
	kwValue
	kwModifier // of INSERT and REPLACE, in front of the table
	kwIdentity
	kwDiagnosticCount
	kwLastGTID
	kwThreadID
	kwTracked
	kwSequenceValue // of a sequence that is named in front of it, as Oracle writes it
	kwLimit
	kwFrom
	kwTo
	kwUser
	kwPrivileges
	kwStatement
	kwReturning
	kwUncounted // of a SELECT whose rows may not be as many as FOUND_ROWS() says
	kwSQL       // SQL%ROWCOUNT is MariaDB's ROW_COUNT() in sql_mode ORACLE
	kwRowCount
	kwResource
	kwSys // the schema of views that keep what they have read in user variables
)

// call is what a word means in front of a parenthesis.
type call uint8

const (
	callUnknown  call = iota // perhaps a stored or loadable function: it may do anything
	callHarmless             // a function of the server, or no call at all
	callNamedLock
	callSequence
	callLastInsertID
	callPrevious
	callFoundRows // which is callPrevious, too
	callConnectionID
	callWritten
)

type word struct {
	keyword keyword
	call    call
	works   works // what a statement does that it begins
}

// plain says that the word means nothing but in front of a parenthesis.
func (w word) plain() bool { return w.keyword == kwOther && w.call <= callHarmless }

// tells says that as the name of a function or variable it is about what a session, or a connection, has of its own.
func (w word) tells() bool {
	return w.call > callHarmless || w.keyword >= kwIdentity && w.keyword <= kwSequenceValue
}

// words has every word that matters. It is never changed.
var words = makeWords()

func makeWords() *lexicon {
	t := make(map[string]word, 1<<10)
	for _, name := range strings.Fields(harmlessCalls) {
		t[name] = word{call: callHarmless}
	}
	for name, c := range specialCalls {
		t[name] = word{call: c}
	}
	for k, names := range keywords {
		for _, name := range strings.Fields(names) {
			w := t[name]
			w.keyword = k
			t[name] = w
		}
	}
	for k, names := range working {
		for _, name := range strings.Fields(names) {
			w := t[name]
			w.works |= k
			t[name] = w
		}
	}
	l := &lexicon{}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		l.add(name, t[name])
	}
	return l
}

var specialCalls = map[string]call{
	"GET_LOCK": callNamedLock,
	"NEXTVAL":  callSequence, "LASTVAL": callSequence, "SETVAL": callSequence,
	"LAST_INSERT_ID": callLastInsertID,
	"FOUND_ROWS":     callFoundRows, "ROW_COUNT": callPrevious,
	"CONNECTION_ID": callConnectionID, "PS_CURRENT_THREAD_ID": callConnectionID, "PS_THREAD_ID": callConnectionID,
	"WSREP_LAST_SEEN_GTID": callWritten, "WSREP_LAST_WRITTEN_GTID": callWritten,
}

var keywords = map[keyword]string{
	kwAlter: "ALTER",
	kwHarmless: "TRUNCATE OPTIMIZE CHECK CHECKSUM REPAIR GRANT REVOKE HELP UNLOCK SAVEPOINT SIGNAL " +
		"RESIGNAL PURGE",
	kwQuery:            "VALUES UPDATE DELETE DO EXPLAIN DESC DESCRIBE ANALYZE",
	kwSelect:           "SELECT",
	kwInsert:           "INSERT REPLACE",
	kwLoad:             "LOAD",
	kwShow:             "SHOW",
	kwBegin:            "BEGIN",
	kwStart:            "START",
	kwEndOfTransaction: "COMMIT ROLLBACK",
	kwRelease:          "RELEASE",
	kwUse:              "USE",
	kwCreate:           "CREATE",
	kwDrop:             "DROP",
	kwFlush:            "FLUSH",
	kwLock:             "LOCK BACKUP",
	kwXA:               "XA",
	kwRename:           "RENAME",
	kwHandler:          "HANDLER",
	kwCall:             "CALL",
	kwPrepared:         "EXECUTE DEALLOCATE",
	kwPrepare:          "PREPARE",
	kwSet:              "SET",
	kwGet:              "GET",
	kwKill:             "KILL",
	kwAs:               "AS",
	kwInto:             "INTO REFERENCES",
	kwWith:             "WITH RECURSIVE",
	kwTable:            "TABLE",
	kwFrom:             "FROM",
	kwTo:               "TO",
	kwUser:             "USER",
	kwPrivileges:       "PRIVILEGES",
	kwStatement:        "STATEMENT",
	kwTemporary:        "TEMPORARY",
	kwWarnings:         "WARNINGS ERRORS",
	kwCount:            "COUNT",
	kwWork:             "WORK",
	kwTransaction:      "TRANSACTION",
	kwNo:               "NO",
	kwFor:              "FOR EXPORT",
	kwGlobal:           "GLOBAL PERSIST PERSIST_ONLY",
	kwSession:          "SESSION LOCAL",
	kwRole:             "ROLE",
	kwPassword:         "PASSWORD",
	kwDefault:          "DEFAULT",
	kwQueryWord:        "QUERY",
	kwConnection:       "CONNECTION",
	kwHard:             "HARD SOFT",
	kwCalcFoundRows:    "SQL_CALC_FOUND_ROWS",
	kwNext:             "NEXT PREVIOUS",
	kwValue:            "VALUE",
	kwModifier:         "LOW_PRIORITY HIGH_PRIORITY DELAYED IGNORE",
	kwIdentity:         "IDENTITY LAST_INSERT_ID",
	kwDiagnosticCount:  "WARNING_COUNT ERROR_COUNT",
	kwLastGTID:         "LAST_GTID",
	kwThreadID:         "PSEUDO_THREAD_ID",
	kwTracked:          "SESSION_TRACK_SYSTEM_VARIABLES",
	kwSequenceValue:    "NEXTVAL CURRVAL",
	kwRowCount:         "ROWCOUNT",
	kwSQL:              "SQL",
	kwResource:         "RESOURCE",
	kwSys:              "SYS",
	kwLimit:            "LIMIT",
	kwReturning:        "RETURNING",
	kwUncounted:        "UNION INTERSECT EXCEPT MINUS OFFSET EXAMINED TIES PROCEDURE",
}

// works is what the first word of a statement says of it.
type works uint8

const (
	worksKeeps     works = 1 << iota // classKeeps, if nothing else is in the text
	worksOpens                       // classOpens
	worksShows                       // classShows
	worksGets                        // classGets
	worksTableless                   // no table is used, see autocommit.go
	worksEnds                        // a transaction, see there
	worksLogins                      // classLogins
)

var working = map[works]string{
	worksKeeps:  "SELECT INSERT REPLACE UPDATE DELETE WITH VALUES SAVEPOINT ROLLBACK",
	worksOpens:  "BEGIN START ROLLBACK",
	worksShows:  "SHOW",
	worksGets:   "GET",
	worksEnds:   "COMMIT ROLLBACK CREATE DROP RENAME GRANT REVOKE",
	worksLogins: "GRANT REVOKE",
	// SELECT to SHOW: worksOn sees what makes them use tables. The others leave nothing, as SAVEPOINT does. ALTER and TRUNCATE end no transaction if the
	// table is temporary.
	worksTableless: "COMMIT ROLLBACK CREATE DROP RENAME GRANT REVOKE SELECT VALUES DO SET SHOW " +
		"ALTER TRUNCATE USE BEGIN START RELEASE LOCK UNLOCK PREPARE DEALLOCATE KILL GET SIGNAL RESIGNAL XA FLUSH",
}

// harmlessCalls are the servers' own functions that leave no state behind, and the words of the grammar that may stand
// in front of a parenthesis (MySQL 9.7, "Built-In Function and Operator Reference"; MariaDB 10.11,
// information_schema.SQL_FUNCTIONS).
const harmlessCalls = `
ABS ACOS ADDDATE ADDTIME ADD_MONTHS AES_DECRYPT AES_ENCRYPT ANY_VALUE ASCII ASIN ATAN ATAN2 AVG BENCHMARK BIN
BINLOG_GTID_POS BIN_TO_UUID BIT_AND BIT_COUNT BIT_LENGTH BIT_OR BIT_XOR CAN_ACCESS_COLUMN CAN_ACCESS_DATABASE
CAN_ACCESS_TABLE CAN_ACCESS_VIEW CAST CEIL CEILING CHAR CHARACTER_LENGTH CHARSET CHAR_LENGTH CHR COALESCE COERCIBILITY
COLLATION COLUMN_ADD COLUMN_CHECK COLUMN_CREATE COLUMN_DELETE COLUMN_EXISTS COLUMN_GET COLUMN_JSON COLUMN_LIST COMPRESS
CONCAT CONCAT_OPERATOR_ORACLE CONCAT_WS CONV CONVERT CONVERT_TZ COS COT COUNT CRC32 CRC32C CUME_DIST CURDATE
CURRENT_DATE CURRENT_ROLE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURTIME DATABASE DATE DATEDIFF DATE_ADD
DATE_FORMAT DATE_SUB DAY DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR DECODE DECODE_HISTOGRAM DECODE_ORACLE DEFAULT DEGREES
DENSE_RANK DES_DECRYPT DES_ENCRYPT ELT ENCODE ENCRYPT EXP EXPORT_SET EXTRACT EXTRACTVALUE FIELD FIND_IN_SET FIRST_VALUE
FLOOR FORMAT FORMAT_BYTES FORMAT_PICO_TIME FROM_BASE64 FROM_DAYS FROM_UNIXTIME GEOMCOLLECTION GEOMETRYCOLLECTION
GEOMETRYCOLLECTIONFROMTEXT GEOMETRYCOLLECTIONFROMWKB GEOMETRYFROMTEXT GEOMETRYFROMWKB GET_FORMAT GLENGTH GREATEST
GROUPING GROUP_CONCAT GTID_SUBSET GTID_SUBTRACT HEX HOUR ICU_VERSION IF IFNULL INET6_ATON INET6_NTOA INET_ATON
INET_NTOA INSERT INSTR INTERVAL ISNULL IS_FREE_LOCK IS_IPV4 IS_IPV4_COMPAT IS_IPV4_MAPPED IS_IPV6 IS_USED_LOCK IS_UUID
JSON_ARRAY JSON_ARRAYAGG JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_COMPACT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH
JSON_DETAILED JSON_EQUALS JSON_EXISTS JSON_EXTRACT JSON_INSERT JSON_KEYS JSON_LENGTH JSON_LOOSE JSON_MERGE
JSON_MERGE_PATCH JSON_MERGE_PRESERVE JSON_NORMALIZE JSON_OBJECT JSON_OBJECTAGG JSON_OVERLAPS JSON_PRETTY JSON_QUERY
JSON_QUOTE JSON_REMOVE JSON_REPLACE JSON_SCHEMA_VALID JSON_SCHEMA_VALIDATION_REPORT JSON_SEARCH JSON_SET
JSON_STORAGE_FREE JSON_STORAGE_SIZE JSON_TABLE JSON_TYPE JSON_UNQUOTE JSON_VALID JSON_VALUE LAG LAST_DAY LAST_VALUE
LCASE LEAD LEAST LEFT LENGTH LENGTHB LINESTRING LN LOAD_FILE LOCALTIME LOCALTIMESTAMP LOCATE LOG LOG10 LOG2 LOWER LPAD
LPAD_ORACLE LTRIM LTRIM_ORACLE MAKEDATE MAKETIME MAKE_SET MASTER_GTID_WAIT MASTER_POS_WAIT MATCH MAX MBRCONTAINS
MBRCOVEREDBY MBRCOVERS MBRDISJOINT MBREQUALS MBRINTERSECTS MBROVERLAPS MBRTOUCHES MBRWITHIN MD5 MEDIAN MEMBER
MICROSECOND MID MIN MINUTE MOD MONTH MONTHNAME MULTILINESTRING MULTIPOINT MULTIPOLYGON NAME_CONST NATURAL_SORT_KEY NOW
NTH_VALUE NTILE NULLIF NVL NVL2 OCT OCTET_LENGTH OLD_PASSWORD ORD PASSWORD PERCENTILE_CONT PERCENTILE_DISC PERCENT_RANK
PERIOD_ADD PERIOD_DIFF PI POINT POLYGON POSITION POW POWER QUARTER QUOTE RADIANS RAND RANDOM_BYTES RANK REGEXP_INSTR
REGEXP_LIKE REGEXP_REPLACE REGEXP_SUBSTR RELEASE_ALL_LOCKS RELEASE_LOCK REPEAT REPLACE REPLACE_ORACLE REVERSE RIGHT
ROLES_GRAPHML ROUND ROW ROW_NUMBER RPAD RPAD_ORACLE RTRIM RTRIM_ORACLE SCHEMA SECOND SEC_TO_TIME SESSION_USER SFORMAT
SHA SHA1 SHA2 SIGN SIN SLEEP SOUNDEX SOURCE_POS_WAIT SPACE SQRT STATEMENT_DIGEST STATEMENT_DIGEST_TEXT STD STDDEV
STDDEV_POP STDDEV_SAMP STRCMP STR_TO_DATE ST_AREA ST_ASBINARY ST_ASGEOJSON ST_ASTEXT ST_ASWKB ST_ASWKT ST_BUFFER
ST_BUFFER_STRATEGY ST_CENTROID ST_COLLECT ST_CONTAINS ST_CONVEXHULL ST_CROSSES ST_DIFFERENCE ST_DIMENSION ST_DISJOINT
ST_DISTANCE ST_DISTANCE_SPHERE ST_ENDPOINT ST_ENVELOPE ST_EQUALS ST_EXTERIORRING ST_FRECHETDISTANCE ST_GEOHASH
ST_GEOMCOLLFROMTEXT ST_GEOMCOLLFROMWKB ST_GEOMETRYN ST_GEOMETRYTYPE ST_GEOMFROMGEOJSON ST_GEOMFROMTEXT ST_GEOMFROMWKB
ST_HAUSDORFFDISTANCE ST_INTERIORRINGN ST_INTERSECTION ST_INTERSECTS ST_ISCLOSED ST_ISEMPTY ST_ISSIMPLE ST_ISVALID
ST_LATFROMGEOHASH ST_LATITUDE ST_LENGTH ST_LINEFROMTEXT ST_LINEFROMWKB ST_LINEINTERPOLATEPOINT ST_LONGFROMGEOHASH
ST_LONGITUDE ST_MAKEENVELOPE ST_MLINEFROMTEXT ST_MPOINTFROMTEXT ST_MPOLYFROMTEXT ST_NUMGEOMETRIES ST_NUMINTERIORRINGS
ST_NUMPOINTS ST_OVERLAPS ST_POINTATDISTANCE ST_POINTFROMGEOHASH ST_POINTFROMTEXT ST_POINTFROMWKB ST_POINTN
ST_POLYFROMTEXT ST_POLYFROMWKB ST_SIMPLIFY ST_SRID ST_STARTPOINT ST_SWAPXY ST_SYMDIFFERENCE ST_TOUCHES ST_TRANSFORM
ST_UNION ST_VALIDATE ST_WITHIN ST_X ST_Y SUBDATE SUBSTR SUBSTRING SUBSTRING_INDEX SUBSTR_ORACLE SUBTIME SUM SYSDATE
SYSTEM_USER SYS_GUID TAN TIME TIMEDIFF TIMESTAMP TIMESTAMPADD TIMESTAMPDIFF TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_CHAR
TO_DAYS TO_SECONDS TRIM TRIM_ORACLE TRUNCATE UCASE UNCOMPRESS UNCOMPRESSED_LENGTH UNHEX UNIX_TIMESTAMP UPDATEXML UPPER
USER UTC_DATE UTC_TIME UTC_TIMESTAMP UUID UUID_SHORT UUID_TO_BIN VALUE VALUES VARIANCE VAR_POP VAR_SAMP VERSION
WAIT_FOR_EXECUTED_GTID_SET WEEK WEEKDAY WEEKOFYEAR WEIGHT_STRING
WSREP_SYNC_WAIT_UPTO_GTID YEAR YEARWEEK

AGAINST ALL AND ANY AS BETWEEN BINARY BY CASE COLUMNS CROSS CUBE DISTINCT DISTINCTROW DIV DUAL ELSE ELSEIF END ESCAPE
EXCEPT EXCLUDE EXISTS FOR FROM FULL HAVING IGNORE IN INDEX INNER INTERSECT INTO IS JOIN KEY KEYS LATERAL LIKE LIMIT
LINES MINUS NATURAL NOT OFFSET ON OR ORDER OUTER OVER PARTITION RECURSIVE REGEXP RETURNING RLIKE ROLLUP ROWS SELECT SET
SOME SOUNDS STRAIGHT_JOIN TABLE THEN UNION USING WHEN WHERE WINDOW WITH XOR

BIGINT BIT BLOB DATETIME DEC DECIMAL DOUBLE FIXED FLOAT INT INTEGER MEDIUMINT NCHAR NUMERIC NVARCHAR REAL SIGNED
SMALLINT TEXT TINYINT UNSIGNED VARBINARY VARCHAR VARCHARACTER VECTOR CHARACTER
DISTANCE FROM_VECTOR STRING_TO_VECTOR TO_VECTOR VECTOR_DIM VECTOR_DISTANCE VECTOR_TO_STRING VEC_DISTANCE
VEC_DISTANCE_COSINE VEC_DISTANCE_EUCLIDEAN VEC_FROMTEXT VEC_TOTEXT`
