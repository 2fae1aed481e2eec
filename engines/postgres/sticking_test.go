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
