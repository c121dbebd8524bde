# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; names from and for test_cli.sh
# `plan`: what it shows, and that it is what a run counts.

named=single,megatron,workflow1,workflow2,alternate
fine plan "$llama"
hold "the five plans" eval 'for p in single megatron workflow1 workflow2 alternate; do says "^$p .* prefill " || exit 1; done'
cp "$T/out" "$T/directory"
fine plan "$llama/config.json"
hold "the same from config.json" cmp -s "$T/out" "$T/directory"
fine plan "$gpt2/config.json" --pes 3,40 --batch 1,2 --prompt 8,16 --gen 1,4 --plan alternate,gather=bus --format csv
hold "2 x 2 x 2 x 2 x 2 rows" same "$(column plan | wc -l | tr -d ' ')" 32
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
fine plan "$llama" --plan all --pes 5 --format csv
hold "the skipped are said" eval 'column skipped | grep -q "^replica is not built yet"'
hold "none skipped for another reason" eval '! column skipped | grep -v "^$" | grep -qv "not built yet"'
fine plan "$llama" --gen 2,500 --plan megatron --format csv
hold "the one too long skipped" eval 'column skipped | grep -q "fit the model.s 256 positions"'

for plan in single megatron workflow1 workflow2 alternate; do
    for model in "$llama" "$llama/config.json" "$gpt2"; do
        fine plan "$model" --explain "$plan" --pes 3
        hold "ops, totals and their names" eval 'says "^plan +$plan: " && says "^(0|0,2|0-3) .*qkv " && says "^total +prefill " && says "argmax "'
    done
    hold "memory" says '^memory +weights'
    fine plan "$llama/config.json" --explain "$plan" --pes 3
    hold "no memory without weights" eval '! says "^memory "'
    fine plan "$llama" --explain "$plan" --pes 3 --format csv
    hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
    fine plan "$llama" --explain "$plan" --pes 3 --batch 2 --prompt 5 --gen 4 --format json
    flat | sed -n 's/^plans.0.totals.//p' | sort >"$T/explained"
    fine plan "$llama" --plan "$plan" --pes 3 --batch 2 --prompt 5 --gen 4 --format json
    hold "schema" same "$(at schema)" omnibus.plan/1
    flat | sed -n 's/^plans.0.totals.//p' | sort >"$T/planned"
    hold "the totals of --explain" eval '[ -s "$T/planned" ] && cmp -s "$T/explained" "$T/planned"'
done
fine plan "$llama" --explain megatron --pes 1-3 --batch 1,4
hold "six pages" same "$(grep -c '^plan  ' "$T/out")" 6
refused 2 'expected one' plan "$llama" --explain megatron,single
refused 2 'expected one' plan "$llama" --explain all
refused 2 'expected one' plan "$llama" --explain megatron --plan single
refused 2 "unknown name 'foo'" plan "$llama" --explain foo
refused 2 'too many situations|too much' plan "$llama" --pes 1-60000 --batch 1-60000 --prompt 1-60000 --gen 1-60000
for arguments in '--plan lockstep,replica' '--explain lockstep' '--explain attn=subheads' '--gen 300' '--explain megatron --gen 300'; do
    # shellcheck disable=SC2086
    omni plan "$llama" $arguments
    hold "status 2, rows that say why, and one line" eval \
        '[ $status -eq 2 ] && one_line && complains "nothing could be built" && says "skipped: "'
done

# What the plan says is what a run counts: 2 prompts of 5 tokens, 4 to generate.
plans="$named,megatron:o=out:gather=bus,qkv=in:attn=tokens:ffn=in+in:edge=scatter"
fine plan "$llama" --plan "$plans" --pes 1,3,5 --batch 2 --prompt 5 --gen 4 --format json
flat >"$T/plan.flat"
situation=0
for plan in $(echo "$plans" | tr , ' '); do
    for pes in 1 3 5; do
        fine run "$llama" --plan "$plan" --pes "$pes" --gen 4 --prompt-ids 1,2,3,4,5 --prompt-ids 9,8,7,6,5 --format json
        flat >"$T/run.flat"
        hold "plan and run of $plan on $pes PEs to agree in 24 counters" awk -v s="plans.$situation." -v plan="$plan" -v pes="$pes" '
            FNR == NR && $1 == s "plan" { named = $2 == plan }
            FNR == NR && $1 == s "pes" { named = named && $2 == pes }
            FNR == NR && index($1, s "totals.") == 1 { planned[substr($1, length(s "totals.") + 1)] = $2 }
            FNR != NR && $1 ~ /^fabric[.](prefill|decode)[.]/ {
                compared++
                if (planned[substr($1, 8)] != $2) differ = 1
            }
            END { exit !(named && compared == 24 && !differ) }' "$T/plan.flat" "$T/run.flat"
        situation=$((situation + 1))
    done
done
