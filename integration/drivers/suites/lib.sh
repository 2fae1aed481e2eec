# lib.sh - what every suite's script does in the same way. It is sourced with the script's arguments:
#
#   run get DIRECTORY    obtains the suite into DIRECTORY, which is empty. A suite that no registry carries is copied from
#                        the directory that its own variable names (BERTH_SUITE_NAME)
#   run test DIRECTORY   runs it against 127.0.0.1:$SUITE_PORT as $SUITE_USER with $SUITE_PASSWORD in $SUITE_DATABASE ($SUITE_CA signed
#                        the certificate of localhost), and writes a line "pass|fail|skip NAME" for each test to $SUITE_RESULTS
#
# A script defines get and run_tests, both of which are called in DIRECTORY, and ends with `suite "$@"`.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)

die() {
    echo "$(basename "$here"): error: $*" >&2
    exit 1
}

suite() {
    [ $# = 2 ] || die "run get|test DIRECTORY"
    cd "$2"
    case $1 in
    get) get ;;
    test) run_tests ;;
    *) die "run get|test DIRECTORY" ;;
    esac
}

# module PATH@VERSION - a Go module, from its proxy, as a tree that can be written to.
module() {
    local cached
    cached=$(cd / && GOFLAGS=-mod=mod go mod download -json "$1" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
    cp -r "$cached/." . && chmod -R u+w .
}

# go_tests [GO-TEST-ARGUMENT...] PACKAGE... - each top-level test and subtest is a test.
go_tests() {
    local log=$SUITE_RESULTS.log
    # A failing test is a result, not a failure of this script.
    go test -count=1 -vet=off -json "$@" >"$log" || true
    python3 - "$log" >"$SUITE_RESULTS" <<'PY'
import json, re, sys

for line in open(sys.argv[1]):
    try:
        event = json.loads(line)
    except ValueError:
        continue
    if event.get("Action") in ("pass", "fail", "skip") and "Test" in event:
        # Some names have a directory in them that is another one each time.
        print(event["Action"], re.sub(r"/tmp/\w+?\d+/", "/tmp/", event["Package"] + "." + event["Test"]))
PY
}

# junit FILE... - JUnit's XML, as pytest and Maven write it.
junit() {
    python3 - "$@" >"$SUITE_RESULTS" <<'PY'
import sys
import xml.etree.ElementTree as xml

for name in sys.argv[1:]:
    for case in xml.parse(name).getroot().iter("testcase"):
        children = {child.tag for child in case}
        result = "fail" if children & {"failure", "error"} else "skip" if "skipped" in children else "pass"
        print(result, f"{case.get('classname')}.{case.get('name')}".replace("\n", " "))
PY
}

# checkout VARIABLE VERSION - a copy of the tagged version of the repository in the directory that VARIABLE names.
checkout() {
    local from=${!1:-}
    [ -n "$from" ] || die "$1 must name a directory with the repository"
    git -c advice.detachedHead=false clone -q --branch "$2" "$from" .
}

# venv REQUIREMENT... - a Python of its own in ./venv.
venv() {
    python3 -m venv venv && venv/bin/pip install -q --disable-pip-version-check --no-input "$@"
}

# each SECONDS COMMAND... - every file whose path comes on the standard input is a test: it passes if COMMAND FILE ends
# with 0 within SECONDS.
each() {
    local within=$1 file
    shift
    while read -r file; do
        if timeout -k 5 "$within" "$@" "$file" >>"$SUITE_RESULTS.log" 2>&1 </dev/null; then
            echo "pass $file"
        else
            echo "fail $file"
        fi
    done >"$SUITE_RESULTS"
}
