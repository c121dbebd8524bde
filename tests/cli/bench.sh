# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# `bench`: lists and their product, tests, formats, what is refused or skipped, Ctrl-C. How fast anything is
# nobody tests.

bert=configs/demo/bert
quick="--reps 2 --no-limits --quiet"
rows() { wc -l <"$T/out" | tr -d ' '; }
list() { tr '\n' , <"$1" | sed 's/,$//'; }
cells() { column "$1" >"$T/cells" && list "$T/cells"; } # of a column of $T/out, CSV

# The product, in the order of the lists, tests innermost
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 1,3 --plan megatron,workflow2 --batch 1-2 --prompt 5,6 --gen 3 --depth 0,4 --pg 4,2 --format csv
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
hold "a header and 64 rows" same "$(rows)" 65
hold "the tests in order" eval 'cells test | grep -q "^pp5,pp6,tg3,pp4+tg2,pp5 @ d4,pp6 @ d4,tg3 @ d4,pp4+tg2 @ d4,pp5,"'
hold "all combinations" same "$(column plan >"$T/a"; column pes >"$T/b"; column batch | paste "$T/a" "$T/b" - | uniq -c | awk '{ print $1 $2 $3 $4 }' | tr '\n' ,)" \
    8megatron11,8megatron12,8megatron31,8megatron32,8workflow211,8workflow212,8workflow231,8workflow232,
hold "tokens: batch x (prompt + gen)" same "$(column tokens | sed -n '9p;12p;60p' | tr '\n' ,)" 10,12,12,
hold "nothing skipped" eval '[ -z "$(column skipped | tr -d "\n")" ]'

# One record: figures that agree with each other
fine bench "$llama" --no-limits --pes 4 --plan workflow1 --prompt 8 --gen 4 --reps 3 --format json
flat >"$T/flat"
field() { awk -v path="$1" '$1 == path { print $2 }' "$T/flat"; }
hold "its schema" same "$(field schema)" omnibus.bench/1
hold "two tests" eval 'same "$(field tests.0.test)" pp8 && same "$(field tests.1.test)" tg4 && same "$(field tests.2.test)" ""'
hold "three samples, their mean, and their deviation" awk '
    /^tests[.]1[.]samples_ns[.]/ { n++; sum += $2; x[n] = $2 }
    /^tests[.]1[.]samples_ts[.]/ { m++; rates += $2; if ($2 * x[m] / (4e9) < 0.999 || $2 * x[m] / (4e9) > 1.001) bad = 1 }
    $1 == "tests.1.avg_ns" { mean = $2 } $1 == "tests.1.avg_ts" { rate = $2 } $1 == "tests.1.stddev_ns" { s = $2 }
    END { for (i = 1; i <= n; i++) d += (x[i] - sum / n) ^ 2; d = sqrt(d / 2)
          exit !(n == 3 && m == 3 && !bad && mean / (sum / 3) > 0.999 && mean / (sum / 3) < 1.001 &&
                 rate / (rates / 3) > 0.999 && rate / (rates / 3) < 1.001 && s - d <= 0.001 * d + 1 && d - s <= 0.001 * d + 1) }' "$T/flat"
hold "six shares that sum to 1" awk '/^tests[.]0[.]shares[.]/ { n++; sum += $2; if ($2 < 0) bad = 1 }
    END { exit !(n == 6 && !bad && sum > 0.999 && sum < 1.001) }' "$T/flat"
hold "no limits" eval 'same "$(field limits)" null && same "$(field tests.0.limit.fraction)" null && [ "$(field tests.0.limit.flops)" != 0 ]'
# What is counted is what the plan says: 4 decode steps, of which each moves as much.
cp "$T/flat" "$T/measured"
fine plan "$llama" --plan workflow1 --pes 4 --prompt 8 --gen 2 --format json
flat >"$T/flat"
for counter in broadcasts broadcast_bytes reductions tree_gathers tree_bytes host_bytes; do
    hold "$counter as planned" eval \
        'same "$(awk -v p="tests.0.fabric.$counter" "\$1 == p { print \$2 }" "$T/measured")" "$(field plans.0.totals.prefill.$counter)" &&
         same "$(awk -v p="tests.1.fabric.$counter" "\$1 == p { print \$2 }" "$T/measured")" \
              $((4 * $(field plans.0.totals.decode_step.$counter)))'
