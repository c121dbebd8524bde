# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# What profilers see: probes in the program, kernels' symbols, counts of --perf, and the fifos of
# --perf-ctl.

# --- probes, with <sys/sdt.h> ---
probe_names() { readelf -n "$program" 2>/dev/null | awk '$1 == "Provider:" { p = $2 } $1 == "Name:" && p == "omnibus" { print $2 }' | sort; }
all_probes='collective_begin
collective_end
pass_begin
pass_end
step_begin
step_end'
command="readelf -n omnibus" status=0
if ! command -v readelf >/dev/null; then
    skip "probes: no readelf"
elif ! find /usr/include -path "*/sys/sdt.h" 2>/dev/null | grep -q .; then
    skip "probes: no <sys/sdt.h> (systemtap-sdt-dev)"
else
    hold "six probes of provider omnibus" same "$(probe_names | uniq)" "$all_probes"
    hold "steps and collectives at one address each" same "$(probe_names | grep -cE '^(step|collective)_')" 4
    hold "each with a semaphore" same "$(readelf -n "$program" |
        awk '$1 == "Provider:" { p = $2 } p == "omnibus" && $(NF - 1) == "Semaphore:" && $NF ~ /[1-9a-f]$|[1-9a-f]0+$/ { n++ } END { print n }')" \
        "$(probe_names | grep -c .)"
fi
command="nm omnibus"
if command -v nm >/dev/null; then
    for symbol in matmul_tile_portable attention_scores_portable activation_swiglu_portable omni_norm_rows; do
        hold "the symbol $symbol" eval 'nm "$program" | grep -q " [tT] $symbol"'
    done
else
    skip "symbols: no nm"
fi

# --- counts ---
fine run "$llama" --prompt-ids 1,2,3 --gen 4 --pes 4 --perf --format json
flat >"$T/flat"
workers=$(at array.workers)
hold "a row of every worker and phase" same "$(grep -c '^perf[.]counts[.][0-9]*[.]phase ' "$T/flat")" $((2 * workers))
hold "CPU time in each" same "$(grep -c '^perf[.]counts[.][0-9]*[.]task_clock_ns [1-9]' "$T/flat")" $((2 * workers))
hold "every PE, once a phase" same \
    "$(awk '/^perf[.]counts[.][0-9]*[.]pes / { n += $2 } END { print n + 0 }' "$T/flat")" 8
for name in cycles instructions cache_misses stalled_frontend stalled_backend migrations; do
    hold "$name: a number, or none and why" eval \
        'grep -q "^perf.counts.0.$name [0-9]" "$T/flat" ||
            { grep -q "^perf.counts.0.$name null" "$T/flat" && grep -q "^perf.unavailable.$name ." "$T/flat"; }'
done
fine run "$llama" --prompt-ids 1,2,3 --gen 4 --pes 5 --cpus "$(taskset -cp $$ 2>/dev/null | sed 's/.*: *//; s/[-,].*//')" --perf
hold "one worker with all PEs is named so" says 'prefill +worker 0 \(PE 0-4\)'
hold "decode, too" says '^decode +worker 0 \(PE 0-4\)'
hold "what there is not says why" eval '! says "n/a" || says "^n/a: .*: [a-z]"'
fine run "$llama" --prompt-ids 1,2,3 --gen 4 --pes 2 --plan megatron --decode-plan workflow2 --perf
hold "the change of plans is a phase" says '^transform +'
fine run "$llama" --prompt-ids 1 --gen 2 --format json
hold "without --perf there are none" same "$(at perf)" null
fine run configs/demo/bert --prompt-ids 1,2,3 --perf
hold "an encoder's phase" says '^encode +PE 0|^encode +worker 0'

fine bench "$llama" --pes 2 --prompt 4 --gen 0 --pg 4,2 --reps 2 --no-limits --perf --format csv
hold "columns of a worker" eval '[ -n "$(column perf.counts.0.task_clock_ns | grep -v "^0*$")" ]'
hold "the second test has both phases" same "$(column perf.counts.0.phase | tail -n 1)" prefill
fine bench "$llama" --pes 2 --prompt 4 --gen 3 --reps 2 --no-limits --perf
hold "rows that name their test" eval 'says "^megatron, 2 PEs, batch 1, pp4: prefill " && says "batch 1, tg3: decode "'
hold "and no other phase" eval '! says "tg3: prefill" && ! says "pp4: decode"'
refused 2 'perf: not an option of check' check "$llama" --perf
refused 2 'perf: takes no value' run "$llama" --prompt-ids 1 --perf=yes

