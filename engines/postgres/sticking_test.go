package postgres

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/berthdb/berth/core/engine"
)

// sticking are statements that leave what no reset undoes.
var sticking = []string{
	"SELECT setseed(0.5)", "SET seed = 0.5", "SET SESSION SEED TO 0.5", `SET LOCAL "seed" = 0.5`, "BEGIN; SET LOCAL seed = 0.5; COMMIT", "SELECT set_config('seed', '0.5', true)",
	"SELECT set_config ( /**/ 'Seed' , '0.5', false)", "SELECT dblink_connect('a', 'dbname=d')", "SELECT pg_backup_start('x')",
	"SELECT x.\"setseed\" FROM float8(0.5) x", "SELECT U&\"setse\\0065d\"(0.5)",
	"DO $$BEGIN PERFORM setseed(0.5); END$$", "DO $$BEGIN PERFORM pg_catalog.SetSeed(0.5); END$$", "DO 'BEGIN SET seed = 0.5; END'", "DO $$BEGIN SET LOCAL \"seed\" TO 0.5; END$$",
	"DO $$BEGIN SET/**/seed = 0.5; END$$", "DO $$BEGIN PERFORM set_config( 'seed', '0.5', true); END$$", "DO $$BEGIN LOAD 'auto_explain'; END$$",
	"DO $$BEGIN EXECUTE 'load ''auto_explain'''; END$$", "DO $$BEGIN EXECUTE format('load %L', 'auto_explain'); END$$", "DO $$BEGIN PERFORM public.dblink_connect('a', 'dbname=d'); END$$",
	"DO $$BEGIN PERFORM pg_replication_origin_session_setup('x'); END$$", "DO $$BEGIN PERFORM pg_create_physical_replication_slot('x', true, true); END$$",
	"DO LANGUAGE plperl $$ $_SHARED{x} = 1 $$", "DO $$GD['x'] = 1$$ LANGUAGE plpython3u", `DO $$GD['x'] = 1$$ LANGUAGE "plpython3u"`, "DO $$1$$ LANGUAGE 'plperl'",
	"SELECT query_to_xml('SELECT setseed(0.5)', true, true, '')", "SELECT * FROM crosstab('SELECT setseed(0.5), 1, 2') AS x(a int)", "CREATE TABLE t AS SELECT setseed(0.5)",
}

func TestWhatNoResetUndoesOutlivesDiscardAll(t *testing.T) {
	for _, sql := range sticking {
		s := newStage(t)
		s.client(queryMessage(sql))
		s.server(messages("C X, Z I"))
		if !s.pins.has(engine.KindUnknown) || s.backend == nil {
			t.Errorf("%s: pinned by %v: %v", sql, s.pins, s.events)
			continue
		}
		s.does("DISCARD ALL", "C DISCARD ALL, Z I")
		if !s.pins.has(engine.KindUnknown) || s.backend == nil {
			t.Errorf("%s: behind DISCARD ALL pinned by %v: %v", sql, s.pins, s.events)
		}
	}
}

func TestWhatAResetUndoesDoesNot(t *testing.T) {
	for _, sql := range []string{
		"SELECT dblink('dbname=d', 'SELECT 1')", "DO $$BEGIN PERFORM set_config('a' || 'b', 'c', false); END$$", "SELECT set_config('a.seed', 'b', false)", "SET seed.x = 1",
		"DO $$BEGIN PERFORM count(*) FROM load, t WHERE seed = 1; PREPARE a AS SELECT 1; END$$ LANGUAGE 'plpgsql'", `DO LANGUAGE "plpgsql" $$BEGIN PREPARE a AS SELECT 1; END$$`,
		"DO LANGUAGE plpgsql $$BEGIN PREPARE a AS SELECT 1; END$$", "SELECT $1::bad (, dblink('x', 'y')",
	} {
		s := newStage(t)
		s.client(queryMessage(sql))
		if s.m.lend.sticks {
			t.Errorf("%s sticks", sql)
		}
	}
}

func TestALocalSettingOfAnotherNameIsNoSeed(t *testing.T) {
	for _, sql := range []string{"SET LOCAL seed.x = 1", "SET LOCAL work_mem = '1MB'", "SELECT set_config('a.seed', 'b', true)", "SELECT set_config($1, $2, true)"} {
		if v := classify([]byte(sql), lexing{}); v.sticks || v.kinds != 0 {
			t.Errorf("%s: %+v", sql, v)
		}
	}
}

func TestReplicationOutlivesDiscardAll(t *testing.T) {
	s := newStage(t)
	s.does("SELECT pg_replication_origin_session_setup('x')", "C SELECT 1, Z I")
	s.does("DISCARD ALL", "C DISCARD ALL, Z I")
	if got := strings.Join(s.events, ", "); got != "replication, reset, replication" || s.backend == nil {
		t.Errorf("events %s", got)
	}
}

