# shellcheck shell=bash
# tree.sh - trees of programs: packages unpacked below $BERTH_CACHE/trees with every library they need.
#
# One way for all of them, the distribution's own PostgreSQL 15 and MariaDB 10.11 included: apt-get install
# needs root, starts services on the usual ports, and cannot have two MySQL flavours at once. An unpacked
# tree needs no root, disturbs nothing, is the same packages, and works from any Debian release.

# Packages that running the programs never needs: perl scripts, service and account management, JIT
# (PostgreSQL runs without its module), replication helpers. tree_check proves that nothing is missing.
tree_drop='perl|perl-base|perl-modules-.*|libperl5.*|lib.*-perl|libgdbm.*|libdb5.*|openssl|openssl-provider-legacy'
tree_drop+='|libc-gconv-modules-extra|libc-bin|libc-l10n|locales|libllvm.*|libz3.*|debconf|libdebconfclient0|ucf'
tree_drop+='|sensible-utils|ssl-cert|adduser|passwd|base-passwd|login.*|libsemanage.*|libsepol.*|systemd.*'
tree_drop+='|libsystemd-shared|libmount1|libblkid1|procps|libproc2.*|psmisc|lsof|iproute2|rsync|socat|gawk|galera.*'
tree_drop+='|sysvinit-utils|init-system-helpers|lsb-base|netbase|postgresql-common.*|postgresql-client-common'
tree_drop+='|readline-common|libpam-modules.*|libpam-runtime|libaudit-common|tzdata.*|gcc-[0-9]+-base|python3.*'
tree_drop+='|libpython3.*|media-types|dbus.*|cron|logrotate'

# tree_get NAME: makes the tree if it is not there.
tree_get() {
    recipe "$1"
    tree_is_current || with_lock "$BERTH_CACHE/locks/$name.tree" tree_build
}

# The path is part of the stamp, because the wrappers contain it: a cache that was moved is made again.
tree_stamp() { echo "$name: ${packages[*]} of $suite at $tree, format 1"; }

tree_is_current() {
    local line
    read -r line 2>/dev/null <"$tree/.berth-tree" && [ "$line" = "$(tree_stamp)" ]
} 2>/dev/null

# tree_build: in a directory beside the tree, moved into place at the end.
tree_build() {
    local new=$tree.new deb
    ! tree_is_current || return 0
    echo "getting $name from Debian's $suite" >&2
    rm -rf "$new"
    mkdir -p "$new/debs"
    apt_fetch "$suite" "$tree_drop${drop:+|$drop}" "$new/debs" "${packages[@]}"
    for deb in "$new"/debs/*.deb; do
        dpkg-deb -x "$deb" "$new" || die "cannot unpack $deb"
    done
    {
        tree_stamp
        for deb in "$new"/debs/*.deb; do
            # shellcheck disable=SC2016  # dpkg-deb's own format
            dpkg-deb -W --showformat '${Package} ${Version} ${Architecture}\n' "$deb"
        done
    } >"$new/stamp"
    rm -rf "$new/debs"
    tree_merge_usr "$new"
    rm -rf "$new"/usr/share/{doc,man,locale,info,lintian,bug} "$new"/usr/lib/{systemd,debug} "$new"/usr/lib/*/gconv
    if [ -n "$finish" ]; then "$finish" "$new"; fi
    tree_loader "$new"
    tree_wrap_programs "$new"
    mv "$new/stamp" "$new/.berth-tree"
    chmod -R a+rX "$new"
    rm -rf "$tree.old"
    [ ! -e "$tree" ] || mv "$tree" "$tree.old"
    mv "$new" "$tree"
    rm -rf "$tree.old"
}

# Suites before trixie have packages with files in /lib and /bin.
tree_merge_usr() {
    local part
    for part in lib lib64 bin sbin; do
        if [ ! -d "$1/$part" ] || [ -L "$1/$part" ]; then continue; fi
        mkdir -p "$1/usr/$part"
        cp -a "$1/$part/." "$1/usr/$part/"
        rm -rf "${1:?}/$part"
    done
}

# tree_loader NEW: the tree's own ld.so, relative to it, in $loader; its library path in $libraries.
tree_loader() {
    local file
    loader=
    for file in "$1"/usr/lib/*-linux-gnu*/ld-linux-*.so.*; do
        [ ! -e "$file" ] || loader=${file#"$1"/}
    done
    [ -n "$loader" ] || die "no ld.so in $1: libc6 is missing from the packages"
    libraries="@/${loader%/*}:@/usr/lib:@/usr/lib/mysql-router"
}

is_elf() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(head -c 4 "$1" | tail -c 3)" = ELF ]; }

# Every ELF program X becomes X.elf and a script X that runs it by the tree's ld.so and libraries. The
# programs find each other as usual (initdb starts postgres), and the pid is the program's own.
tree_wrap_programs() {
    local new=$1 file
    for file in "$new"/usr/{bin,sbin}/* "$new"/usr/lib/postgresql/*/bin/*; do
        is_elf "$file" || continue
        tree_check "$new" "$file"
        mv "$file" "$file.elf"
        {
            echo '#!/bin/sh'
            tree_variables "$new"
            echo "exec '$tree/$loader' --library-path '${libraries//@/$tree}' --argv0 '$tree${file#"$new"}' '$tree${file#"$new"}.elf' \"\$@\""
        } >"$file"
        chmod 755 "$file"
    done
}

# Directories compiled into programs or libraries that only a variable can change: where the two MySQL
# client libraries find authentication plugins, and sysbench its tests.
tree_variables() {
    local plugins=${loader%/*}/libmariadb3/plugin
    [ ! -d "$1/$plugins" ] || echo "export MARIADB_PLUGIN_DIR='$tree/$plugins'"
    plugins=usr/lib/mysql/plugin
    [ ! -e "$1/$plugins/mysql_native_password.so" ] || echo "export LIBMYSQL_PLUGIN_DIR='$tree/$plugins'"
    [ ! -d "$1/usr/share/sysbench" ] || echo "export LUA_PATH='$tree/usr/share/sysbench/?.lua;;'"
}

# tree_check NEW FILE: every shared library must come from the tree itself.
tree_check() {
    local new=$1 out
    out=$("$new/$loader" --library-path "${libraries//@/$new}" --list "$2" 2>&1) || die "$2: $out"
    out=$(printf '%s\n' "$out" | awk -v own="$new/" '/not found/ { print $1 }
        $2 == "=>" && $3 ~ /^\// && index($3, own) != 1 && $1 !~ /ld-linux/ { print $1, "from", $3 }')
    [ -z "$out" ] || die "${2##*/}: libraries from outside the tree: $out"
}
