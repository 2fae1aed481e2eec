# shellcheck shell=bash
# cache.sh - where fetched trees and initialised data live, and who may touch them when.
#
#   $BERTH_CACHE/apt/SUITE        a private apt world: lists, configuration, lock
#   $BERTH_CACHE/trees/NAME       unpacked packages; first line of .berth-tree is the recipe it was made by
#   $BERTH_CACHE/templates/NAME   an initialised, never started data directory, copied by every first start
#   $BERTH_CACHE/locks/NAME       one builder at a time

# The status tells the ERR trap that the error has been said.
die() {
    echo "db: error: $*" >&2
    exit 10
}

# Servers refuse to run as root, so as root everything they do is done as nobody, who must be able to
# reach the cache: hence not below /root.
cache_locate() {
    if [ -z "${BERTH_CACHE:-}" ]; then
        if [ "$(id -u)" = 0 ]; then
            BERTH_CACHE=/var/cache/berth
        else
            [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] || die "neither BERTH_CACHE, XDG_CACHE_HOME nor HOME is set"
            BERTH_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/berth
        fi
    fi
    case $BERTH_CACHE in
    /*) ;;
    *) BERTH_CACHE=$PWD/$BERTH_CACHE ;;
    esac
    case $BERTH_CACHE in
    *[[:space:]\'\"\\\$\`\;:]*) die "BERTH_CACHE has a character that shells or loaders treat specially: $BERTH_CACHE" ;;
    esac
}

cache_prepare() {
    mkdir -p "$BERTH_CACHE"/{apt,trees,templates,locks} || die "cannot write $BERTH_CACHE"
    if [ "$(id -u)" = 0 ] && ! as test -x "$BERTH_CACHE"; then
        die "$server_user cannot reach $BERTH_CACHE: choose another BERTH_CACHE or open its parent directories"
    fi
}

# with_lock FILE COMMAND...: runs COMMAND in a subshell that holds FILE exclusively. process_spawn closes
# the descriptor, so no server keeps a lock.
with_lock() {
    local file=$1
    shift
    (
        flock -w 900 9 || die "another run has held $file for 15 minutes"
        "$@"
    ) 9>>"$file"
}
