# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# --array: what plans cost on modelled arrays, and which is best.

for file in configs/arrays/*.ini; do
    hold "$file opens with its name and a question" eval 'head -n 1 "$file" | grep -q "^; $(basename "$file" .ini): .*?"'
done
for array in ideal seed-64pe wide-bus segmented-256pe narrow-bus gddr6-pim seed-64pe-faults ring-64pe mesh-64pe ring-64pe-thin mesh-64pe-thin; do
    fine plan "$llama" --array "$array" --plan megatron,alternate --pes 4
    hold "both plans, priced" eval 'says "^array +$array\$" && says "^megatron  .* (ns|us|ms) " && says "^alternate  "'
done
fine plan "$llama" --array configs/arrays/narrow-bus.ini --pes 3 --batch 1,4 --prompt 8,16 --gen 1,4 --plan single,replica --format csv
hold "a row for each plan of each of 8 tasks" same "$(column plan | wc -l | tr -d ' ')" 16
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
fine plan "$llama" --array seed-64pe,wide-bus --set bus.width=32,64,128 --set bus.pieces=1,8 --plan megatron --format csv
hold "2 x 3 x 2 arrays" same "$(column array | sort -u | wc -l | tr -d ' ')" 12
hold "named by what was set" eval 'column array | grep -qx "seed-64pe bus.width=64 bus.pieces=8"'
fine plan "$llama" --array seed-64pe --plan megatron --format json
hold "schema" same "$(at schema)" omnibus.plan/1
hold "p*" eval '[ "$(at tasks.0.tree_from_pes)" -ge 2 ] && [ "$(at tasks.0.tree_from_pes_decode)" -ge 2 ]'
hold "as many PEs as the file says" same "$(at tasks.0.pes)" 64
flat | sed -n 's/^tasks.0.plans.0.decode_step.moved.//p' | sort >"$T/priced"
fine plan "$llama" --pes 64 --plan megatron --format json
hold "priced is what is counted" eval 'flat | sed -n "s/^plans.0.totals.decode_step.//p" | sort | cmp -s - "$T/priced" && [ -s "$T/priced" ]'

# Rings and meshes.
fine plan "$llama" --array ring-64pe,mesh-64pe --pes 4 --plan megatron --format json
hold "links instead of a bus" eval '[ "$(at tasks.0.plans.0.decode_step.link_ps)" -gt 0 ] && [ "$(at tasks.1.plans.0.decode_step.link_bytes)" -gt 0 ] && [ "$(at tasks.0.plans.0.decode_step.bus_busy)" = null ] && [ "$(at tasks.0.tree_from_pes)" = null ]'
fine plan "$llama" --array mesh-64pe --set link.width=8,16 --pes 4 --plan megatron,replica
hold "and their share of time" eval 'says "links busy" && says "^array  *mesh-64pe link.width=16" && ! says "^sums "'
fine run "$llama" --pes 4 --prompt-ids 1,2,3 --array ring-64pe
hold "beside wall time" says 'links busy'
refused 2 'bus\.width: not of a ring' plan "$llama" --array ring-64pe --set bus.width=8
refused 2 'link\.width: not of a bus' plan "$llama" --array seed-64pe --set link.width=8

# The search, and what it chooses.
fine plan "$llama/config.json" --array seed-64pe --pes 8 --batch 2 --prompt 16 --gen 4
hold "winners" eval 'says "^fastest  " && says "^runner-up  .*lost in" && says "^prefill  .*%" && says "^All figures are modelled"'
cp "$T/out" "$T/first"
fine plan "$llama/config.json" --array seed-64pe --pes 8 --batch 2 --prompt 16 --gen 4 --plan auto
hold "the same again, and as auto" cmp -s "$T/out" "$T/first"
fine plan "$llama/config.json" --array seed-64pe --pes 8 --batch 2 --prompt 16 --gen 1
best=$(sed -n 's/^fastest *\([^ ]*\): .*/\1/p' "$T/out")
fine run "$llama" --array seed-64pe --pes 8 --prompt-ids 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 \
    --prompt-ids 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 --gen 1 --plan auto --format json
