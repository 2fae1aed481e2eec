# shellcheck shell=bash
# catalogue.sh - what can be had: which packages of which Debian suite, and where its programs are.

server_names='pg15 pg18 mariadb1011 mysql97 mysql57 pg17 mariadb118'
tool_names='pgbouncer odyssey haproxy mysqlrouter sysbench psql pgbench mysql mariadb'

# recipe NAME: sets name, tree, kind (postgres, mysql, mariadb or tool), suite, packages, drop (further
# packages to leave out) and finish (a function that completes the unpacked tree).
# Tools that belong to a server's packages are that server's tree.
recipe() {
    name=$1 kind=tool suite=sid packages=() drop='' finish=''
    case $name in
    psql | pgbench) name=pg15 ;;
    mysql) name=mysql97 ;;
    mariadb) name=mariadb1011 ;;
    esac
    case $name in
    pg15) kind=postgres suite=bookworm packages=(postgresql-15 postgresql-client-15) ;;
    pg17) kind=postgres suite=trixie packages=(postgresql-17 postgresql-client-17) ;;
    pg18) kind=postgres packages=(postgresql-18 postgresql-client-18) ;;
    mariadb1011) kind=mariadb suite=bookworm ;;
    mariadb118) kind=mariadb suite=trixie ;;
    mysql97) kind=mysql packages=(mysql-server-core mysql-client-core) ;;
    mysql57) kind=mysql suite=bookworm packages=(libaio1 libnuma1 libatomic1 libstdc++6 libcrypt1 mariadb-client-core) finish=mysql57_finish ;;
    pgbouncer | haproxy) packages=("$name") ;;
    odyssey) suite=experimental,sid packages=(odyssey) ;; # 1.6; unstable has 1.5
    mysqlrouter) packages=(mysql-router) ;;
    sysbench) suite=bookworm packages=(sysbench) ;;
    *) die "unknown name: $name (servers: $server_names; tools: $tool_names)" ;;
    esac
    case $kind in
    postgres) finish=postgres_finish ;;
    mariadb) packages=(mariadb-server-core mariadb-server mariadb-client-core mariadb-client) ;;
    mysql) [ -n "$finish" ] || finish=mysql_finish drop=$mysql_drop ;;
    esac
    tree=$BERTH_CACHE/trees/$name
}

# programs NAME: VARIABLE=PATH lines for a shell's eval.
programs() {
    local bin=
    tree_get "$1"
    case $kind in
    postgres)
        bin=$(postgres_bin)
        echo "PSQL=$bin/psql" "PGBENCH=$bin/pgbench" "PG_DUMP=$bin/pg_dump"
        ;;
    mariadb) echo "MYSQL=$tree/usr/bin/mariadb" "MYSQLDUMP=$tree/usr/bin/mariadb-dump" ;;
    mysql)
        if [ "$name" = mysql57 ]; then
            echo "MYSQL=$tree/usr/bin/mariadb"
        else
            echo "MYSQL=$tree/usr/bin/mysql" "MYSQLDUMP=$tree/usr/bin/mysqldump"
        fi
        ;;
    tool)
        for bin in "$tree"/usr/{bin,sbin}/"$name"; do
            [ ! -x "$bin" ] || echo "${name^^}=$bin"
        done
        ;;
    esac | tr ' ' '\n'
}