done

# Formats
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 1,2 --prompt 5 --gen 2 --format jsonl
hold "four lines" same "$(rows)" 4
hold "each a document" eval 'while read -r line; do echo "$line" | flat - | grep -q "^schema omnibus.bench/1$" || exit 1; done <"$T/out"'
hold "the settings in each" same "$(tail -n 1 "$T/out" | flat - | awk '$1 == "settings.reps" || $1 == "test" || $1 == "pes" { printf "%s ", $2 }')" "2 2 tg2 "
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 2 --prompt 5 --gen 2 --format md
hold "a table in Markdown" awk -F'[|]' '!/^[|] .* [|]$/ { exit 1 } { if (NR > 1 && NF != n) exit 1; n = NF } END { exit NR != 4 }' "$T/out"
hold "its header" eval 'head -n 1 "$T/out" | grep -q "^| model_name | plan | .* | avg_ts | "'
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 2 --prompt 5 --gen 2
hold "a row a test" eval 'says "^megatron +2 +[12] +1 +pp5 +[0-9.]+ ± [0-9.]+ " && says "^megatron +2 +[12] +1 +tg2 "'
if [ "$sanitized" = yes ]; then
    skip "what this host can do at most: minutes under a sanitizer"
else
    fine bench "$llama" --reps 1 --pes 2 --prompt 5 --gen 0
    hold "the limits" eval 'says "^limit +[12] cores?: reads [0-9.]+ GB/s" && says "pp5 +[0-9.]+ ± 0.00 +[0-9]+% of "'
fi
refused 2 "format: 'xml' .*md or jsonl" bench "$llama" --format xml

# Defaults are cut to the model; a test that is asked for is not.
fine bench "$llama" --no-limits --pes 1 --reps 1 --format csv
hold "pp256 and tg128" same "$(cells test)" pp256,tg128
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 1 --prompt 8,257 --gen 2,4 --depth 0,254 --format csv
hold "what fits" same "$(cells test)" "pp8,pp257,tg2,tg4,pp8 @ d254,pp257 @ d254,tg2 @ d254,tg4 @ d254"
hold "what does not" same "$(column skipped | awk '{ printf "%s,", $1 }')" ",257,,,262,511,,258,"
hold "no figure where none was taken" same "$(column avg_ts | awk '{ printf "%d", ($0 != "") }')" 10110010
hold "no column of an object" eval '! head -n 1 "$T/out" | tr , "\n" | grep -qx -e shares -e fabric -e limit'
refused_after() { # PATTERN ARGS...: the rows are shown, then status 2
    pattern=$1
    shift
    omni "$@"
    hold "status 2 and '$pattern'" eval '[ $status -eq 2 ] && one_line && complains "$pattern" && says "skipped: "'
}
# shellcheck disable=SC2086
refused_after 'nothing could be built .*sub-heads' bench "$llama" $quick --pes 3 --plan attn=subheads --prompt 4 --gen 0
# shellcheck disable=SC2086
refused_after 'nothing could be built .*257 positions' bench "$llama" $quick --pes 1 --prompt 257 --gen 0
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 3,9 --plan attn=subheads --prompt 4 --gen 2 --format csv
hold "9 PEs, but not 3" same "$(column skipped | awk '{ printf "%d", ($0 == "") }')" 0011
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 1,3 --workers 1,2 --prompt 4 --gen 0 --format csv
hold "at most a worker for each PE" eval 'same "$(cells workers)" 1,2,1,2 && same "$(column skipped | cut -d" " -f1 | tr "\n" ,)" ",2,,,"'
# shellcheck disable=SC2086
fine bench "$gpt2" $quick --pes 5 --plan replica,pipeline,lockstep --batch 1,5 --prompt 3 --gen 2 --fabric null --format csv
hold "no bus time where nothing moves" same "$(column shares.bus | sort -u | tr '\n' ,)" "0.0,"

# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 5 --prompt 3 --gen 2 --schedule pairwise --format json
hold "the schedule" same "$(at settings.schedule)" pairwise
refused 2 "unknown schedule 'x'" bench "$llama" --schedule x

