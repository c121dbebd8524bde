#!/bin/sh
# The command line as a person types it: what is answered, with which exit status, on which stream, and what
# is left behind. Run from the root of the repository: sh tests/test_cli.sh build/omnibus
#
#   test_cli.sh      the frame: one command (omni), one expectation (ok, no), the count at the end
#   cli/*.sh         the expectations, sourced in order
#   cli/*.awk        readers of JSON and CSV, so that nothing but a POSIX system is needed
#
# One line for each failed expectation, with the command and what was seen. What cannot be tested here says
# SKIP and why.
# shellcheck disable=SC2034 # names for cli/*.sh
set -u
export LC_ALL=C

if [ $# -ne 1 ] || [ ! -x "$1" ] || [ ! -f configs/demo/llama/config.json ]; then
    echo "usage, from the root of the repository: sh tests/test_cli.sh PROGRAM" >&2
    exit 2
fi
case $1 in /*) program=$1 ;; *) program=$PWD/$1 ;; esac
here=$PWD/tests/cli
llama=configs/demo/llama
gpt2=configs/demo/gpt2
T=$(mktemp -d) || exit 2
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM HUP
passed=0 failed=0
sanitized=no
grep -q __asan_init "$program" && sanitized=yes

ok() { passed=$((passed + 1)); }
no() { # WHAT-WAS-EXPECTED
    failed=$((failed + 1))
    printf 'FAIL: %s: expected %s; saw status %s, %s bytes on stdout, stderr: %s\n' "$command" "$1" "$status" \
        "$(wc -c <"$T/out")" "$(head -n 3 "$T/err" | tr '\n' '|' | cut -c1-300)"
}
skip() { echo "SKIP: $1"; }
hold() { # WHAT CONDITION...: the condition is a command
    what=$1
    shift
    if "$@"; then ok; else no "$what"; fi
}

# Runs the program: $command, $status, $T/out, $T/err. One that hangs is ended and has status 124 or 137.
omni() {
    command="omnibus $*"
    timeout -k 5 120 "$program" "$@" >"$T/out" 2>"$T/err" </dev/null
    status=$?
}

one_line() { [ "$(wc -l <"$T/err")" -eq 1 ] && [ "$(head -c 9 "$T/err")" = "omnibus: " ]; }
silent() { [ ! -s "$T/out" ]; }
quiet() { ! grep -qv '^omnibus: note: ' "$T/err"; }
done_well() { [ "$status" -eq 0 ] && quiet; }
says() { grep -qE -e "$1" "$T/out"; }
complains() { grep -qE -e "$1" "$T/err"; }
refused_with() { [ "$status" -eq "$1" ] && one_line && silent && complains "$2"; }
fine() { # ARGS...: works, and only notes are on stderr
    omni "$@"
    hold "status 0 and no error" done_well
}
refused() { # STATUS PATTERN ARGS...: one line on stderr that has PATTERN, nothing on stdout
    wanted=$1
    pattern=$2
    shift 2
    omni "$@"
    hold "status $wanted, nothing on stdout, one line with '$pattern'" refused_with "$wanted" "$pattern"
}

flat() { awk -f "$here/json.awk" "${1:-$T/out}"; }               # "path value" a line
at() { flat "$T/out" | awk -v path="$1" '$1 == path { sub(/^[^ ]* /, ""); print }'; } # one value of $T/out, JSON
column() { awk -v name="$1" -f "$here/csv.awk" "${2:-$T/out}"; } # cells of $T/out, CSV
same() { [ "$1" = "$2" ]; }

for part in usage settings tokens text run change files model check plan array experiments encode machine \
    stop progress trace calibrate verify bench install plot perf; do
    case $part$sanitized in # what runs long, of code that the unit tests and cases run under a sanitizer, too
    settingsyes | textyes | checkyes | arrayyes | experimentsyes | verifyyes | benchyes | plotyes | perfyes)
        skip "$part: under a sanitizer"
        continue
        ;;
    esac
    # shellcheck source=/dev/null
    . "$here/$part.sh"
done

echo "cli: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
