# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# What `run` refuses, its formats, and INI files.

refused 2 'prompt-ids: token id 512 .*expected 0 to 511' run "$llama" --prompt-ids 1,512
refused 2 'fit the model.s 256 positions' run "$llama" --prompt-ids 1,2 --gen 256
fine run "$llama" --prompt-ids 1 --gen 256
refused 2 'fit the model.s 256 positions' run "$llama" --prompt-ids 1 --gen 2147483647
refused 2 'named by --dump and by --output' run "$llama" --prompt-ids 1 --dump "$T/./same" --output "$T/same"
refused 2 'fit the model.s 256 positions' run "$llama" --prompt-ids "$(awk 'BEGIN { while (n++ < 256) printf "1,"; print 1 }')" --gen 1

printf '1,2\n\n3,x\n' >"$T/bad"
refused 2 "bad:3: 'x' is not a token id" run "$llama" --ids-file "$T/bad"
printf '1,2\n3,600\n' >"$T/bad"
refused 2 'bad:2: token id 600' run "$llama" --ids-file "$T/bad"
printf '1,2\0003\n' >"$T/bad"
refused 2 'bad:1: not a text file' run "$llama" --ids-file "$T/bad"
printf '\n  \n' >"$T/bad"
refused 2 'bad: no ids' run "$llama" --ids-file "$T/bad"
refused 2 'no ids' run "$llama" --ids-file /dev/null
refused 2 'absent: cannot open' run "$llama" --ids-file "$T/absent"
refused 2 'cannot read' run "$llama" --ids-file "$T"

# Plans that do not fit: 3 PEs, 4 layers, 8 heads
misfit() { # PLAN PATTERN
    refused 2 "plan '$1': $2" run "$llama" --prompt-ids 1 --plan "$1" --pes 3
}
misfit groups=4 'groups=4 on 3 PEs .*at most one group for each PE'
misfit stages=4 '1 group of 4 stages on 3 PEs .*at least one PE for each stage'
misfit stages=5 'stages=5 of 4 layers .*at most one stage for each layer'
misfit megatron:groups=2:stages=2 '2 groups of 2 stages on 3 PEs'
misfit attn=subheads 'attention by sub-heads .*3 for 8 heads .*expected more PEs than heads, or attn=heads'
misfit weights=stream 'weights=stream needs .*the nearest that can: groups=each'
misfit over=token 'over=token needs .*the nearest that can: groups=each'
for plan in single/megatron workflow1/single single:o=out single:groups=2; do
    misfit "$plan" '.*not built yet .*the nearest'
done

# CPUs
for cpus in x 0- -0 1-0 0,,0 0: 0-1:0 99999999999; do
    refused 2 'cpus: ' run "$llama" --prompt-ids 1 "--cpus=$cpus"
done
refused 2 'cpus: not available: 65535' run "$llama" --prompt-ids 1 --cpus 65535
refused 2 'cpus: not available: 65535' topo --cpus 65535

# Formats
fine run "$llama" --prompt-ids 1,2,3 --gen 5 --plan alternate --pes 3 --format json
flat >"$T/flat"
hold "valid JSON" eval 'flat >/dev/null'
hold "its schema" same "$(at schema)" omnibus.run/1
hold "its settings" eval 'same "$(at settings.pes)" 3 && same "$(at settings.plan)" alternate && same "$(at settings.gen)" 5'
hold "the prompt" same "$(at prompts.0.2)" 3
hold "fabric.total = prefill + decode + transform, for 12 counters" awk '
    $1 ~ /^fabric[.]total[.]/ { total[substr($1, 14)] = $2; counters++ }
    $1 ~ /^fabric[.](prefill|decode|transform)[.]/ { split($1, p, "."); sum[p[3]] += $2 }
    END { for (name in total) if (total[name] != sum[name]) exit 1; exit !(counters == 12 && total["broadcasts"] > 0) }' "$T/flat"
