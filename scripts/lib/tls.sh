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
    # shellcheck disable=SC2016  # expanded by the inner shell
    if ! as sh -euc '
        cd "$1"
        exec >openssl.log 2>&1
        umask 077
        key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        openssl req -x509 $key -days 3650 -subj "/CN=Berth test authority" \
            -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out ca.crt
        issue() {
            openssl req $key -subj "/CN=$2" -keyout "$1.key" -out "$1.csr"
            openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -sha256 \
                -extfile "$1.ext" -out "$1.crt"
        }
        printf "%s\n" "subjectAltName=DNS:localhost,DNS:server.localhost,IP:127.0.0.1,IP:::1" \
            "extendedKeyUsage=serverAuth,clientAuth" >server.ext
        echo "extendedKeyUsage=clientAuth" >client.ext
        issue server server.localhost
        issue client app_cert
        chmod 644 *.crt
        rm -f *.csr *.ext
        echo yes >complete' sh "$1"; then
        tail -n 5 "$1/openssl.log" >&2
        die "openssl could not make the certificates in $1"
    fi
}
