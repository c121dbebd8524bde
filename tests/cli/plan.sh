# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
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
hold "the skipped are said" same "$(column skipped | grep -c '^attention by sub-heads .*there are 5 for 8 heads')" 16
hold "none skipped for another reason" same "$(column skipped | grep -c '^$')" 37
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
fine plan "$llama" --explain workflow2:wire=bf16:wire-tree=f16 --pes 3
hold "what floats travel as" eval 'says "broadcast +bus 0\.\.2, bf16" && says "tree reduction +tree 0\.\.2, 2 levels, f16" &&
    says "tree reduction +tree 0\.\.2, 2 levels  +2 x 8 B"'
fine plan "$llama" --explain megatron:wire=f16 --pes 2 --format json
hold "the same in JSON" eval 'same "$(flat | grep -c "\.wire f16$")" 4 && same "$(at plans.0.methods.wire_bus)" f16'
fine plan "$llama" --explain megatron --pes 1-3 --batch 1,4
hold "six pages" same "$(grep -c '^plan  ' "$T/out")" 6
refused 2 'expected one' plan "$llama" --explain megatron,single
refused 2 'expected one' plan "$llama" --explain all
refused 2 'expected one' plan "$llama" --explain megatron --plan single
refused 2 "unknown name 'foo'" plan "$llama" --explain foo
refused 2 'too many situations|too much' plan "$llama" --pes 1-60000 --batch 1-60000 --prompt 1-60000 --gen 1-60000
for arguments in '--plan groups=9,stages=5' '--explain single/megatron' '--explain attn=subheads' '--gen 300' '--explain megatron --gen 300'; do
    # shellcheck disable=SC2086
    omni plan "$llama" $arguments
    hold "status 2, rows that say why, and one line" eval \
        '[ $status -eq 2 ] && one_line && complains "nothing could be built" && says "skipped: "'
done

