-- The names of the functions of a server's own catalog that leave nothing behind in the session that calls them.
SELECT DISTINCT proname FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
-- What touches a session has its own line in call (functions.go), or is not known at all.
AND proname !~ '^(binary_upgrade_|query_to_xml|cursor_to_xml|pg_replication_origin_(session|xact)_|pg_(try_)?advisory_(lock|unlock))'
AND proname !~ '_(call|inline)_handler$|_validator$|^pg_(create|copy)_(logical|physical)_replication_slot$'
AND proname <> ALL ('{set_config,setseed,nextval,setval,currval,lastval,pg_backend_pid,pg_backup_start,pg_backup_stop,
	ts_stat,ts_rewrite,pg_extension_config_dump,pg_nextoid,pg_stop_making_pinned_objects}')
ORDER BY proname
