# shellcheck shell=bash
# postgres.sh - PostgreSQL. Logins over TCP, password secret: app and root2 (SCRAM), app_md5 (md5),
# app_plain (clear text), app_cert (certificate DIR/tls/client.crt). postgres on the unix socket in DIR.

postgres_bin() { echo "$tree"/usr/lib/postgresql/*/bin; }

# Without LLVM (left out, 120 MB) the server runs without JIT if the module is missing altogether.
postgres_finish() { rm -rf "$1"/usr/lib/postgresql/*/lib/{llvmjit*,bitcode}; }

postgres_initialise() {
    local data=$1/data bin
    bin=$(postgres_bin)
    as "$bin/initdb" -D "$data" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=trust \
        --auth-host=scram-sha-256 --no-sync --no-instructions || return 1
    as tee "$data/pg_hba.conf" <<'HBA' || return 1
local   all  all        trust
host    all  app_md5    all  md5
host    all  app_plain  all  password
hostssl all  app_cert   all  cert
host    all  all        all  scram-sha-256
HBA
    # fsync off is what makes tests quick. synchronous_commit stays on: without it a kill -9 loses
    # transactions whose commit was answered.
    as tee -a "$data/postgresql.conf" <<'CONF' || return 1
listen_addresses = '127.0.0.1'
ssl = on
ssl_ca_file = '../tls/ca.crt'
ssl_cert_file = '../tls/server.crt'
ssl_key_file = '../tls/server.key'
password_encryption = 'scram-sha-256'
timezone = 'GMT'
log_timezone = 'GMT'
shared_buffers = 64MB
max_connections = 200
max_prepared_transactions = 20
fsync = off
CONF
    # The single-user backend takes one command a line.
    as "$bin/postgres" --single -D "$data" -c ssl=off -j postgres <<'SQL' || return 1
create role app login password 'secret';

create role app_plain login password 'secret';

create role app_cert login;

create role root2 login superuser password 'secret';

set password_encryption = 'md5';

create role app_md5 login password 'secret';

create database app owner app;

SQL
    as test -d "$data/base"
}

postgres_command() {
    local dir=$1 port=$2 option
    shift 2
    command=("$(postgres_bin)/postgres" -D "$dir/data" -p "$port" -c "unix_socket_directories=$dir")
    for option; do command+=(-c "${option#--}"); done
}

# The eighth line of the postmaster's pid file is its state.
postgres_ready() { [ "$(sed -n 8p "$1/data/postmaster.pid" | tr -d ' ')" = ready ]; }

postgres_answer() {
    as PGPASSWORD=secret "$(postgres_bin)/psql" -XAtq -c 'show server_version' \
        "host=127.0.0.1 port=$2 user=app dbname=app connect_timeout=10 sslmode=verify-full sslrootcert=$1/tls/ca.crt" |
        cut -d ' ' -f 1
}

postgres_lock_files() { echo "$1/data/postmaster.pid" "$1/.s.PGSQL.$2.lock"; }