# The end of an explain page: what the notes say, and what moves.
claim() { flat "$T/out" | awk -v item="$1" -v key="$2" '
    $1 ~ /[.]claims[.][0-9]+[.]item$/ { match($1, /[0-9]+[.]item$/); found = found || $0 ~ " \"?" item "\"?$"; mine = $0 ~ " \"?" item "\"?$" }
    mine && $1 ~ "[.]claims[.][0-9]+[.]" key "$" { sub(/^[^ ]* /, ""); print; exit }'; }
for plan in single megatron workflow1 workflow2 alternate replica pipeline megatron:groups=2:stages=2 all-in; do
    [ "$plan" = all-in ] && plan=qkv=in:attn=tokens:o=out:ffn=in+in:gather=bus:edge=scatter
    for model in "$llama/config.json" "$gpt2" configs/models/bert-base-uncased.json; do
        fine plan "$model" --explain "$plan" --pes 4
        hold "claims and the motivation" eval 'says "^claims " && says "^pass +motivation 4 "'
        hold "lines of at most 170 columns" eval '! sed -n "/^claims/,\$p" "$T/out" | grep -qE "^.{171,}"'
    done
done
fine plan "$llama" --explain workflow1 --pes 4 --format json
hold "workflow 1 to need a gather" eval '[ "$(claim "workflow 1" verdict)" = holds_plus ] && claim "workflow 1" reason | grep -q "tree gather"'
hold "5.4 to hold" same "$(claim 5.4 verdict)" holds
fine plan "$llama" --explain alternate --pes 4 --format json
hold "the cycle to gather nothing" eval '[ "$(claim "the cycle" verdict)" = holds_plus ] && ! claim "the cycle" reason | grep -q gather'
hold "workflow 2 to reduce in its FFN" eval '[ "$(claim "workflow 2" verdict)" = does_not_hold ] && claim "workflow 2" reason | grep -q "^ffn 1 reduction"'
fine plan "$llama" --explain workflow1 --pes 1
hold "nothing to move on one PE" eval 'says "nothing moves: one PE" && ! says "does not:"'

# Two plans side by side: the first op that differs, what moves, memory.
fine plan "$llama" --diff megatron workflow1
hold "the op, totals and memory" eval 'says "^workflow1 +0 +up +split-in" && says "^decode_step +messages +17 +25 +[+]8$" && says "^memory_most +weight_bytes "'
cp "$T/out" "$T/pair"
for arguments in "--diff megatron workflow1 $llama" "--diff megatron,workflow1 $llama" "--diff=megatron $llama workflow1" \
    "workflow1 --diff megatron $llama" "$llama --diff megatron --diff workflow1"; do
    # shellcheck disable=SC2086
    fine plan $arguments
    hold "the same" cmp -s "$T/out" "$T/pair"
done
printf 'diff = megatron,workflow1\n' >"$T/diff.ini"
fine plan "$llama" --config "$T/diff.ini"
hold "the same from a file" cmp -s "$T/out" "$T/pair"
fine plan "$llama/config.json" --diff megatron workflow1
hold "no memory without weights" eval '! says "^memory"'
fine plan "$llama" --diff megatron qkv=out:attn=heads:o=in:ffn=out+in
hold "no difference" eval 'says "^no difference$" && ! says " [-+][0-9]"'
fine plan "$llama" --diff megatron workflow2 --pes 1
hold "no difference on one PE" says '^no difference$'
fine plan "$llama" --diff megatron megatron:groups=2 --batch 2
hold "another mesh" eval 'says "^mesh that differs" && says "^megatron:groups=2 +4 +2 +1 "'
fine plan configs/models/bert-base-uncased.json --diff workflow1 alternate
hold "an encoder's one phase" eval 'says "^encode +messages " && ! says "^decode"'
fine plan "$llama" --diff workflow1 workflow2 --pes 2,3 --batch 1,2
hold "four comparisons" same "$(grep -c '^first op that differs' "$T/out")" 4
fine plan "$llama" --diff single alternate --pes 2,3 --gen 4 --format csv
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
hold "the first op" same "$(column first_op | sort -u)" qkv
fine plan "$llama" --diff single alternate --pes 3 --gen 4 --format json
hold "the difference in JSON" eval '[ "$(at diff.p)$(at diff.situations.0.first.op)" = singleqkv ] && [ "$(at diff.situations.0.same)" = false ]'
hold "both sides in JSON" same "$(at diff.situations.0.prefill.broadcasts.q)" "$(at diff.situations.0.prefill.broadcasts.difference)"
fine plan "$llama" --diff megatron workflow1 --gen 16,500
hold "the one too long skipped" says '^skipped: megatron: .*fit the model.s 256 positions'
omni plan "$llama" --diff megatron attn=nothing
hold "status 2 and one line" eval '[ $status -eq 2 ] && one_line && silent && complains "attn|nothing"'
omni plan "$llama" --diff megatron megatron:groups=9
hold "status 2, the plan that does not fit, and one line" eval \
    '[ $status -eq 2 ] && one_line && complains "nothing could be built .megatron:groups=9: " && says "^skipped: megatron:groups=9: "'
refused 2 'diff: 1 plan ' plan "$llama" --diff megatron
refused 2 'diff: 3 plans ' plan "$llama" --diff megatron,single,workflow1
refused 2 'diff: no value' plan "$llama" --diff
refused 2 "unexpected argument 'workflow1'" plan "$llama" workflow1
refused 2 "unexpected argument 'workflow2'" plan "$llama" --diff megatron,workflow1 workflow2
refused 2 "unexpected argument 'workflow2'" plan "$llama" --diff megatron workflow1 workflow2
refused 2 "neither 'nowhere' nor 'single' exists" plan nowhere --diff megatron single
refused 2 'both exist' plan "$llama" --diff megatron "$gpt2"
refused 2 'diff and --plan together|plan and --diff together' plan "$llama" --diff megatron single --plan single
refused 2 'explain and --diff together|diff and --explain together' plan "$llama" --diff megatron,single --explain single
refused 2 'diff: not an option of run' run "$llama" --diff megatron

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
