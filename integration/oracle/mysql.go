package oracle

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	modes "github.com/pingcap/tidb/pkg/parser/mysql"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver" // values of literals

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/engines/mysql"
)

// Mode is an sql_mode as far as it changes how text is read.
type Mode struct {
	Name             string
	bits             modes.SQLMode
	LiteralBackslash bool // NO_BACKSLASH_ESCAPES, which the server reports
}

// Modes are what sessions may have. Only NO_BACKSLASH_ESCAPES is known to the proxy.
var Modes = []Mode{
	{Name: "default"},
	{Name: "ANSI_QUOTES", bits: modes.ModeANSIQuotes},
	{Name: "IGNORE_SPACE,PIPES_AS_CONCAT", bits: modes.ModeIgnoreSpace | modes.ModePipesAsConcat},
	{Name: "NO_BACKSLASH_ESCAPES", bits: modes.ModeNoBackslashEscapes, LiteralBackslash: true},
	{Name: "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", bits: modes.ModeANSIQuotes | modes.ModeNoBackslashEscapes, LiteralBackslash: true},
}

// MySQL parses SQL as MySQL does in a mode, and returns what it does to its session.
func MySQL(sql string, mode Mode) (Facts, error) {
	p := parser.New()
	p.SetSQLMode(mode.bits)
	statements, _, err := p.Parse(sql, "", "")
	if err != nil {
		return nil, err
	}
	w := mysqlWalker{facts: Facts{}}
	for i, s := range statements {
		w.first = i == 0
		w.statement(s)
	}
	if len(statements) != 1 || !own(statements[0]) {
		w.facts.add(FactNotOwn, "it is more than a SELECT of the connection's values")
	}
	return w.facts, nil
}

// KnownToMySQL says whether the scan knows of a fact.
func KnownToMySQL(e mysql.Effects) func(Fact) bool {
	unknown := slices.Contains(e.Leaves, engine.KindUnknown)
	return func(f Fact) bool {
		switch f {
		case FactCode:
			return !e.Inert
		case FactCreates:
			return unknown || e.Defines
		case FactInsertID:
			return e.ReadsInsertID
		case FactSetsInsertID:
			return unknown || e.SetsInsertID
		case FactPrevious:
			return e.Previous
		case FactDiagnostics:
			return e.Diagnostics
		case FactFoundRows:
			return unknown || e.LeavesFoundRows
		case FactCalls:
			return unknown || e.Calls
		case FactRenames:
			return unknown || e.Renames
		case FactKills:
			return e.Kills
		case FactNotOwn:
			return !e.Own
		case name(engine.KindConnectionID):
			return unknown || slices.Contains(e.Leaves, engine.KindConnectionID)
		case name(engine.KindUserVariable):
			return unknown || len(e.Variables) > 0 || slices.Contains(e.Leaves, engine.KindUserVariable)
		case name(engine.KindSetting):
			return unknown || e.Assigns || slices.Contains(e.Leaves, engine.KindSetting)
		}
		return unknown || slices.ContainsFunc(e.Leaves, func(k engine.Kind) bool { return f == name(k) })
	}
}

// own says whether a statement is a SELECT of values of the connection and its last statement, and nothing else.
func own(s ast.StmtNode) bool {
	q, ok := s.(*ast.SelectStmt)
	if !ok || q.From != nil || q.Where != nil || q.GroupBy != nil || q.Having != nil || q.OrderBy != nil || q.With != nil || q.LockInfo != nil {
		return false
	}
	for _, field := range q.Fields.Fields {
		f, ok := field.Expr.(*ast.FuncCallExpr)
		if !ok || len(f.Args) > 0 || !slices.Contains([]string{"connection_id", "row_count", "found_rows", "last_insert_id"}, f.FnName.L) {
			return false
		}
	}
	return true
}

// mysqlWalker collects facts. It is an ast.Visitor.
type mysqlWalker struct {
	facts Facts
	first bool // the first statement of the text
}

func (w *mysqlWalker) kind(k engine.Kind, by string) { w.facts.add(name(k), by) }

// statement takes one whole statement.
func (w *mysqlWalker) statement(s ast.StmtNode) {
	switch s.(type) {
	case *ast.BeginStmt, *ast.CommitStmt, *ast.RollbackStmt, *ast.ReleaseSavepointStmt:
		return
	}
	w.facts.add(FactCode, "a statement that is not about transactions")
	s.Accept(w)
}

