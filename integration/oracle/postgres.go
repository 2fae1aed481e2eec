package oracle

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/engines/postgres"
)

// Postgres parses SQL as PostgreSQL does, with standard_conforming_strings on, and returns what it does to its session.
func Postgres(sql string) (Facts, error) {
	tree, err := pg.Parse(sql)
	if err != nil {
		return nil, err
	}
	w := walker{facts: Facts{}}
	for _, s := range tree.Stmts {
		w.statement(s.Stmt)
	}
	if len(tree.Stmts) != 1 || !isDiscardAll(tree.Stmts[0].Stmt) {
		w.facts.add(FactNotReset, "the number and kind of statements")
	}
	return w.facts, nil
}

// KnownToPostgres says whether the scan knows of a fact, or asks the server in a way that would show it.
func KnownToPostgres(e postgres.Effects) func(Fact) bool {
	unknown := slices.Contains(e.Leaves, engine.KindUnknown)
	return func(f Fact) bool {
		switch f {
		case FactForeign:
			return e.Foreign || e.Opaque || e.Garbled || unknown
		case FactOpaque:
			return e.Opaque || e.Garbled || unknown
		case FactCode:
			return !e.Inert
		case FactRolls:
			return e.Rolls
		case FactNotReset:
			return !e.Resets
		case FactSequences:
			return e.Sequences
		case FactNames:
			return e.Names
		case FactDrops:
			return e.Drops
		case FactCreates:
			return e.Creates
		}
		// What nobody can ask the server for must be seen.
		visible := f == name(engine.KindUnknown) || f == name(engine.KindSequence) || f == name(engine.KindLibrary) ||
			f == name(engine.KindReplication) || f == name(engine.KindConnectionID)
		has := func(kinds []engine.Kind) bool {
			return slices.ContainsFunc(kinds, func(k engine.Kind) bool { return f == name(k) })
		}
		return unknown || has(e.Leaves) || !visible && (e.Opaque || e.Garbled || e.Resets || has(e.May) || has(e.Ends))
	}
}

func name(k engine.Kind) Fact { return Fact(k.String()) }

// walker collects facts.
type walker struct {
	facts   Facts
	updates bool // inside of an UPDATE or INSERT
}

func (w *walker) kind(k engine.Kind, by string) { w.facts.add(name(k), by) }

func isDiscardAll(n *pg.Node) bool {
	d := n.GetDiscardStmt()
	return d != nil && d.Target == pg.DiscardMode_DISCARD_ALL
}

// statement takes one whole statement.
func (w *walker) statement(n *pg.Node) {
	if n.GetTransactionStmt() == nil {
		w.facts.add(FactCode, "a statement that is not about transactions")
	}
	w.walk(n.ProtoReflect())
}

// walk visits a message and everything in it that is executed at once.
func (w *walker) walk(m protoreflect.Message) {
	if !w.visit(m.Interface()) {
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Message() == nil {
			return true
		}
		if !f.IsList() {
			w.walk(v.Message())
			return true
		}
		for i := range v.List().Len() {
			w.walk(v.List().Get(i).Message())
		}
		w.qualified(v.List())
		return true
	})
}

// qualified sees the name of a session's own schema in front of another name, whatever that is the name of.
func (w *walker) qualified(l protoreflect.List) {
	for i := range l.Len() - 1 {
		n, ok := l.Get(i).Message().Interface().(*pg.Node)
		after, followed := l.Get(i + 1).Message().Interface().(*pg.Node)
		if ok && followed && strings.HasPrefix(n.GetString_().GetSval(), "pg_temp") && after.GetString_() != nil {
			w.kind(engine.KindTemporaryTable, "the schema of a name")
		}
	}
}