hold "run takes the fastest" same "$(at plan.name)" "$best"
# Two plans, where these are faster than one: a long prompt on a narrow bus.
ids=$(seq -s , 1 100)
set -- --array seed-64pe --pes 8 --gen 64
fine plan "$llama" "$@" --prompt 100 --format json
hold "a pair that wins" same "$(at tasks.0.joined.wins)" true
P=$(at tasks.0.joined.prefill_plan) Q=$(at tasks.0.joined.decode_plan) total=$(at tasks.0.joined.total_ps_resident)
hold "and fits" eval '[ "$(at tasks.0.joined.memory_resident.fits)" = true ] && [ "$total" -lt "$(at tasks.0.plans.0.total_ps)" ]'
fine run "$llama" "$@" --prompt-ids "$ids" --plan auto --format json
hold "run takes both, and says so" eval 'same "$(at plan.name) $(at plan.decode_name)" "$P $Q" && grep -qF "note: plan auto: $P then $Q" "$T/err"'
hold "within 1% of what was said" awk -v a="$total" -v p="$(at modelled.prefill_s)" -v t="$(at modelled.transform_s)" -v d="$(at modelled.decode_s)" \
    'BEGIN { m = (p + t + d) * 1e12 / a; exit !(m > 0.99 && m < 1.01) }'
flat | grep "^tokens" >"$T/joined"
fine run "$llama" "$@" --prompt-ids "$ids" --format json
hold "the tokens of any plan" eval 'flat | grep "^tokens" | cmp -s - "$T/joined" && [ -s "$T/joined" ]'
fine run "$llama" "$@" --prompt-ids "$ids" --plan auto --decode-plan megatron
hold "but not where a plan is given" says '^decode megatron: '
set --
fine plan "$llama" --array seed-64pe --pes 2 --prompt 32 --gen 8
hold "a change for which nothing moves" says '^joined .*nothing moves for the change; a PE needs'
fine plan "$llama/config.json" --array seed-64pe,wide-bus --pes 4,8 --plan megatron,single
hold "over all tasks" eval 'says "^least latency  .* on wide-bus, 8 PEs" && says "^most throughput  "'
fine plan "$llama/config.json" --array narrow-bus --pes 2,4,8 --batch 1,8 --prompt 8,128 --plan megatron,replica,pipeline,attn=tokens
hold "crossovers are named" eval 'says "^crossover    batch 1 -> 8 \(narrow-bus, PEs [248], prompt [0-9]+, gen 16\): [a-z=]+ .* -> [a-z=]+ "'
fine plan "$llama/config.json" --array narrow-bus --pes 2,4,8 --batch 1,8 --prompt 8,128 --plan megatron,replica,pipeline,attn=tokens --format json
hold "and in JSON" eval '[ "$(flat | grep -c "^crossovers\.[0-9]*\.plan_to ")" -gt 0 ] && [ "$(at crossovers.0.ps_to)" -gt 0 ]'
fine plan "$llama" --array gddr6-pim --set pe.memory_mib=1 --plan single,megatron --pes 4
hold "what does not fit is marked" says '^single .*does not fit$'
fine plan "$llama" --array ideal --plan attn=subheads,megatron --pes 4
hold "skipped, and why" says '^skipped: attn=subheads: attention by sub-heads '
fine plan configs/demo/bert --array seed-64pe --plan megatron --pes 4
hold "an encoder's one pass" says '^megatron +[0-9.]+ [num]s +- '

# Faults: beside the time without them.
fine plan "$llama" --array seed-64pe-faults --plan megatron,replica --batch 4
hold "the living, both times, and what is lost" eval 'says "^on +64 PEs \(63 live\), " && says "^plan .* total +healthy +loses " && says "^megatron .* \+[0-9.]+% " && says "^loses least +[a-z]+: \+" && says "^healthy +[a-z]+ would be the fastest, too: .*; here it takes .* \(\+"'
cp "$T/out" "$T/first"
fine plan "$llama" --array seed-64pe-faults --plan megatron,replica --batch 4
hold "the same again" cmp -s "$T/out" "$T/first"
fine plan "$llama" --array seed-64pe --set "faults.slow=none,3:2 7-9:1.5" --set faults.dead=none,5 --plan megatron --format csv
hold "with and without" eval '[ "$(column array | wc -l)" -eq 4 ] && [ "$(column ranks | sort -u | paste -sd , -)" = 63,64 ]'
hold "no healthy time where nothing is wrong" eval '[ -z "$(column healthy_ps | head -n 1)" ] && [ "$(column healthy_ps | tail -n 1)" = "$(column total_ps | head -n 1)" ]'
fine plan "$llama/config.json" --array seed-64pe --set faults.slow=3:4 --pes 8 --batch 2 --prompt 16 --gen 4 --format json
hold "the search, too" eval '[ "$(at tasks.0.plans.0.healthy_ps)" -gt 0 ] && [ "$(at tasks.0.healthy.total_ps_here)" -ge "$(at tasks.0.plans.0.total_ps)" ] && [ "$(at tasks.0.healthy.total_ps)" -le "$(at tasks.0.plans.0.total_ps)" ]'
fine run "$llama" --pes 4 --prompt-ids 1,2,3 --gen 4 --array seed-64pe --set faults.slow=1:3
hold "run says it in a line" says '^without its faults: prefill .* \(\+[0-9.]+%\), decode .* \(\+[0-9.]+%\)$'
fine run "$llama" --pes 4 --prompt-ids 1,2,3 --array seed-64pe --set faults.slow=1:3 --format json
hold "in JSON" eval '[ "$(at modelled.healthy_prefill_s)" != null ]'
refused 2 'seed-64pe faults.dead=5, where 63 live' run "$llama" --pes 64 --prompt-ids 1 --array seed-64pe --set faults.dead=5
refused 2 'faults\.slow: .3:0\.5. \(expected PEs and a factor from 1' plan "$llama" --array seed-64pe --set faults.slow=3:0.5
refused 2 '4 PEs on seed-64pe faults.dead=0-3: all of them are dead' plan "$llama" --array seed-64pe --set faults.dead=0-3 --pes 4
sed 's/^dead = .*/dead = 37/' configs/arrays/seed-64pe-faults.ini >"$T/twice.ini"
refused 2 'twice\.ini:[0-9]+: dead: PE 37 is given twice' plan "$llama" --array "$T/twice.ini"