func TestAFunctionThatIsCalledByItsNumberMayKeepSomething(t *testing.T) {
	for _, c := range []struct {
		function uint32
		pins     engine.Kind
	}{
		{1599, engine.KindUnknown}, {2172, engine.KindUnknown}, {6006, engine.KindReplication}, {3779, engine.KindReplication}, {firstNormalOID, engine.KindUnknown},
	} {
		s := newStage(t)
		s.client(endMessage(append(binary.BigEndian.AppendUint32([]byte{'F', 0, 0, 0, 0}, c.function), 0, 0, 0, 0, 0, 0), 0))
		if !s.pins.has(c.pins) {
			t.Errorf("%d: pinned by %v", c.function, s.pins)
		}
	}
	s := newStage(t)
	s.client(endMessage(append(binary.BigEndian.AppendUint32([]byte{'F', 0, 0, 0, 0}, 1317), 0, 0, 0, 0, 0, 0), 0))
	if s.pins != 0 {
		t.Errorf("length(): pinned by %v", s.pins)
	}
}

func TestASeedThatAParameterNamesStays(t *testing.T) {
	bind := func(statement, value string, format byte) []byte {
		body := append([]byte("\x00"+statement+"\x00"), 0, 1, 0, format, 0, 2, 0, 0, 0, byte(len(value)))
		return endMessage(append(append(append([]byte{'B', 0, 0, 0, 0}, body...), value...), 0, 0, 0, 3, '0', '.', '5', 0, 0), 0)
	}
	for _, c := range []struct {
		text, value string
		sticks      bool
	}{
		{"SELECT set_config($1, $2, true)", "seed", true}, {"SELECT set_config($1, $2, false)", "Seed", true}, {"SELECT pg_catalog.set_config(lower($1), $2, true)", "SEED", true},
		{"SELECT set_config($1, $2, true)", "a.b", false}, {"SELECT set_config('a.b', $1, true), $2", "seed", false}, {"SELECT $1, $2", "seed", false},
		{"SELECT set_config(n, '1', true) FROM t WHERE n IN ($1, $2)", "seed", true},
	} {
		for _, name := range []string{"", "s"} {
			for format := range byte(2) {
				s := newStage(t)
				s.client(append(message("P "+name+"|"+c.text), syncMessage...))
				s.server(messages("1, Z I"))
				s.client(append(bind(name, c.value, format), messages("E, S")...))
				if got := s.m.lend != nil && s.m.lend.sticks; got != c.sticks || got != s.pins.has(engine.KindUnknown) {
					t.Errorf("%q %s with %s: sticks %v, pinned by %v", name, c.text, c.value, got, s.pins)
				}
			}
		}
	}
}

func TestASeedThatAStringOfTheTextNamesStays(t *testing.T) {
	for sql, sticks := range map[string]bool{
		"EXECUTE p('seed', '0.5')": true, "EXECUTE p($$Seed$$)": true, "SELECT set_config(n, '0.5', true) FROM (VALUES ('seed')) AS v(n)": true,
		"EXECUTE p('a seed', 'linseed')": false, "SELECT set_config(n, 'seed', true) FROM t": true, "SELECT 'seed'": false, "SELECT f('seed')": false,
	} {
		s := newStage(t)
		s.client(queryMessage(sql))
		if got := s.m.lend.sticks; got != sticks {
			t.Errorf("%s: sticks %v", sql, got)
		}
	}
}

func TestWhatAFunctionCallLeavesStays(t *testing.T) {
	call := func(function uint32, arguments ...string) []byte {
		body := binary.BigEndian.AppendUint32([]byte{'F', 0, 0, 0, 0}, function)
		body = append(body, 0, 0, 0, byte(len(arguments)))
		for _, a := range arguments {
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(a))), a...)
		}
		return endMessage(append(body, 0, 0), 0)
	}
	for name, c := range map[string]struct {
		message []byte
		sticks  bool
	}{
		"set_config":              {call(2078, "Seed", "0.5", "true"), true},
		"set_config of another":   {call(2078, "a.b", "seed", "true"), false},
		"query_to_xml":            {call(2925, "SELECT setseed(0.5)", "t", "t", ""), true},
		"query_to_xml of nothing": {call(2925, "SELECT 1", "t", "t", ""), false},
		"lower":                   {call(870, "A"), false},
		"what is too long":        {call(870, strings.Repeat("a", 100_000)), true},
		"a large object":          {call(3460, "1", "0", strings.Repeat("a", 100_000)), false},
	} {
		s := newStage(t)
		s.sends(c.message)
		s.server(messages("V x, Z I"))
		if got := s.m.lend != nil && s.m.lend.sticks; got != c.sticks {
			t.Errorf("%s: sticks %v", name, got)
		}
	}
}
