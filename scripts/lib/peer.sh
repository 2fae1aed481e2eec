# shellcheck shell=bash
# peer.sh - other proxies in front of a server of db start, to compare with. Small configurations that do
# the same work as far as each can: logins checked, transaction pooling (haproxy passes bytes on), client
# TLS when the client asks for it.

peer_start() {
    local dir
    [ $# -eq 4 ] || usage
    case $1 in
    pgbouncer | odyssey | haproxy | mysqlrouter) ;;
    *) die "not a proxy: $1 (pgbouncer odyssey haproxy mysqlrouter)" ;;
    esac
    check_port "$3"
    check_port "$4"
    dir=$(absolute "$2")
    tree_get "$1"
    process_directory "$dir"
    with_lock "$dir/lock" peer_start_locked "$dir" "$3" "$4"
}

peer_start_locked() {
    local dir=$1 port=$2 backend=$3 pid began started
    local pool=${BERTH_POOL_SIZE:-20} mode=${BERTH_POOL_MODE:-transaction} workers=${BERTH_WORKERS:-1}
    local tls=${BERTH_BACKEND_TLS:-off}
    local -a command=()
    began=$(milliseconds)
    case $pool$workers in *[!0-9]*) die "BERTH_POOL_SIZE and BERTH_WORKERS are numbers" ;; esac
    case $mode in transaction | session) ;; *) die "BERTH_POOL_MODE is transaction or session, not $mode" ;; esac
    case $tls in on | off) ;; *) die "BERTH_BACKEND_TLS is on or off, not $tls" ;; esac
    started="$name $port to $backend, pool $pool $mode, workers $workers, backend tls $tls"
    if pid=$(process_of "$dir"); then
        [ "$(cat "$dir/started")" = "$started" ] || die "$dir runs as '$(cat "$dir/started")': stop it first"
        echo "ok: $started pid $pid, already running"
        return 0
    fi
    port_is_free "$port" || die "port $port is taken"
    tls_prepare "$dir"
    "peer_$name"
    remove_stale "$dir/.s.PGSQL.$port.lock"
    echo "$started" | as tee "$dir/started" >/dev/null
    process_spawn "$dir" "${command[@]}"
    process_wait "$dir" 20 port_is_taken "$port"
    echo "ok: $started pid $(cat "$dir/pid") in $(($(milliseconds) - began)) ms"
}

port_is_taken() { ! port_is_free "$1"; }

# peer_file NAME: standard input becomes DIR/NAME, readable by the servers' user alone.
peer_file() { as sh -c 'umask 077; cat >"$1"' sh "$dir/$1"; }

# One process, one thread: BERTH_WORKERS has no meaning for it.
peer_pgbouncer() {
    local server_tls=disable
    [ "$tls" = off ] || server_tls=require
    peer_file users.txt <<'CONF'
"app" "secret"
"app_md5" "secret"
"root2" "secret"
CONF
    peer_file pgbouncer.ini <<CONF
[databases]
* = host=127.0.0.1 port=$backend
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir = $dir
auth_type = scram-sha-256
auth_file = $dir/users.txt
admin_users = root2
pool_mode = $mode
max_client_conn = 10000
default_pool_size = $pool
max_prepared_statements = 200
client_tls_sslmode = allow
client_tls_key_file = $dir/tls/server.key
client_tls_cert_file = $dir/tls/server.crt
server_tls_sslmode = $server_tls
ignore_startup_parameters = extra_float_digits,options
CONF
    command=("$tree/usr/sbin/pgbouncer" "$dir/pgbouncer.ini")
}

# It checks the server's certificate in every mode but disable: see BERTH_TLS in db.
peer_odyssey() {
    local user users='' server_tls=disable
    [ "$tls" = off ] || server_tls=verify_ca
    for user in app root2; do
        users+="  user \"$user\" { authentication \"scram-sha-256\" password \"secret\" storage \"server\"
    storage_user \"$user\" storage_password \"secret\" pool \"$mode\" pool_size $pool
    pool_reserve_prepared_statement yes pool_discard no }
"
    done
    peer_file odyssey.conf <<CONF
daemonize no
log_format "%p %t %l [%i %s] (%c) %m\n"
log_to_stdout yes
log_session no
stats_interval 60
workers $workers
readahead 8192
locks_dir "$dir"
unix_socket_dir "$dir"
unix_socket_mode "0644"
listen {
  host "127.0.0.1"
  port $port
  backlog 1024
  tls "allow"
  tls_cert_file "$dir/tls/server.crt"
  tls_key_file "$dir/tls/server.key"
}
storage "server" { type "remote" host "127.0.0.1" port $backend tls "$server_tls" tls_ca_file "$dir/tls/ca.crt" }
database default {
$users  user default { authentication "block" storage "server" pool "session" pool_size 0 }
}
CONF
    command=("$tree/usr/bin/odyssey" "$dir/odyssey.conf")
    [ -x "${command[0]}" ] || command[0]=$tree/usr/sbin/odyssey
}

# No health checks: to the server each would be a broken login, and MySQL counts those.
peer_haproxy() {
    peer_file haproxy.cfg <<CONF
global
    nbthread $workers
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen server
    bind 127.0.0.1:$port backlog 4096
    server only 127.0.0.1:$backend
CONF
    command=("$tree/usr/sbin/haproxy" -db -f "$dir/haproxy.cfg")
}

# Connection sharing needs to log in again in a client's name: the router gets the password because it is
# the one to decrypt (client_ssl_mode PREFERRED). Without TLS a client sends it by the public key of the
# router's certificate, which therefore has an RSA key.
peer_mysqlrouter() {
    local plugins server_tls=DISABLED sharing=1
    [ "$tls" = off ] || server_tls=REQUIRED
    [ "$mode" = transaction ] || sharing=0
    with_lock "$dir/tls/lock" tls_make_rsa "$dir/tls"
    plugins=$(dirname "$(find "$tree/usr/lib" -name routing.so)")
    peer_file router.conf <<CONF
[DEFAULT]
logging_folder=
runtime_folder=$dir
data_folder=$dir
keyring_path=$dir/keyring
master_key_path=$dir/keyring.key
plugin_folder=$plugins
unknown_config_option=error
max_total_connections=10000
[logger]
level=INFO
[io]
threads=$workers
[routing:server]
bind_address=127.0.0.1
bind_port=$port
destinations=127.0.0.1:$backend
routing_strategy=first-available
protocol=classic
max_connections=10000
client_ssl_mode=PREFERRED
client_ssl_cert=$dir/tls/server-rsa.crt
client_ssl_key=$dir/tls/server-rsa.key
server_ssl_mode=$server_tls
connection_sharing=$sharing
connection_sharing_delay=0
[connection_pool]
max_idle_server_connections=$pool
idle_timeout=60
CONF
    command=("$tree/usr/bin/mysqlrouter" -c "$dir/router.conf")
}
