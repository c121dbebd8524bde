# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Ctrl-C: status 130, one line, no file, no temporary file. A shell starts background commands with SIGINT
# ignored; the program takes no notice of that, but env gives it the terminal's default all the same.

busy() { # PID STATES: it has become omnibus, and is in one of these states
    grep -qE "^[0-9]+ \(omnibus\) [$2]" "/proc/$1/stat" 2>/dev/null
}
interrupt() { # SIGNAL STATE ARGS...: once the program is in that state for a while, the signal; $status, $T/err
    signal=$1 state=$2
    shift 2
    command="omnibus $* (then SIG$signal)"
    env --default-signal=INT "$program" "$@" >"$T/out" 2>"$T/err" </dev/null &
    pid=$! seen=0 tries=0
    while [ $seen -lt 3 ] && [ $tries -lt 200 ]; do
        sleep 0.05
        if busy $pid "$state"; then seen=$((seen + 1)); fi
        tries=$((tries + 1))
    done
    [ "$sanitized" = yes ] && sleep 0.5
    kill -s "$signal" $pid 2>/dev/null
    tries=0
    while [ $tries -lt 200 ] && busy $pid RSDTt; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -s KILL $pid 2>/dev/null
    wait $pid
    status=$?
    hold "status 130, nothing on stdout, one line" eval \
        '[ $status -eq 130 ] && silent && same "$(grep -v "omnibus: note: " "$T/err")" "omnibus: interrupted"'
    hold "no file" same "$(left)" 0
}

if [ -d /proc/self ] && env --default-signal=INT true 2>/dev/null; then
    awk 'BEGIN { while (n++ < 300) print "1,2,3" }' >"$T/long"
    for signal in INT TERM; do
        interrupt "$signal" RSD check "$llama" --plan all --pes 1-60 --output "$T/w/result"
        interrupt "$signal" RSD run "$llama" --ids-file "$T/long" --gen 250 --pes 40 --plan alternate --output "$T/w/result" \
            --dump "$T/w/dump"
    done
    interrupt INT RSD run "$llama" --ids-file "$T/long" --gen 250 --pes 3 --plan workflow2 --dump "$T/w/dump"
    interrupt INT RSD plan "$llama" --plan all --pes 1-500 --prompt 1-200 --output "$T/w/result"
    mkfifo "$T/fifo"
    interrupt INT S run "$llama" --ids-file "$T/fifo" --output "$T/w/result"
    interrupt INT S topo --config "$T/fifo"
    interrupt INT S topo --output "$T/fifo"
else
    skip "Ctrl-C: this env cannot restore SIGINT's default, or there is no /proc"
fi