# Another plan for decode: tg begins under it, pp+tg changes within the time.
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 4 --decode-plan workflow2,replica@20 --prompt 4 --gen 2 --pg 18,4 --format csv
hold "its name" same "$(column decode_plan | sort -u)" workflow2,replica@20
hold "a change, timed and counted, only in the last" same \
    "$(column transform_ns | awk '{ printf "%d", ($1 > 0) }') $(column transform.broadcast_bytes | awk '{ printf "%d", ($1 > 0) }')" "001 001"
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 2 --decode-plan workflow2,alternate --resident --prompt 0 --gen 2 --depth 3
hold "two schedules" eval 'says "^megatron +workflow2 " && says "^megatron +alternate "'
refused 2 'resident without' bench "$llama" --resident

# Beside a modelled array, each named, in every format; and the fastest plan there.
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 2 --prompt 5 --gen 2 --pg 4,2 --decode-plan workflow2 --array seed-64pe --set bus.width=64
hold "both in the table" eval 'says "^array +seed-64pe bus.width=64: modelled t/s " && says " wall t/s +modelled t/s " &&
    says "^megatron +workflow2 .* pp5 +[0-9.]+ ± [0-9.]+ +[0-9.]+ "'
for format in csv md json jsonl; do
    # shellcheck disable=SC2086
    fine bench "$llama" $quick --pes 2 --prompt 5 --gen 2 --pg 4,2 --decode-plan workflow2 --array seed-64pe --format $format
    cp "$T/out" "$T/bench.$format"
done
cp "$T/bench.csv" "$T/out"
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
hold "the array in each row" same "$(column modelled.array | tr '\n' ,)" seed-64pe,seed-64pe,seed-64pe,
hold "a change in the last only" same "$(column modelled.transform_ns | awk '{ printf "%d", ($1 > 0) }')" 001
hold "in Markdown" eval 'head -n 1 "$T/bench.md" | grep -q "| modelled.ts |"'
hold "in JSON lines" same "$(tail -n 1 "$T/bench.jsonl" | flat - | awk '$1 == "modelled.fits" { print $2 }')" true
modelled=$(flat "$T/bench.json" | awk '$1 == "tests.0.modelled.ns" { print $2 * 1000 }')
fine plan "$llama" --pes 2 --prompt 5 --gen 1 --plan megatron --array seed-64pe --format json
hold "the prefill's price" awk -v a="$modelled" -v b="$(at tasks.0.plans.0.prefill.ps)" 'BEGIN { exit !(a > 0 && a - b < 1 && b - a < 1) }'
# shellcheck disable=SC2086
fine bench "$llama" $quick --pes 2 --prompt 5 --gen 0 --format csv
hold "not without --array" eval '! head -n 1 "$T/out" | grep -q modelled'
fine bench "$llama" --reps 1 --no-limits --pes 4 --plan auto,replica --batch 2 --prompt 8 --gen 2 --pg 8,3 --array narrow-bus --format csv
hold "a choice for each test" eval 'same "$(cells test)" pp8,tg2,pp8+tg3,pp8,tg2,pp8+tg3 && complains "note: plan auto: .* on narrow-bus"'
best=$(column plan | sed -n 1p)
fine plan "$llama" --array narrow-bus --pes 4 --batch 2 --prompt 8 --gen 1
hold "which plan finds, too" says "^fastest  +$best: "
refused 2 'plan auto without --array' bench "$llama" --plan auto
refused 2 'set without --array' bench "$llama" --set bus.width=8
refused 2 '2 arrays \(bench takes one\)' bench "$llama" --array ideal,seed-64pe

# Encoders
# shellcheck disable=SC2086
fine bench "$bert" $quick --pes 1,2 --batch 3 --prompt 7,9 --format csv
hold "one kind of test" same "$(cells test)" encode7,encode9,encode7,encode9
for option in --gen=4 --pg=4,2 --decode-plan=single; do
    refused 2 "${option%=*}: bert models are encoders" bench "$bert" --prompt 7 "$option"
done
refused 2 'depth: bert models are encoders' bench "$bert" --depth 3
refused 2 'no test .*expected --prompt above 0' bench "$bert" --prompt 0 --gen 0

