# shellcheck shell=bash
# replica.sh - a replica of a running server, in a directory of its own, with its source's options and certificates.
#
# Each kind brings KIND_prepare_source SOURCE PORT (may be repeated), KIND_copy DIR SOURCE PORT ADDRESS (makes DIR/data,
# if that needs the source) and KIND_follow DIR SOURCE PORT ADDRESS (when the replica runs). PORT is the source's,
# ADDRESS may be empty.

replica_start() {
    local dir source started source_port address=${4:-}
    if [ $# -lt 3 ] || [ $# -gt 4 ]; then usage; fi
    dir=$(absolute "$1")
    source=$(absolute "$3")
    process_of "$source" >/dev/null || die "no server runs in $source"
    started=$(cat "$source/started")
    # shellcheck disable=SC2086  # one word an option
    set -- "$dir" "$2" $started
    source_port=$4
    recipe "$3"
    tree_get "$3"
    process_directory "$dir"
    export BERTH_TLS=$source/tls
    if [ ! -e "$dir/data" ]; then
        with_lock "$source/lock" "${kind}_prepare_source" "$source" "$source_port"
        "${kind}_copy" "$dir" "$source" "$source_port" "$address"
    fi
    server_start "$3" "$dir" "$2" "${@:5}" >/dev/null
    "${kind}_follow" "$dir" "$source" "$source_port" "$address"
    echo "ok: $name 127.0.0.1:$2 replica of $source"
}

postgres_super() { as "$(postgres_bin)/psql" -XAtq -v ON_ERROR_STOP=1 -h "$1" -p "$2" -U postgres -d postgres -c "$3"; }

# Replication by the unix socket, without a password, as everything there, or by TCP as root2.
postgres_prepare_source() {
    grep -q '^local *replication' "$1/data/pg_hba.conf" ||
        printf '%s\n' 'local replication all trust' 'host replication root2 all scram-sha-256' |
        as tee -a "$1/data/pg_hba.conf" >/dev/null
    postgres_super "$1" "$2" 'select pg_reload_conf()' >/dev/null
}

postgres_copy() {
    local dir=$1 source=$2 port=$3 user=postgres
    [ -z "$4" ] || user=root2
    rm -rf "$dir/data.new"
    as PGPASSWORD=secret "$(postgres_bin)/pg_basebackup" -h "${4:-$source}" -p "$port" -U "$user" -D "$dir/data.new" -R -X stream -c fast \
        --no-sync >"$dir/backup.log" 2>&1 || { cat "$dir/backup.log" >&2; die "cannot copy $source"; }
    as mv "$dir/data.new" "$dir/data"
}

postgres_follow() {
    local i
    for ((i = 0; i < 1000; i++)); do
        [ "$(postgres_super "$2" "$3" "select count(*) from pg_stat_replication where state = 'streaming'")" = 0 ] || return 0
        sleep 0.03
    done
    die "$1 does not follow $2; log: $1/log"
}

# MySQL and MariaDB copy nothing: the replica begins as the source did, from the template, and executes all of the
# source's log. So the source must have one from its beginning: db start with log-bin=log, on MySQL gtid-mode=ON and
# enforce-gtid-consistency=ON too.
mysql_prepare_source() { :; }
mysql_copy() { :; }

mysql_super() { as "$tree/usr/bin/mysql" --no-defaults -uroot "-S$1/s" --connect-timeout=10 -BNe "$2"; }

mysql_follow() {
    mysql_super "$1" "set global super_read_only=ON; change replication source to source_host='${4:-127.0.0.1}', source_port=$3,
        source_user='root2', source_password='secret', source_ssl=1, source_connect_retry=1, source_auto_position=1;
        start replica" 2>/dev/null
    replica_await "$1" mysql_super "select count(*) from performance_schema.replication_connection_status where service_state='ON'"
}

mariadb_prepare_source() { :; }
mariadb_copy() { :; }

mariadb_super() { as "$tree/usr/bin/mariadb" --no-defaults -uroot "-S$1/s" --connect-timeout=10 -BNe "$2"; }

mariadb_follow() {
    mariadb_super "$1" "set global read_only=ON; change master to master_host='${4:-127.0.0.1}', master_port=$3,
        master_user='root2', master_password='secret', master_connect_retry=1, master_use_gtid=slave_pos; start slave"
    replica_await "$1" mariadb_super "select count(*) from information_schema.processlist where command='Slave_IO' and state like 'Waiting for master%'"
}

# replica_await DIR SUPER QUERY: until QUERY says 1 or more.
replica_await() {
    local i
    for ((i = 0; i < 1000; i++)); do
        [ "$("$2" "$1" "$3")" = 0 ] || return 0
        sleep 0.03
    done
    die "$1 does not follow; log: $1/log"
}
