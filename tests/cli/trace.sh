# shellcheck shell=sh disable=SC2016,SC2034,SC2086,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# --trace: a timeline in a file, whole or not at all. What is in it, event by event: tests/cases_trace.c.

rm -rf "$T/timeline" && mkdir "$T/timeline"
fine run "$llama" --prompt-ids 1,2,3 --prompt-ids 4 --gen 3 --pes 3 --plan megatron --decode-plan workflow2 \
    --array seed-64pe --format json --trace "$T/timeline/trace"
flat "$T/timeline/trace" >"$T/flat"
flat >"$T/run"
hold "valid JSON, in nanoseconds" grep -q '^displayTimeUnit ns$' "$T/flat"
hold "the facts" eval 'grep -q "^otherData.version ." "$T/flat" && grep -q "^otherData.plan megatron$" "$T/flat" &&
    grep -q "^otherData.model.family llama$" "$T/flat" && grep -q "^otherData.host.kernel ." "$T/flat" &&
    grep -q "^otherData.settings.pes 3$" "$T/flat"'
for name in 'wall time' 'modelled time, on .*' 'host port (caller)' 'bus, PE 0-2' 'tree, PE 0-2' 'PE 2.*' \
    'tree level 1, PE 0-2' 'bytes moved' 'keys and values' 'change of plans'; do
    hold "the name $name" grep -q "name $name\$" "$T/flat"
done
hold "as many bytes as were moved, with the change of plans" eval 'same \
    "$(awk -f "$here/trace.awk" "$T/flat")" \
    "$(awk "\$1 == \"fabric.total.broadcast_bytes\" || \$1 == \"fabric.total.addressed_bytes\" { bus += \$2 }
            \$1 == \"fabric.total.tree_bytes\" { tree = \$2 } END { print bus, tree }" "$T/run")"'
fine run "$bert" --prompt-ids 1,2,3 --pes 2 --trace "$T/timeline/trace"
hold "an encoder's pass" eval 'flat "$T/timeline/trace" | grep -q "name encode 3 tokens$"'
fine run "$llama" --prompt-ids 1,2,3 --gen 30 --pes 3 --trace "$T/timeline/trace" --trace-limit 2000
hold "a note on stderr and in the file" eval 'complains "only the first [0-9]+ of 30 passes" &&
    flat "$T/timeline/trace" | grep -q "^otherData.notes.0 wall time: only the first"'

# Refused before the run
refused 2 'absent/trace: cannot write' run "$llama" --prompt-ids 1 --trace "$T/timeline/absent/trace"
refused 2 'cannot write .*directory' run "$llama" --prompt-ids 1 --trace "$T/timeline"
refused 2 'named by --trace and by --output' run "$llama" --prompt-ids 1 --trace "$T/timeline/x" --output "$T/timeline/x"
refused 2 'named by --trace and by --dump' run "$llama" --prompt-ids 1 --trace "$T/timeline/x" --dump "$T/timeline/x"
refused 2 'trace: not an option of bench, but of run ' bench "$llama" --trace "$T/timeline/x"
refused 2 'trace-limit' run "$llama" --prompt-ids 1 --trace "$T/timeline/x" --trace-limit 0
hold "no other file" same "$(find "$T/timeline" -mindepth 1 | wc -l | tr -d ' ')" 1

# A full disk; and in the middle: nothing is left
[ -c /dev/full ] && refused 3 'full: cannot write .*No space' run "$llama" --prompt-ids 1 --trace /dev/full
rm -f "$T/timeline/trace"
long="run $llama --prompt-ids 1,2,3 --gen 30 --pes 3 --trace $T/timeline/trace"
if (trap '' XFSZ && ulimit -f 64) 2>/dev/null; then
    command="omnibus $long (in a place for 32 KiB)"
    (trap '' XFSZ && ulimit -f 64 && exec timeout -k 5 120 "$program" $long) >"$T/out" 2>"$T/err" </dev/null
    status=$?
    hold "status 3 and no file" eval 'refused_with 3 "timeline/trace: cannot write .*too large" &&
        [ -z "$(find "$T/timeline" -mindepth 1)" ]'
else
    skip "trace: a file that grows too large: no ulimit -f"
fi
if [ -d /proc/self ] && env --default-signal=INT true 2>/dev/null; then
    command="omnibus run --trace (then SIGINT)"
    awk 'BEGIN { while (n++ < 300) print "1,2,3" }' >"$T/many"
    env --default-signal=INT "$program" run "$llama" --ids-file "$T/many" --gen 250 --pes 3 --trace "$T/timeline/trace" \
        >"$T/out" 2>"$T/err" </dev/null &
    pid=$!
    sleep 1
    kill -s INT $pid 2>/dev/null
    wait $pid
    status=$?
    hold "status 130 and no file" eval '[ $status -eq 130 ] && silent && [ -z "$(find "$T/timeline" -mindepth 1)" ]'
fi
rm -rf "$T/timeline"