// Leave does nothing.
func (w *mysqlWalker) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// Enter notes what one node does.
func (w *mysqlWalker) Enter(node ast.Node) (ast.Node, bool) {
	switch n := node.(type) {
	case *ast.SetRoleStmt:
		w.kind(engine.KindRole, "SET ROLE")
	case *ast.VariableAssignment:
		w.assign(n)
	case *ast.VariableExpr:
		w.variable(n)
	case *ast.FuncCallExpr:
		w.call(n)
	case *ast.CreateTableStmt:
		if n.TemporaryKeyword != ast.TemporaryNone {
			w.kind(engine.KindTemporaryTable, "CREATE TEMPORARY TABLE")
		}
		if n.Select != nil {
			n.Select.Accept(w)
		}
		return n, true // defaults and checks are not executed, and cannot call what touches a session
	case *ast.CreateIndexStmt:
		return n, true
	case *ast.LockTablesStmt:
		w.kind(engine.KindTableLock, "LOCK TABLES")
	case *ast.FlushStmt:
		if n.ReadLock {
			w.kind(engine.KindTableLock, "FLUSH TABLES WITH READ LOCK")
		}
	case *ast.PrepareStmt, *ast.ExecuteStmt, *ast.DeallocateStmt:
		w.kind(engine.KindPreparedStatement, "PREPARE, EXECUTE or DEALLOCATE")
		return n, true
	case *ast.CallStmt:
		w.facts.add(FactCalls, "CALL")
		for _, arg := range n.Procedure.Args {
			if v, ok := arg.(*ast.VariableExpr); ok && !v.IsSystem {
				w.kind(engine.KindUserVariable, "an argument of CALL")
			}
			arg.Accept(w)
		}
		return n, true
	case *ast.KillStmt:
		w.facts.add(FactKills, "KILL")
	case *ast.CreateViewStmt, *ast.ProcedureInfo:
		w.facts.add(FactCreates, "a definition")
		return n, true // its code is not executed
	case *ast.RenameTableStmt:
		w.facts.add(FactRenames, "RENAME TABLE")
	case *ast.AlterTableSpec:
		if n.Tp == ast.AlterTableRenameTable {
			w.facts.add(FactRenames, "ALTER TABLE ... RENAME")
		}
	case *ast.SelectStmt:
		if n.SelectStmtOpts != nil && n.CalcFoundRows {
			w.facts.add(FactFoundRows, "SQL_CALC_FOUND_ROWS")
		}
	case *ast.ShowStmt:
		if n.Tp == ast.ShowWarnings || n.Tp == ast.ShowErrors || n.CountWarningsOrErrors {
			w.facts.add(FactDiagnostics, "SHOW WARNINGS")
		}
	case *ast.LoadDataStmt:
		for _, c := range n.ColumnsAndUserVars {
			if c.UserVar != nil {
				w.kind(engine.KindUserVariable, "LOAD DATA into @"+c.UserVar.Name)
			}
		}
	}
	return node, false
}

// assign takes one assignment of a SET. What the server's trackers report of the next transaction is not the scan's.
func (w *mysqlWalker) assign(n *ast.VariableAssignment) {
	switch {
	case n.Name == ast.SetNames || n.Name == ast.SetCharset:
		w.kind(engine.KindSetting, n.Name)
	case !n.IsSystem:
		w.kind(engine.KindUserVariable, "SET @"+n.Name)
	case n.IsGlobal || n.IsInstance || strings.HasSuffix(n.Name, "_one_shot") || n.Name == "tx_read_only":
	case strings.Trim(n.Name, ".") == "": // which servers refuse
	default:
		w.kind(engine.KindSetting, "SET "+n.Name)
		w.identity(n.Name, FactSetsInsertID)
	}
}

// identity sees the variables that are LAST_INSERT_ID().
func (w *mysqlWalker) identity(variable string, f Fact) {
	if v := strings.ToLower(variable); v == "identity" || v == "last_insert_id" {
		w.facts.add(f, "@@"+v)
	}
}

// variable takes a variable in an expression.
func (w *mysqlWalker) variable(n *ast.VariableExpr) {
	if !n.IsSystem {
		if n.Value != nil {
			w.kind(engine.KindUserVariable, "@"+n.Name+" :=")
		}
		return
	}
	if n.IsGlobal {
		return
	}
	w.identity(n.Name, FactInsertID)
	switch strings.ToLower(n.Name) {
	case "warning_count", "error_count":
		w.facts.add(FactDiagnostics, "@@"+n.Name)
	case "pseudo_thread_id":
		w.kind(engine.KindConnectionID, "@@"+n.Name)
	}
}

// call takes a call of a function.
func (w *mysqlWalker) call(n *ast.FuncCallExpr) {
	by := "the function " + n.FnName.O
	if n.Schema.L != "" {
		w.facts.add(FactCalls, by)
		return
	}
	switch n.FnName.L {
	case "get_lock":
		w.kind(engine.KindNamedLock, by)
	case "nextval", "lastval", "setval":
		w.kind(engine.KindSequence, by)
	case "connection_id", "ps_current_thread_id", "ps_thread_id":
		w.kind(engine.KindConnectionID, by)
	case "last_insert_id":
		w.facts.add(FactInsertID, by)
		if len(n.Args) > 0 {
			w.facts.add(FactSetsInsertID, by)
		}
	case "found_rows", "row_count":
		if w.first {
			w.facts.add(FactPrevious, by)
		}
	case "char_func", "insert_func", "'tidb`.(dateliteral", "'tidb`.(timeliteral", "'tidb`.(timestampliteral": // TiDB's own names
	default:
		if mysql.Explain([]byte("SELECT "+n.FnName.L+"()"), false).Calls {
			w.facts.add(FactCalls, by)
		}
	}
}
