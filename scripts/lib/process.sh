# shellcheck shell=bash
# process.sh - run, start, watch and stop processes by the pid file of their directory.

milliseconds() { date +%s%3N; }

# Who runs the servers: the caller, or nobody when the caller is root.
process_user() {
    run_as=()
    if [ "$(id -u)" != 0 ]; then
        server_user=$(id -un)
        return
    fi
    server_user=nobody
    command -v setpriv >/dev/null || die "setpriv not found (package util-linux)"
    run_as=(setpriv --reuid "$server_user" --regid "$(id -gn "$server_user")" --clear-groups --inh-caps=-all --)
}

# as COMMAND...: as the servers' user, with no inherited PG*, MYSQL* or locale variables, and not in the
# caller's directory: nobody may not be allowed in there.
as() { "${run_as[@]}" env -i --chdir=/ HOME=/nonexistent PATH="$PATH" LC_ALL=C.UTF-8 TZ=UTC "$@"; }

give_to_server() { [ "$(id -u)" != 0 ] || chown "$server_user:" "$@"; }

# absolute PATH: PATH as an absolute path, checked for use as a server's directory.
absolute() {
    local path=$1
    case $path in
    /*) ;;
    *) path=$PWD/$path ;;
    esac
    while [ "$path" != "${path%/}" ]; do path=${path%/}; done
    [ -n "$path" ] || die "not a directory for a server: /"
    case $path in
    *[[:space:]\'\"\\]*) die "a server's directory may not contain blanks, quotes or backslashes: $path" ;;
    esac
    # A unix socket's path has at most 107 bytes, and the sockets' names are up to 20 long.
    [ ${#path} -le 80 ] || die "path longer than 80 characters, too long for unix sockets: $path"
    printf '%s\n' "$path"
}

# process_directory DIR: makes DIR, the servers' user's. DIR/lock marks it as ours, lest a slip of the
# hand gives somebody's directory away.
process_directory() {
    mkdir -p "$1" || die "cannot create $1"
    if [ ! -e "$1/lock" ] && [ -n "$(ls -A "$1")" ]; then die "$1 is not empty and was not made by db"; fi
    : >>"$1/lock"
    give_to_server "$1"
    chmod 755 "$1"
    as test -w "$1" || die "$server_user cannot write $1: a parent directory is closed to others"
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# From 32768 upwards (net.ipv4.ip_local_port_range) any client's socket may hold the port when a server
# is restarted, and a client that reconnects to a closed port there can even reach itself.
check_port() {
    case $1 in
    '' | *[!0-9]*) die "not a port: '$1'" ;;
    esac
    if [ "$1" -lt 1024 ] || [ "$1" -ge 32768 ]; then die "port $1 is outside 1024..32767"; fi
}

# A killed process stays a zombie until its parent collects it: that is not alive. But its first thread is one before the
# others have ended, and only the last closes its sockets.
process_is_alive() {
    [ -n "${1:-}" ] && [ -d "/proc/$1" ] || return 1
    local -a threads=("/proc/$1/task"/*)
    [ ${#threads[@]} -gt 1 ] || ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

# process_of DIR: prints the pid of DIR's running server. Its command line must name DIR: after a reboot
# the number in the pid file may belong to somebody else.
process_of() {
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    process_is_alive "$pid" || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$1/" || return 1
    printf '%s\n' "$pid"
}

# process_spawn DIR COMMAND...: starts COMMAND in its own session with nothing of the caller's but the
# PATH, its output in DIR/log, its pid in DIR/pid. Every step execs, so the pid is the server's own.
process_spawn() {
    local dir=$1 i
    shift
    rm -f "$dir/pid" "$dir/log"
    as sh -c ': >"$1"' sh "$dir/log"
    (
        trap - ERR
        exec </dev/null >>"$dir/log" 2>&1
        for i in /proc/"$BASHPID"/fd/*; do
            i=${i##*/}
            [ "$i" -le 2 ] || eval "exec $i>&-"
        done
        # Enough for thousands of clients; MySQL lowers max_connections silently when it is too small.
        # Not more: MySQL 5.7 allocates by the limit.
        ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"
        cd /
        # shellcheck disable=SC2016  # expanded by the inner shell
        exec "${run_as[@]}" env -i HOME=/nonexistent PATH="$PATH" LC_ALL=C.UTF-8 TZ=UTC \
            sh -c 'echo $$ >"$1" && shift && exec setsid "$@"' sh "$dir/pid" "$@"
    ) &
    disown
    for ((i = 0; i < 250; i++)); do
        [ ! -s "$dir/pid" ] || return 0
        sleep 0.02
    done
    die "could not start $1; log: $dir/log"
}

# process_wait DIR SECONDS COMMAND...: until COMMAND succeeds; gives up at once when the server dies.
process_wait() {
    local dir=$1 pid end=$(($(milliseconds) + $2 * 1000))
    shift 2
    pid=$(cat "$dir/pid")
    until "$@" >/dev/null 2>&1; do
        if ! process_is_alive "$pid"; then
            tail -n 20 "$dir/log" >&2
            die "the server (pid $pid) ended; log: $dir/log"
        fi
        if [ "$(milliseconds)" -ge "$end" ]; then
            tail -n 20 "$dir/log" >&2
            die "the server (pid $pid) is not ready in time; log: $dir/log"
        fi
        sleep 0.03
    done
}

# process_stop DIR SIGNAL: signals DIR's server and waits for it and its direct children: backends
# outlive a killed postmaster for a moment.
process_stop() {
    local pid child left i
    local -a family
    pid=$(process_of "$1") || return 1
    family=("$pid")
    while read -r child; do family+=("$child"); done < <(
        grep -lE "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3 || true)
    kill "-$2" "$pid" || die "cannot signal pid $pid of $1"
    for ((i = 0; i < 1200; i++)); do
        left=
        for child in "${family[@]}"; do
            ! process_is_alive "$child" || left=$child
        done
        if [ -z "$left" ]; then
            rm -f "$1/pid"
            return 0
        fi
        sleep 0.05
    done
    die "pid $left of $1 does not end"
}

# remove_stale FILE...: lock files whose first line is a pid that is dead, or dead and not yet collected,
# which the servers themselves take for alive.
remove_stale() {
    local file
    for file; do
        if [ -e "$file" ] && ! process_is_alive "$(head -n 1 "$file" | tr -d ' ')"; then rm -f "$file"; fi
    done
}
