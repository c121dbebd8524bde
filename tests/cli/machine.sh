# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# The machine: `topo`, more PEs than it has CPUs, and more than fit in its memory.

fine topo
hold "the machine and its places" eval 'says "^usable cpus +[1-9]" && says "^worker +cpu +core"'
fine topo --format csv
cpus=$(column cpu | wc -l | tr -d ' ')
fine topo --pes 5 --format json
hold "its schema" same "$(at schema)" omnibus.topo/1
hold "each of 5 PEs to have one place" same "$(flat | awk '$1 ~ /^places[.][0-9]+[.]pes[.]/ { print $2 }' | tr '\n' ,)" 0,1,2,3,4,
hold "a place for each CPU" same "$(flat | grep -c '^places[.][0-9]*[.]cpu ')" "$cpus"
fine topo --pes 3
hold "where PEs would run" says '^pe .*-> worker 0 -> cpu '
fine topo --cpus "$first_cpu" --format csv
hold "one place" same "$(column cpu)" "$first_cpu"
refused 2 'pes: ' topo --pes 0

memory='needs .* of memory, but .* available'
fine run "$llama" --prompt-ids "$p0" --gen 4 --pes 200 --format csv
hold "the golden tokens" same "$(tokens 0)" 198,40,69,338
fine plan "$llama" --pes 200,1000
# Every PE holds activations of full size: no machine has memory for these.
awk 'BEGIN { for (q = 0; q < 1000; q++) { for (i = 0; i < 200; i++) printf "1,"; print 1 } }' >"$T/wide"
refused 2 "$memory" run "$llama" --ids-file "$T/wide" --pes 100000 --gen 2
refused 2 "$memory" run "$llama" --ids-file "$T/wide" --pes 4000 --gen 2 --plan workflow2 --dump "$T/w/dump"
if [ "$sanitized" = yes ]; then
    skip "4000 PEs, and little address space: the sanitizer takes its own"
else
    omni run "$llama" --prompt-ids 1 --gen 1 --pes 4000
    hold "an answer: done, or too much memory in one line" eval 'done_well || refused_with 2 "$memory"'
    for limit in 30000 60000 100000 200000; do
        for arguments in "run $llama --prompt-ids 1 --pes 40 --gen 2" "run $llama --prompt-ids 1 --pes 2000 --gen 2" \
            "check $llama --pes 2 --quiet" "plan $llama --explain workflow2" topo; do
            command="ulimit -v $limit; omnibus $arguments"
            # shellcheck disable=SC2086,SC3045
            (ulimit -v $limit && exec timeout -k 5 60 "$program" $arguments >"$T/out" 2>"$T/err")
            status=$?
            grep -q 'loading shared libraries' "$T/err" && continue
            hold "to work, or status 2 or 3 with one line" eval 'done_well || refused_with 2 . || refused_with 3 .'
        done
    done
fi
hold "no file" same "$(left)" 0
