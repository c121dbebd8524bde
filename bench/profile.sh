#!/bin/sh
# profile.sh: where the time of a bench run goes, by perf: samples with call graphs by frame pointers, of what
# is timed only (perf's --control and our --perf-ctl). Without hardware counters, as in most virtual machines,
# perf samples by the CPU clock: it says so below.
#
#   sh bench/profile.sh build/release/omnibus bench configs/demo/llama --prompt 128 --gen 64
set -u
if ! command -v perf >/dev/null || ! perf --version >/dev/null 2>&1; then
    echo "profile: there is no perf here: apt-get install linux-perf" >&2
    exit 2
fi
if [ $# -lt 2 ] || [ ! -x "$1" ]; then
    echo "usage: sh bench/profile.sh PROGRAM bench|run ARGUMENTS..." >&2
    exit 2
fi
dir=build/profile
mkdir -p $dir && rm -f $dir/ctl $dir/ack && mkfifo $dir/ctl $dir/ack || exit 3
trap 'rm -f $dir/ctl $dir/ack' EXIT
event=cycles:u
perf stat -e $event true 2>&1 | grep -q 'not supported' && event=cpu-clock:u
echo "== perf record -e $event --call-graph fp -- omnibus $(shift && echo "$*")"
perf record -q -F 1999 -e $event --call-graph fp -o $dir/perf.data --delay=-1 --control=fifo:$dir/ctl,$dir/ack -- \
    "$@" --perf-ctl $dir/ctl,$dir/ack >$dir/out 2>$dir/err
status=$?
if [ $status -ne 0 ]; then
    cat $dir/err >&2
    echo "profile: perf or the program failed (expected /proc/sys/kernel/perf_event_paranoid at most 2)" >&2
    exit 3
fi
cat $dir/out
show() { # TITLE ARGS...
    printf '\n== %s\n' "$1"
    shift
    perf report -i $dir/perf.data --stdio --percent-limit 1 "$@" 2>/dev/null | grep -v '^#' | grep -v '^ *$' |
        sed 's/ *- *- *$//' | head -n 24
}
show "by thread" --no-children -g none --sort comm
show "by function" --no-children -g none --sort symbol
show "with what it calls" --children -g none --sort symbol
echo
echo "more: perf report -i $dir/perf.data"