hold "the memory of every PE" same "$(grep -c '^memory[.][0-9]*[.]resident_bytes [1-9]' "$T/flat")" 3
for name in model.family array.workers array.cpus.0 plan.name plan.decode_name plan.methods.qkv timing.load_s \
    timing.prefill_s timing.decode_s timing.prefill_tokens_per_s timing.decode_tokens_per_s memory.2.weight_bytes \
    memory.2.kv_bytes memory.2.activation_bytes host.cpu_model version; do
    hold "the field $name" grep -q "^$name ." "$T/flat"
done
fine run "$llama" --prompt-ids 1 --gen 1 --format json
hold "null where no token was decoded" same "$(at timing.decode_tokens_per_s)" null

fine run "$llama" --prompt-ids 1,2 --prompt-ids 3 --gen 3 --pes 2 --format csv
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
hold "one row" same "$(wc -l <"$T/out" | tr -d ' ')" 2
fine run "$llama" --prompt-ids 1,2 --gen 3 --pes 2 --quiet
hold "nothing on stderr" eval '[ ! -s "$T/err" ]'
hold "the tables" eval 'says "^plan +megatron: qkv=out" && says "^prefill " && says "^tree_bytes " && says "^PE 1 "'

# INI files: what is before a section is for all commands, the command line hides the file.
cat >"$T/good.ini" <<END
; a comment
pes = 2
[run]
plan = workflow1
gen = 3
prompt-ids = 1,2
  prompt-ids = 3
quiet = yes
[check]
seed = 5
END
fine run "$llama" --config "$T/good.ini" --format csv
hold "the file's values" eval 'same "$(column settings.pes)" 2 && same "$(column plan.name)" workflow1 &&
    same "$(column settings.gen)" 3 && same "$(column prompts.1)" 3 && same "$(column settings.quiet)" true'
fine run "$llama" --gen 2 --prompt-ids 9 --config "$T/good.ini" --pes 4 --format csv
hold "the command line's values" eval 'same "$(column settings.pes)" 4 && same "$(column settings.gen)" 2 &&
    same "$(column settings.prompt_ids)" 9 && same "$(column plan.name)" workflow1'
ini() { # PATTERN TEXT
    printf '%b' "$2" >"$T/bad.ini"
    refused 2 "$1" run "$llama" --prompt-ids 1 --config "$T/bad.ini"
}
ini "bad.ini:2: unknown key 'gne' .*did you mean 'gen'" '[run]\ngne = 3\n'
ini "bad.ini:1: unknown key 'wheels'" 'wheels = 4\n'
ini 'bad.ini:2: unknown section \[rum\]' '[rum]\ngen = 3\n'
ini "bad.ini:1: expected 'key = value'" 'just words\n'
ini "bad.ini:1: gen: '0'" 'gen = 0\n'
ini 'bad.ini:2: pes: given twice' 'pes = 1\npes = 2\n'
ini 'bad.ini:1: gen: no value' 'gen =\n'
ini 'bad.ini:1: quiet: .*yes or no' 'quiet = perhaps\n'
ini 'bad.ini:1: batch: not an option of run' 'batch = 1\n'
ini 'bad.ini:1: a file cannot include another' 'config = x\n'
ini 'bad.ini:1: fabric: unknown fabric' 'fabric = ether\n'
ini "bad.ini:2: plan 'megatorn': .*did you mean 'megatron'" '[run]\nplan = megatorn\n'
ini "bad.ini:1: plan 'wheels=4': unknown key" 'decode-plan = wheels=4\n'
ini "bad.ini:1: --format: 'xml' .expected table" 'format = xml\n'
ini 'bad.ini:1: schedule: unknown schedule' 'schedule = late\n'
ini 'bad.ini:1: not a text file' '\0000'
ini 'bad.ini:1: gen: .11111111111.* .*expected a number' "gen = $(awk 'BEGIN { while (n++ < 400) printf "1" }')\n"
refused 2 'absent.ini: cannot open' run "$llama" --prompt-ids 1 --config "$T/absent.ini"
refused 2 'cannot read' run "$llama" --prompt-ids 1 --config "$T"