// visit notes what one node does. It returns false if what is in it is not executed now.
func (w *walker) visit(node any) bool {
	switch n := node.(type) {
	case *pg.VariableSetStmt:
		w.set(n)
	case *pg.TransactionStmt:
		switch n.Kind {
		case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO,
			pg.TransactionStmtKind_TRANS_STMT_PREPARE:
			w.facts.add(FactRolls, "a rollback")
		}
	case *pg.DiscardStmt:
		if n.Target == pg.DiscardMode_DISCARD_ALL {
			w.facts.add(FactDrops, "DISCARD ALL")
		}
	case *pg.PrepareStmt:
		w.kind(engine.KindPreparedStatement, "PREPARE")
		w.facts.add(FactNames, "PREPARE")
		return false
	case *pg.ExecuteStmt:
		w.kind(engine.KindPreparedStatement, "EXECUTE")
		w.facts.add(FactNames, "EXECUTE")
	case *pg.DeallocateStmt:
		w.kind(engine.KindPreparedStatement, "DEALLOCATE")
		if n.Name == "" {
			w.facts.add(FactDrops, "DEALLOCATE ALL")
		} else {
			w.facts.add(FactNames, "DEALLOCATE")
		}
	case *pg.ListenStmt, *pg.UnlistenStmt:
		w.kind(engine.KindListen, "LISTEN or UNLISTEN")
	case *pg.LoadStmt:
		w.kind(engine.KindLibrary, "LOAD")
	case *pg.DeclareCursorStmt:
		const hold = 0x20 // CURSOR_OPT_HOLD (parsenodes.h)
		if n.Options&hold != 0 {
			w.kind(engine.KindCursor, "WITH HOLD")
		}
	case *pg.ClosePortalStmt:
		w.kind(engine.KindCursor, "CLOSE")
	case *pg.DoStmt, *pg.CallStmt:
		if _, do := n.(*pg.DoStmt); do {
			w.facts.add(FactOpaque, "DO")
		} else {
			w.facts.add(FactForeign, "CALL")
		}
	case *pg.CreateExtensionStmt, *pg.AlterExtensionStmt, *pg.AlterExtensionContentsStmt, *pg.CreatePLangStmt:
		w.facts.add(FactOpaque, "code that an extension brings")
		w.facts.add(FactCreates, "code that an extension brings")
	case *pg.IntoClause:
		return n.OnCommit != pg.OnCommitAction_ONCOMMIT_DROP
	case *pg.RangeVar:
		if n.Relpersistence == "t" || strings.HasPrefix(n.Schemaname, "pg_temp") {
			w.kind(engine.KindTemporaryTable, "the relation "+n.Relname)
		}
	case *pg.InsertStmt, *pg.MergeStmt, *pg.CopyStmt:
		w.facts.add(FactSequences, "rows that are inserted")
	case *pg.UpdateStmt:
		if n.Relation.Relname == "pg_settings" {
			w.kind(engine.KindSetting, "UPDATE pg_settings")
		}
		w.defaults(n.TargetList)
	case *pg.ExplainStmt:
		return slices.ContainsFunc(n.Options, func(o *pg.Node) bool { return o.GetDefElem().GetDefname() == "analyze" })
	case *pg.FuncCall:
		w.call(n)
	default:
		return w.visitDefinition(node)
	}
	return true
}

// defaults sees a column's default among what is assigned, which may be a sequence's next value.
func (w *walker) defaults(targets []*pg.Node) {
	for _, t := range targets {
		if t.GetResTarget().GetVal().GetSetToDefault() != nil {
			w.facts.add(FactSequences, "SET ... = DEFAULT")
		}
	}
}

// visitDefinition is visit for what defines something. Expressions in it are executed later, by others, but for what the
// server needs at once: values of partitions' bounds, and those that a table's rows are changed to.
func (w *walker) visitDefinition(node any) bool {
	switch n := node.(type) {
	case *pg.CreateFunctionStmt, *pg.CreateTrigStmt, *pg.RuleStmt, *pg.ViewStmt, *pg.CreateDomainStmt, *pg.CreateCastStmt,
		*pg.CreateEventTrigStmt, *pg.CreatePolicyStmt, *pg.AlterPolicyStmt, *pg.CreateOpClassStmt:
		w.facts.add(FactCreates, "a definition")
		w.names(node)
		return false
	case *pg.DefineStmt:
		w.facts.add(FactCreates, "a definition")
		w.qualifiedNames(n.Defnames)
		return false
	case *pg.IndexStmt, *pg.CreateStatsStmt, *pg.CreatePublicationStmt, *pg.AlterPublicationStmt:
		return false
	case *pg.CreateStmt:
		if n.Oncommit != pg.OnCommitAction_ONCOMMIT_DROP { // it does not outlive its transaction, or statement
			w.walk(n.Relation.ProtoReflect())
		}
		if n.Partbound != nil {
			w.walk(n.Partbound.ProtoReflect())
		}
		return false
	case *pg.AlterTableStmt:
		return n.Objtype != pg.ObjectType_OBJECT_VIEW // whose defaults are for rows to come
	case *pg.AlterRoleSetStmt, *pg.AlterDatabaseSetStmt, *pg.AlterSystemStmt, *pg.AlterFunctionStmt:
		return false // for later sessions, and calls
	}
	return true
}