# Numbers, lists, plans
refused 2 'no test' bench "$llama" --prompt 0 --gen 0
for number in 0 -1 1.5 x 10001 99999999999999999999; do refused 2 'reps: ' bench "$llama" --reps "$number"; done
for option in pes batch workers; do refused 2 "$option: " bench "$llama" "--$option=0"; done
for option in pes batch prompt gen depth workers; do
    for value in , 1, 2-1 x -1 1.5; do refused 2 "$option: " bench "$llama" "--$option=$value"; done
done
for value in 1 1,2,3 0,4 4,0 1-2 x,y 4, ''; do refused 2 'pg: ' bench "$llama" "--pg=$value"; done
refused 2 'too many tests' bench "$llama" --prompt 1-60000 --depth 0-60000
refused 2 "unknown name 'foo'" bench "$llama" --plan foo
refused 2 'No such file' bench "$T/absent"
refused 2 'golden: not an option of bench' bench "$llama" --golden x
refused 2 'depth: not an option of run' run "$llama" --depth 1

# INI files
cat >"$T/bench.ini" <<END
pes = 2
[bench]
prompt = 4
gen = 0
reps = 2
no-limits = yes
pg = 3,2
pg = 4,2
[run]
gen = 7
END
fine bench "$llama" --config "$T/bench.ini" --format csv --gen 3
hold "the file's values, the command line's before them" same "$(cells test) $(cells pes)" "pp4,tg3,pp3+tg2,pp4+tg2 2,2,2,2"

# Files: whole or not at all
for format in table md csv json jsonl; do
    # shellcheck disable=SC2086
    fine bench "$llama" $quick --pes 1 --prompt 3 --gen 0 --format $format --output "$T/w/result"
    hold "the result in the file, and nothing else" eval 'silent && grep -q pp3 "$T/w/result" && same "$(left)" 1'
    rm -f "$T/w/result"
    # shellcheck disable=SC2086
    [ -c /dev/full ] && refused 3 'full: cannot write .*No space' bench "$llama" $quick --pes 1 --prompt 3 --gen 0 --format $format --output /dev/full
done
refused 2 'cannot write' bench "$llama" --output "$T/w/absent/result"

# Ctrl-C: of what was measured, lines and rows on stdout stay, a document and a file do not appear.
stop_bench() { # FORMAT ARGS...: interrupted behind the second line of a bench that takes for ever
    format=$1
    shift
    command="omnibus bench --format $format $* (then SIGINT)"
    env --default-signal=INT "$program" bench "$llama" --no-limits --pes 1 --prompt 3 --gen 0 --depth 0-250 --reps 300 \
        --format "$format" "$@" >"$T/out" 2>"$T/err" </dev/null &
    pid=$! tries=0
    while [ $tries -lt 1200 ] && { [ "$format" = jsonl ] && [ $# -eq 0 ] && [ "$(rows)" -lt 2 ] || [ $tries -lt 10 ]; }; do
        sleep 0.05
        tries=$((tries + 1))
    done
    [ "$sanitized" = yes ] && sleep 2
    kill -s INT $pid 2>/dev/null
    wait $pid
    status=$?
    hold "status 130" eval '[ $status -eq 130 ] && same "$(grep -v "omnibus: note: " "$T/err")" "omnibus: interrupted"'
    hold "no file" same "$(left)" 0
}
if [ -d /proc/self ] && env --default-signal=INT true 2>/dev/null; then
    stop_bench jsonl
    hold "whole lines" eval '[ "$(rows)" -ge 2 ] && tail -n 1 "$T/out" | flat - | grep -q "^schema "'
    for format in table csv md; do
        stop_bench $format
        hold "what was measured, if anything was" eval '{ says pp3 || silent; } && [ "$(grep -c pp3 "$T/out")" -lt 251 ]'
    done
    stop_bench json
    hold "nothing on stdout" silent
    for format in json jsonl table; do
        stop_bench $format --output "$T/w/result"
        hold "nothing on stdout" silent
    done
else
    skip "Ctrl-C: this env cannot restore SIGINT's default, or there is no /proc"
fi
