# shellcheck shell=bash
# apt.sh - a private apt world for one Debian suite: own lists, own cache, an empty package status.
# Nothing is installed on the machine and /etc/apt is only read. apt checks the suite's signature against
# the Debian keyring and every package against the signed index.

# The machine's own Debian archive (deb822 or one-line sources), so that a local mirror or a proxy's
# address is used; else Debian's public one. BERTH_DEBIAN_MIRROR overrides both.
apt_mirror() {
    local file uri
    if [ -n "${BERTH_DEBIAN_MIRROR:-}" ]; then
        printf '%s\n' "${BERTH_DEBIAN_MIRROR%/}"
        return
    fi
    for file in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        uri=$(awk '/^[[:space:]]*#/ { next }
            tolower($1) == "uris:" || $1 == "deb" {
                for (i = 2; i <= NF; i++) if ($i ~ /^[a-z+]+:\/\/.*\/debian\/?$/) { print $i; exit }
            }' "$file")
        if [ -n "$uri" ]; then
            printf '%s\n' "${uri%/}"
            return
        fi
    done
    echo http://deb.debian.org/debian
}

# apt_prepare SUITE[,SUITE]: writes the configuration of that world; its directory is in $apt_world.
apt_prepare() {
    local suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg command mirror arch
    for command in apt-get apt-cache apt-config dpkg dpkg-deb awk; do
        command -v "$command" >/dev/null || die "$command not found: fetching needs a Debian-like machine"
    done
    [ -r "$keyring" ] || die "$keyring not found (package debian-archive-keyring)"
    mirror=$(apt_mirror)
    arch=$(dpkg --print-architecture)
    apt_world=$BERTH_CACHE/apt/$1
    mkdir -p "$apt_world"/{etc/{sources.list.d,apt.conf.d,preferences.d,trusted.gpg.d},lists/partial,cache/archives/partial,log} ||
        die "cannot write $apt_world"
    : >"$apt_world/status" # nothing counts as installed: packages bring all their libraries
    for suite in ${1//,/ }; do
        echo "deb [arch=$arch signed-by=$keyring] $mirror $suite main"
    done >"$apt_world/etc/sources.list"
    # Dir::Etc::parts leads away from the machine's apt.conf.d; its transport and date policy is inherited
    # by name, so that proxies work here as they do for apt.
    cat >"$apt_world/apt.conf" <<CONF
Dir::Etc "$apt_world/etc";
Dir::Etc::sourcelist "$apt_world/etc/sources.list";
Dir::Etc::sourceparts "$apt_world/etc/sources.list.d";
Dir::Etc::parts "$apt_world/etc/apt.conf.d";
Dir::Etc::preferencesparts "$apt_world/etc/preferences.d";
Dir::Etc::trusted "$keyring";
Dir::Etc::trustedparts "$apt_world/etc/trusted.gpg.d";
Dir::State "$apt_world";
Dir::State::lists "$apt_world/lists";
Dir::State::status "$apt_world/status";
Dir::Cache "$apt_world/cache";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
Dir::Log "$apt_world/log";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
APT::Get::AllowUnauthenticated "false";
$(apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|http|https)(::[A-Za-z-]+)* "[^"]' || true)
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::AllowInsecureRepositories "false";
CONF
}

# apt_newest PACKAGE: PACKAGE=VERSION of the newest there is. By itself apt takes nothing of experimental.
apt_newest() {
    local version
    version=$(APT_CONFIG=$apt_world/apt.conf apt-cache madison "$1" | awk -F ' *[|] *' 'NR == 1 { print $2 }')
    [ -n "$version" ] || die "no $1 in Debian's ${apt_world##*/}"
    echo "$1=$version"
}

apt_get() { APT_CONFIG=$apt_world/apt.conf apt-get -qq "$@"; }

# apt_update SUITE: brings the lists up to date unless another run did so within the last ten minutes.
apt_update() {
    apt_prepare "$1"
    [ -z "$(find "$apt_world/updated" -mmin -10 2>/dev/null)" ] || return 0
    if ! apt_get update >"$apt_world/log/update" 2>&1 || grep -qE '^(E|W):' "$apt_world/log/update"; then
        cat "$apt_world/log/update" >&2
        die "apt-get update of Debian's $1 did not succeed"
    fi
    touch "$apt_world/updated"
}

# apt_fetch SUITE[,SUITE] DROP DIRECTORY PACKAGE...: downloads the packages and all they depend on, except
# those whose name matches DROP, into DIRECTORY. One run at a time uses a world: another one's configuration
# and lists must not change under it.
apt_fetch() {
    local at=$BERTH_CACHE/apt/$1
    mkdir -p "$at"
    with_lock "$at/lock" apt_fetch_locked "$@"
}

apt_fetch_locked() {
    local suite=$1 drop=$2 directory=$3 log package
    local -a named=() wanted
    shift 3
    apt_update "$suite"
    for package; do named+=("$(apt_newest "$package")"); done
    log=$(mktemp -d)
    if ! apt_get -s install "${named[@]}" >"$log/resolve" 2>&1; then
        cat "$log/resolve" >&2
        rm -rf "$log"
        die "Debian's $suite cannot satisfy: $*"
    fi
    mapfile -t wanted < <(awk '$1 == "Inst" { sub(/^\(/, "", $3); print $2 "=" $3 }' "$log/resolve" |
        grep -vE "^($drop)=")
    [ ${#wanted[@]} -gt 0 ] || die "nothing to download for: $*"
    if ! (cd "$directory" && apt_get download "${wanted[@]}" >"$log/download" 2>&1); then
        cat "$log/download" >&2
        rm -rf "$log" "$apt_world/updated" # the lists may name what is gone: the next run updates them
        die "download of ${#wanted[@]} packages from Debian's $suite did not succeed"
    fi
    rm -rf "$log"
}