# Beside wall time.
fine run "$llama" --pes 4 --prompt-ids 1,2,3 --gen 4 --array seed-64pe --set bus.width=64
hold "both, each named" eval 'says "^wall clock " && says "^modelled on seed-64pe bus.width=64 " && says "^a modelled PE needs "'
fine run "$llama" --pes 4 --prompt-ids 1,2,3 --prompt-ids 4 --gen 3 --decode-plan workflow2 --array seed-64pe --format json
hold "in JSON" eval '[ "$(at modelled.array)" = seed-64pe ] && [ "$(at modelled.prefill.ps)" -gt 0 ] && [ "$(at modelled.decode_s)" != null ]'
flat | sed -n 's/^modelled.prefill.moved.//p' | sort >"$T/priced"
hold "priced is what moved" eval 'flat | sed -n "s/^fabric.prefill.//p" | sort | cmp -s - "$T/priced" && [ -s "$T/priced" ]'
hold "a change is priced: what moved is what is priced" eval '[ "$(at modelled.last_transform.ps)" -gt 0 ] &&
    same "$(at modelled.last_transform.moved.broadcast_bytes)" "$(at fabric.transform.broadcast_bytes)" &&
    same "$(at modelled.last_transform.moved.addressed_bytes)" "$(at fabric.transform.addressed_bytes)"'
fine run "$llama" --pes 4 --prompt-ids 1,2,3 --gen 3 --decode-plan workflow2 --resident --array seed-64pe
hold "on the page" says '^transform +[0-9.]+ [num]s '
fine run configs/demo/bert --pes 2 --prompt-ids 1,2,3 --array wide-bus
hold "an encoder, too" says '^encode +3 +[0-9.]+ [num]s '
fine run "$llama" --pes 2 --prompt-ids 1,2
hold "not without --array" eval '! says modelled'

sed 's/^width_bytes.*/width_bytes = 0/' configs/arrays/seed-64pe.ini >"$T/zero.ini"
refused 2 'zero\.ini:[0-9]+: width_bytes: .0. \(expected a whole number from 1' plan "$llama" --array "$T/zero.ini"
refused 2 "array 'nothing': cannot open .*expected a file, or a name in configs/arrays" plan "$llama" --array nothing
refused 2 "array 'gddr6-pmi': .*did you mean 'gddr6-pim'" plan "$llama" --array gddr6-pmi
refused 2 "unknown key 'bus.widht' .*did you mean 'bus.width'" plan "$llama" --array ideal --set bus.widht=3
refused 2 'unknown key .bus\.volts.' plan "$llama" --array ideal --set bus.volts=3
refused 2 'bus\.width: .-1.' plan "$llama" --array ideal --set bus.width=8,-1
refused 2 'expected KEY=VALUE' plan "$llama" --array ideal --set bus.width
refused 2 '--set without --array' plan "$llama" --set bus.width=8
refused 2 '--array with --explain or --diff' plan "$llama" --array ideal --explain megatron
omni plan "$llama" --array ideal --pes 2 --plan attn=subheads
hold "status 2 and the reason when nothing can be built" eval '[ "$status" -eq 2 ] && one_line && complains "nothing could be built"'
refused 2 'the model.s 256 positions' plan "$llama" --array ideal --prompt 300
refused 2 'there is no decode phase' plan configs/demo/bert --array ideal --gen 2
refused 2 'plan auto without --array' run "$llama" --prompt-ids 1 --plan auto
refused 2 '--set without --array' run "$llama" --prompt-ids 1 --set bus.width=8
refused 2 '2 arrays \(run takes one\)' run "$llama" --prompt-ids 1 --array ideal,seed-64pe