# --- control ---
mkdir "$T/ctl" && mkfifo "$T/ctl/ctl" "$T/ctl/ack" && : >"$T/ctl/file"
for command_name in run bench; do
    set -- "$command_name" "$llama"
    [ "$command_name" = run ] && set -- "$@" --prompt-ids 1
    refused 2 'perf-ctl: .*/absent: No such file.*expected a fifo' "$@" --perf-ctl "$T/ctl/absent"
    refused 2 'perf-ctl: .*/file: not a fifo' "$@" --perf-ctl "$T/ctl/file"
    refused 2 'perf-ctl: .*/ctl: nobody reads it' "$@" --perf-ctl "$T/ctl/ctl"
    refused 2 'perf-ctl: .*/ctl: nobody reads it' "$@" --perf-ctl "$T/ctl/ctl,$T/ctl/ack"
    refused 2 "perf-ctl: 'x,y,z' .*expected CTL or CTL,ACK" "$@" --perf-ctl x,y,z
    refused 2 "perf-ctl: ',x' .*expected CTL or CTL,ACK" "$@" --perf-ctl ,x
done
refused 2 'perf-ctl: no value' run "$llama" --prompt-ids 1 --perf-ctl

# This shell holds the ends that perf would, so commands stay in the fifo until they are read here.
exec 7<>"$T/ctl/ctl" 8<>"$T/ctl/ack"
fine run "$llama" --prompt-ids 1,2 --gen 2 --perf-ctl "$T/ctl/ctl"
fine bench "$llama" --pes 2 --prompt 4 --gen 0 --reps 2 --no-limits --perf-ctl "$T/ctl/ctl"
said=$(head -n 6 <&7 | tr '\n' ' ')
hold "a run is timed once, a bench in each repetition" same "$said" 'enable disable enable disable enable disable '
while read -r line <&7; do
    echo "$line" >>"$T/ctl/said"
    echo ack >&8
done &
perf_reader=$!
fine bench "$llama" --pes 2 --prompt 4 --gen 0 --reps 3 --no-limits --perf-ctl "$T/ctl/ctl,$T/ctl/ack"
kill $perf_reader
wait $perf_reader 2>/dev/null
hold "each is answered" same "$(tr '\n' ' ' <"$T/ctl/said")" 'enable disable enable disable enable disable '
refused 3 'no answer within 5000 ms .expected .ack.' run "$llama" --prompt-ids 1 --perf-ctl "$T/ctl/ctl,$T/ctl/ack" --quiet
exec 7>&- 8>&-

# make profile without perf: /bin/sh needs no PATH
command="bench/profile.sh, without perf" status=0
PATH=/nowhere /bin/sh bench/profile.sh "$program" bench "$llama" >"$T/out" 2>"$T/err" || status=$?
hold "what to install" eval '[ $status -eq 2 ] && silent && complains "apt-get install linux-perf"'

# perf itself, where it may count: nothing but the timed part
if perf stat -e task-clock true >/dev/null 2>&1 && [ "$sanitized" = no ]; then
    command="perf stat --control, omnibus bench"
    timeout 60 perf stat --delay=-1 --control="fifo:$T/ctl/ctl,$T/ctl/ack" -x, -e task-clock -o "$T/ctl/stat" -- \
        "$program" bench "$llama" --pes 2 --prompt 8 --gen 0 --reps 3 --no-limits --perf-ctl "$T/ctl/ctl,$T/ctl/ack" \
        >"$T/out" 2>"$T/err"
    status=$?
    hold "perf and the program agree when" eval '[ $status -eq 0 ] && grep -q "^[0-9.]*,msec,task-clock" "$T/ctl/stat"'
else
    skip "perf stat --control: no perf that may count, or a sanitized program"
fi