// names looks at the names of what is defined.
func (w *walker) names(node any) {
	switch n := node.(type) {
	case *pg.CreateFunctionStmt:
		w.qualifiedNames(n.Funcname)
	case *pg.CreateDomainStmt:
		w.qualifiedNames(n.Domainname)
	case *pg.ViewStmt:
		w.walk(n.View.ProtoReflect())
	}
}

func (w *walker) qualifiedNames(names []*pg.Node) {
	if len(names) > 1 && strings.HasPrefix(names[0].GetString_().GetSval(), "pg_temp") {
		w.kind(engine.KindTemporaryTable, "the schema of a name")
	}
}

// set takes SET and RESET. What is local to a transaction leaves nothing; but tables that are created in it may go where its
// search path says.
func (w *walker) set(n *pg.VariableSetStmt) {
	if n.IsLocal || n.Kind == pg.VariableSetKind_VAR_SET_MULTI && n.Name != "SESSION CHARACTERISTICS" {
		return
	}
	switch n.Name {
	case "role", "session_authorization":
		w.kind(engine.KindRole, "SET or RESET of "+n.Name)
	default:
		w.kind(engine.KindSetting, "SET or RESET of "+n.Name)
	}
}

// called are the server's functions that touch the session (the manual's chapter 9, and 9.28 and 9.17 above all).
var called = map[string]engine.Kind{
	"nextval": engine.KindSequence, "setval": engine.KindSequence,
	"pg_backend_pid":   engine.KindConnectionID,
	"pg_advisory_lock": engine.KindNamedLock, "pg_advisory_lock_shared": engine.KindNamedLock,
	"pg_try_advisory_lock": engine.KindNamedLock, "pg_try_advisory_lock_shared": engine.KindNamedLock,
	"pg_advisory_unlock": engine.KindNamedLock, "pg_advisory_unlock_shared": engine.KindNamedLock,
	"pg_advisory_unlock_all":              engine.KindNamedLock,
	"pg_replication_origin_session_setup": engine.KindReplication,
	"pg_replication_origin_session_reset": engine.KindReplication,
	"pg_create_logical_replication_slot":  engine.KindReplication,
	"pg_create_physical_replication_slot": engine.KindReplication,
	"pg_copy_logical_replication_slot":    engine.KindReplication,
	"pg_copy_physical_replication_slot":   engine.KindReplication,
	"setseed":                             engine.KindUnknown,
	"pg_backup_start":                     engine.KindUnknown,
	"pg_start_backup":                     engine.KindUnknown,
	"dblink_connect":                      engine.KindUnknown,
	"dblink":                              engine.KindUnknown,
}

// executing are those that execute SQL in strings.
var executing = []string{"query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema", "cursor_to_xml",
	"cursor_to_xmlschema", "table_to_xml", "schema_to_xml", "database_to_xml", "ts_stat", "ts_rewrite"}

// call takes a call of a function.
func (w *walker) call(n *pg.FuncCall) {
	function := n.Funcname[len(n.Funcname)-1].GetString_().GetSval()
	by := "the function " + function
	if len(n.Funcname) > 1 && n.Funcname[len(n.Funcname)-2].GetString_().GetSval() != "pg_catalog" {
		w.facts.add(FactForeign, by)
		if strings.HasPrefix(function, "dblink") {
			w.kind(engine.KindUnknown, by)
		}
		return
	}
	kind, touches := called[function]
	switch {
	case touches:
		w.kind(kind, by)
	case function == "set_config":
		if len(n.Args) != 3 || !n.Args[2].GetAConst().GetBoolval().GetBoolval() {
			w.kind(engine.KindSetting, by)
		}
	case function == "currval" || function == "lastval":
	case slices.Contains(executing, function):
		w.facts.add(FactOpaque, by)
	case alone(function).Foreign:
		w.facts.add(FactForeign, by)
	}
	if kind == engine.KindSequence && touches || function == "currval" || function == "lastval" {
		w.facts.add(FactSequences, by)
	}
}

// alone is what the scan says about a function where nothing hides it: the server's own ones are those it knows.
func alone(function string) postgres.Effects {
	return postgres.Explain([]byte(`SELECT pg_catalog."`+strings.ReplaceAll(function, `"`, `""`)+`"()`), true)
}
