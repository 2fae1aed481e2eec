# shellcheck shell=bash
# mariadb.sh - MariaDB. Logins, password secret: app (database app) and root2 (everything), by
# mysql_native_password, and app_ed25519; root without password on the unix socket DIR/s.

mariadb_base() {
    local share=$tree/usr/share/mysql
    [ -d "$share/english" ] || share=$tree/usr/share/mariadb
    command=("$tree/usr/sbin/mariadbd" --no-defaults "--basedir=$tree/usr" "--datadir=$1" "--lc-messages-dir=$share"
        "--character-sets-dir=$share/charsets" "--plugin-dir=$(mariadb_plugins)" --innodb-log-file-size=8M
        --innodb-buffer-pool-size=64M --innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=2
        --innodb-doublewrite=0)
}

mariadb_plugins() {
    local dir
    for dir in "$tree"/usr/lib/mysql/plugin "$tree"/usr/lib/*/mariadb*/plugin; do
        if [ -e "$dir/auth_ed25519.so" ]; then
            echo "$dir"
            return
        fi
    done
    die "no plugin directory in $tree"
}

mariadb_initialise() {
    local -a command
    mariadb_base "$1/data"
    as mkdir "$1/data" "$1/tmp" || return 1
    as TMPDIR="$1/tmp" sh "$tree/usr/bin/mariadb-install-db" "${command[@]:1}" --srcdir= --builddir= \
        --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve || return 1
    # A bootstrap run has no accounts loaded until flush privileges.
    as "${command[@]}" --bootstrap <<'SQL' || return 1
flush privileges;
create database app;
create user app@'%' identified via mysql_native_password using password('secret');
grant all on app.* to app@'%';
create user root2@'%' identified via mysql_native_password using password('secret');
grant all on *.* to root2@'%' with grant option;
install soname 'auth_ed25519';
create user app_ed25519@'%' identified via ed25519 using password('secret');
grant all on app.* to app_ed25519@'%';
SQL
}

# A server that starts deletes the temporary tables of others in the same directory.
mariadb_command() {
    local dir=$1 port=$2 option
    shift 2
    mariadb_base "$dir/data"
    as mkdir -p "$dir/tmp"
    command+=("--port=$port" "--tmpdir=$dir/tmp" --bind-address=127.0.0.1 "--socket=$dir/s" "--pid-file=$dir/mariadbd.pid" "--server-id=$port"
        "--ssl-ca=$dir/tls/ca.crt" "--ssl-cert=$dir/tls/server.crt" "--ssl-key=$dir/tls/server.key"
        --local-infile=1 --skip-name-resolve --max-connections=200)
    for option; do command+=("--${option#--}"); done
}

mariadb_ready() { grep -q 'ready for connections' "$1/log"; }

mariadb_answer() {
    as MYSQL_PWD=secret "$tree/usr/bin/mariadb" --no-defaults -uapp -h127.0.0.1 "-P$2" --connect-timeout=10 \
        --ssl-verify-server-cert "--ssl-ca=$1/tls/ca.crt" -BNe 'select version()' app
}

mariadb_lock_files() { echo "$1/s.lock"; }
