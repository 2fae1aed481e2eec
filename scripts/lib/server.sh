# shellcheck shell=bash
# server.sh - the life of a database server in its directory:
#
#   DIR/data   the database        DIR/tls    certificates (or a link to BERTH_TLS)
#   DIR/log    what it says        DIR/pid    its process
#   DIR/started  NAME PORT OPTION... of the last start
#
# Each kind brings KIND_initialise NEW, KIND_command DIR PORT OPTION... (sets command), KIND_ready DIR,
# KIND_answer DIR PORT (logs in, prints the version), KIND_lock_files DIR PORT and KIND_stop_signal.

server_start() {
    local dir
    [ $# -ge 3 ] || usage
    check_port "$3"
    recipe "$1"
    [ "$kind" != tool ] || die "$1 is not a server ($server_names); for proxies: db peer"
    dir=$(absolute "$2")
    tree_get "$1"
    process_directory "$dir"
    with_lock "$dir/lock" server_start_locked "$dir" "${@:3}"
}

server_start_locked() {
    local dir=$1 port=$2 pid began started version option
    local -a options=() command=()
    began=$(milliseconds)
    shift 2
    for option; do
        case $option in
        -* | *=*) options+=("$option") ;;
        *) die "not a server option (name=value): $option" ;;
        esac
    done
    started="$name $port${options[*]:+ ${options[*]}}"
    if pid=$(process_of "$dir"); then
        [ "$(cat "$dir/started")" = "$started" ] ||
            die "$dir runs as '$(cat "$dir/started")': stop it first"
        version=$("${kind}_answer" "$dir" "$port") || die "$dir runs (pid $pid) but app cannot log in; log: $dir/log"
        echo "ok: $name $version pid $pid 127.0.0.1:$port, already running"
        return 0
    fi
    port_is_free "$port" || die "port $port is taken"
    tls_prepare "$dir"
    server_copy_template "$dir"
    # shellcheck disable=SC2046  # one word a file
    remove_stale $("${kind}_lock_files" "$dir" "$port")
    "${kind}_command" "$dir" "$port" "${options[@]}"
    echo "$started" | as tee "$dir/started" >/dev/null
    process_spawn "$dir" "${command[@]}"
    process_wait "$dir" 90 "${kind}_ready" "$dir"
    version=$("${kind}_answer" "$dir" "$port") || die "$dir runs but app cannot log in; log: $dir/log"
    echo "ok: $name $version pid $(cat "$dir/pid") 127.0.0.1:$port ca $dir/tls/ca.crt in $(($(milliseconds) - began)) ms"
}

# The template's stamp: the tree it was made with and the text that made it.
template_stamp() { cat "$tree/.berth-tree" "$here/lib/$kind.sh" | sha256sum; }

template_is_current() { [ "$(cat "$1/stamp" 2>/dev/null)" = "$(template_stamp)" ]; }

# server_copy_template DIR: DIR/data, if it is not there, from the template. Initialising takes seconds
# and copying a fifth of one.
server_copy_template() {
    local dir=$1 template=$BERTH_CACHE/templates/$name
    if [ -e "$dir/data" ]; then
        [ "$(cat "$dir/data/berth-name" 2>/dev/null)" = "$name" ] || die "$dir/data is not a $name made by db start"
        return 0
    fi
    with_lock "$BERTH_CACHE/locks/$name.template" template_build "$template"
    rm -rf "$dir/data.new"
    as cp -a --reflink=auto "$template/data" "$dir/data.new"
    as mv "$dir/data.new" "$dir/data"
}

template_build() {
    local template=$1 new=$1.new
    ! template_is_current "$template" || return 0
    echo "initialising a $name to copy from" >&2
    rm -rf "$new"
    mkdir -p "$new"
    give_to_server "$new"
    if ! "${kind}_initialise" "$new" >"$new/log" 2>&1; then
        tail -n 30 "$new/log" >&2
        die "cannot initialise $name; log: $new/log"
    fi
    echo "$name" | as tee "$new/data/berth-name" >/dev/null
    template_stamp | as tee "$new/stamp" >/dev/null
    rm -rf "$template"
    mv "$new" "$template"
}

server_stop() {
    local dir pid signal='' given
    if [ "${1:-}" = -9 ]; then
        signal=KILL
        shift
    fi
    [ $# -ge 1 ] || usage
    for given; do
        dir=$(absolute "$given")
        if ! pid=$(process_of "$dir"); then
            echo "ok: not running: $dir"
            continue
        fi
        # INT is PostgreSQL's fast shutdown; TERM would wait for the clients to leave.
        if [ -f "$dir/data/PG_VERSION" ]; then
            process_stop "$dir" "${signal:-INT}"
        else
            process_stop "$dir" "${signal:-TERM}"
        fi
        echo "ok: stopped $dir (pid $pid)"
    done
}

server_status() {
    local dir pid
    [ $# -eq 1 ] || usage
    dir=$(absolute "$1")
    if pid=$(process_of "$dir"); then
        echo "running: $(cat "$dir/started") pid $pid"
    else
        echo "stopped: $dir"
        return 3
    fi
}
