# shellcheck shell=bash
# tls.sh - a certificate authority of our own, a server's and a client's certificate.

# tls_prepare DIR: makes DIR/tls/{ca,server,client}.{crt,key}; with BERTH_TLS set, makes them there and
# DIR/tls a link to it. Existing ones are kept. P-256 keys take milliseconds, RSA keys up to a second.
tls_prepare() {
    local at=$1/tls
    if [ -n "${BERTH_TLS:-}" ]; then
        at=$(absolute "$BERTH_TLS")
        if [ "$at" != "$1/tls" ]; then
            [ -L "$1/tls" ] || [ ! -e "$1/tls" ] || die "$1/tls has certificates of its own: remove it to use $at"
            ln -sfn "$at" "$1/tls"
        fi
    fi
    [ ! -s "$at/complete" ] || return 0
    command -v openssl >/dev/null || die "openssl not found (scripts/install-deps installs it)"
    mkdir -p "$at" || die "cannot create $at"
    give_to_server "$at"
    with_lock "$at/lock" tls_make "$at"
}

tls_make() {
    [ ! -s "$1/complete" ] || return 0
    as test -w "$1" || die "$server_user cannot write $1"
    tls_openssl "$1" req -x509 "${tls_new_key[@]}" -days 3650 -subj '/CN=Berth test authority' \
        -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt
    as chmod 644 "$1/ca.crt"
    tls_issue "$1" server server.localhost "${tls_new_key[@]}"
    tls_issue "$1" client app_cert "${tls_new_key[@]}"
    echo yes | as tee "$1/complete" >/dev/null
}

# For the few who need an RSA key: server-rsa.{crt,key}.
tls_make_rsa() {
    [ ! -s "$1/server-rsa.crt" ] || return 0
    tls_issue "$1" server-rsa server.localhost -newkey rsa:2048 -nodes
}

tls_new_key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

# tls_issue DIR NAME COMMON-NAME KEY-OPTION...: NAME.key and NAME.crt, for this machine.
tls_issue() {
    local at=$1 name=$2 common=$3
    shift 3
    printf '%s\n' 'subjectAltName=DNS:localhost,DNS:server.localhost,IP:127.0.0.1,IP:::1' \
        'extendedKeyUsage=serverAuth,clientAuth' | as tee "$at/extensions" >/dev/null
    tls_openssl "$at" req "$@" -subj "/CN=$common" -keyout "$name.key" -out request
    tls_openssl "$at" x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -sha256 \
        -extfile extensions -out "$name.new"
    as sh -euc 'cd "$1"; chmod 644 "$2.new"; mv "$2.new" "$2.crt"' sh "$at" "$name"
    as rm -f "$at/extensions" "$at/request"
}

tls_openssl() {
    local at=$1
    shift
    if ! as sh -c 'cd "$1" && shift && umask 077 && exec openssl "$@" >>openssl.log 2>&1' sh "$at" "$@"; then
        as tail -n 5 "$at/openssl.log" >&2
        die "openssl could not make the certificates in $at"
    fi
}
