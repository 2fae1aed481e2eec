package postgres

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"weak"
)

// What a session has set stays its own: a backend that has other settings is brought in line with the session's when the
// session gets it, in the same write as the request (settings_restore.go). What has been set is known from the text of
// SET and RESET where the server says that they succeeded and nothing else happened (settings_text.go), and from the server
// itself otherwise (verify_settings.go).

const (
	// maxSettings is how many settings of a session are restored, maxSettingsBytes how long the SQL may be that makes them.
	// What is beyond that pins.
	maxSettings      = 64
	maxSettingsBytes = 16 << 10
)

// setting is one setting (or the role) and the SQL that makes it, without a semicolon.
type setting struct{ name, sql string }

// settings is all that is set on a connection beyond what the server makes of it by itself and by its start-up parameters, in
// an order in which it can be made. It is immutable, and equal ones of an engine are one. nil is none.
type settings struct {
	list []setting
	// reading is what of it may change the meaning of a text: part of what tells shared statements apart.
	reading string
	// identity says that the role or the session's user is part of it.
	identity bool
}

// unknownSettings are those of a backend of which nobody knows what is set on it. Nobody else ever gets it as it is.
var unknownSettings = &settings{identity: true}

func (s *settings) all() []setting {
	if s == nil {
		return nil
	}
	return s.list
}

// lookup returns the SQL that makes a setting.
func (s *settings) lookup(name string) (sql string, ok bool) {
	for _, e := range s.all() {
		if e.name == name {
			return e.sql, true
		}
	}
	return "", false
}

func (s *settings) text() string {
	if s == nil {
		return ""
	}
	return s.reading
}

// sharedSettings are an engine's, as long as a session or a backend has them. Any goroutine may use them.
type sharedSettings struct {
	mu    sync.Mutex
	byKey map[string]weak.Pointer[settings]
}

// intern returns the settings of list, which it keeps. It returns false if they are too many to be kept.
func (t *sharedSettings) intern(list []setting) (s *settings, ok bool) {
	if len(list) == 0 {
		return nil, true
	}
	var key, reading strings.Builder
	s = &settings{list: list}
	for _, e := range list {
		for _, b := range [...]*strings.Builder{&key, &reading} {
			if b == &key || !meaningless(e.name) {
				writeSetting(b, e.name, e.sql)
			}
		}
		s.identity = s.identity || isIdentity(e.name)
	}
	if len(list) > maxSettings || key.Len() > maxSettingsBytes {
		return nil, false
	}
	s.reading = reading.String()
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key.String()
	if known := t.byKey[k].Value(); known != nil {
		return known, true
	}
	if t.byKey == nil {
		t.byKey = make(map[string]weak.Pointer[settings])
	}
	t.byKey[k] = weak.Make(s)
	runtime.AddCleanup(s, t.forget, k)
	return s, true
}

// forget is called when nobody has the settings of key any more; they may have been made anew since.
func (t *sharedSettings) forget(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[key].Value() == nil {
		delete(t.byKey, key)
	}
}

// isIdentity says whether a setting is who executes, which decides about what may be set.
func isIdentity(name string) bool { return name == "role" || name == authorization }

// meaningless says that a setting changes nothing about what a statement means.
func meaningless(name string) bool {
	switch name {
	case "application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
		"transaction_timeout", "client_min_messages":
		return true
	}
	return false
}

// restorable says that a setting can be made on any backend, and says all that it does. The exceptions cannot be changed once
// a temporary table was used (temp_buffers), are needed for restoring (exit_on_error), leave no value to be read (seed), or
// end the connection while nobody, or somebody else, has it.
func restorable(name string) bool {
	switch name {
	case "temp_buffers", "exit_on_error", "seed", "idle_session_timeout", "transaction_timeout":
		return false
	}
	return !secret(name)
}

// borrowsRights says that ops, behind which list is set, change who executes, and that some of it may have been set by somebody else's rights.
func borrowsRights(list []setting, ops []settingOp) bool {
	return slices.ContainsFunc(ops, func(op settingOp) bool { return isIdentity(op.name) }) &&
		slices.ContainsFunc(list, func(e setting) bool { return privileged(e.name) })
}

// privileged says that a setting may be one that only superusers make, or those to whom they have granted it (guc_tables.c PGC_SUSET).
func privileged(name string) bool {
	switch name {
	case "session_replication_role", "lc_messages", "commit_delay", "compute_query_id", "deadlock_timeout", "temp_file_limit", "zero_damaged_pages",
		"max_stack_depth", "lo_compat_privileges", "update_process_title", "backtrace_functions":
		return true
	}
	return slices.ContainsFunc([]string{"log_", "track_", "wal_", "allow_", "ignore_", "debug_", "jit_"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// distant says that a timeout in milliseconds, which is not restorable as such, does not come.
func distant(name, value string) bool {
	n, err := strconv.Atoi(value)
	return err == nil && (n == 0 && name == "idle_session_timeout" || (n == 0 || n >= 1000) && name == "transaction_timeout")
}

// secret says that the server does not list a setting for every role (guc_tables.c GUC_SUPERUSER_ONLY).
func secret(name string) bool {
	switch name {
	case "dynamic_library_path", "extension_control_path", "session_preload_libraries":
		return true
	}
	return false
}
