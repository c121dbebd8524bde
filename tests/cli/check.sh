# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# `check`: what passes, what fails and is named, what is skipped.

cases() { column passed | sort | uniq -c | tr -s ' ' | sed 's/^ //' | tr '\n' ','; } # "20 true,1 false,"

fine check "$llama"
hold "20 cases ok" says '^20 passed, 0 failed, 0 skipped$'
hold "a note on the golden file" complains 'note: comparing with .*golden.safetensors'
fine check "$gpt2" --pes 3 --plan megatron,alternate --format csv --quiet
hold "two cases passed" same "$(cases)" '2 true,'
hold "nothing on stderr" eval '[ ! -s "$T/err" ]'
fine check tests/golden/llama-tiny-mha --pes 1,5-7 --plan workflow1,single,attn=tokens --format csv
hold "3 x 4 cases passed" same "$(cases)" '12 true,'
hold "the order of the lists" same "$(column pes | tr '\n' ,)" 1,5,6,7,1,5,6,7,1,5,6,7,
fine check "$llama" --pes 3 --plan workflow2 --format json
hold "its JSON" eval 'same "$(at schema)" omnibus.check/1 && same "$(at passed)" true && same "$(at cases.0.plan)" workflow2 &&
    same "$(at cases.0.pes)" 3 && same "$(at cases.0.argmax_match)" true && same "$(at cases.0.skipped)" null'
hold "an error below 1e-5" eval 'at cases.0.row_rel | awk "{ exit !(\$1 > 0 && \$1 < 1e-5) }"'
fine check tests/golden/llama-tiny-mha --plan all --pes 3 --format csv
hold "rows that are skipped, saying why" same "$(column skipped | grep -c 'attention by sub-heads .*there are 3 for 4 heads')" 16
hold "what is not skipped to pass" same "$(cases)" '16 ,37 true,'

# Floats that travel as 16-bit floats have a tolerance of their own, and say so; on one PE none travel
fine check "$llama" --pes 1,3 --plan megatron:wire=bf16 --format json
hold "its tolerances" eval 'at cases.0.tolerance | awk "{ exit !(\$1 == 1e-5) }" && at cases.1.tolerance | awk "{ exit !(\$1 > 1e-2) }"'
hold "an error that float32 does not make" eval 'at cases.1.rel_max | awk "{ exit !(\$1 > 1e-4) }"'
fine check "$llama" --pes 1,3 --plan megatron:wire-tree=f16
hold "the tolerance beside the result" eval 'says " ok$" && says " ok \(tolerance [1-9]\.[0-9]e-0[1-3]\)"'

# Products in BF16: BF16 weights alone, a tolerance of its own, the bits of one PE where only outputs are
# split
fine synth "$llama/config.json" --layers 2 --dtype bf16 --out "$T/bf16"
fine check "$T/bf16" --compute bf16 --pes 1,3 --plan single,megatron,workflow2,lockstep --format json
hold "its tolerance" eval 'same "$(at settings.compute)" bf16 && at cases.0.tolerance | awk "{ exit !(\$1 > 4e-2 && \$1 < 5e-2) }"'
hold "an error that float32 does not make" eval 'at cases.2.rel_max | awk "{ exit !(\$1 > 1e-4) }"'
bits() { # PLAN PES
    rm -f "$T/bits"
    fine run "$T/bf16" --compute bf16 --prompt-ids 1,2,3,4,5 --prompt-ids 6 --gen 4 --plan "$1" --pes "$2" --dump "$T/bits"
}
bits single 1
mv "$T/bits" "$T/alone"
bits qkv=out:o=out:ffn=out+out 3
hold "the bits of one PE" cmp -s "$T/bits" "$T/alone"
bits lockstep 2
hold "the bits of one PE when weights are streamed" cmp -s "$T/bits" "$T/alone"
fine synth "$llama/config.json" --layers 1 --dtype f32 --out "$T/f32"
refused 2 'has weights in F32 .expected BF16' check "$T/f32" --compute bf16 --quiet
refused 2 'has weights in F32 .expected BF16' run "$T/f32" --compute bf16 --prompt-ids 1
refused 2 "compute: cannot compute in 'f16' .expected f32 or bf16" run "$llama" --compute f16 --prompt-ids 1

bert=configs/demo/bert
fine check "$bert"
hold "20 cases ok" says '^20 passed, 0 failed, 0 skipped$'
fine check "$bert" --pes 1,3 --plan megatron,workflow2 --format json
hold "its JSON" eval 'same "$(at passed)" true && same "$(at cases.3.argmax_match)" true && same "$(at cases.3.argmax_compared)" 3'
fine check tests/golden/bert-tiny --plan all --pes 5 --quiet --format csv
hold "what is not skipped to pass" eval '[ "$(column passed | grep -c true)" -ge 34 ] && ! column passed | grep -q false'
omni check "$bert" --quiet --pes 2 --plan megatron --decode-plan workflow1
hold "status 2 and why" eval '[ $status -eq 2 ] && one_line && complains "an encoder has no decode phase"'

# Nothing to run, partly or at all
fine check "$llama" --plan groups=3,stages=3 --pes 1,2,3 --format csv
hold "on too few PEs skipped" same "$(cases)" '4 ,2 true,'
for arguments in "--plan groups=4,stages=4" "--plan attn=subheads" "--plan single/megatron" "--plan stages=5" \
    "--plan megatron --decode-plan groups=4,replica,groups=9@5"; do
    # shellcheck disable=SC2086
    omni check "$llama" --quiet --pes 2,3 $arguments
    hold "status 2, rows that say why, and one line" eval \
        '[ $status -eq 2 ] && one_line && complains "no case could be built" && says "skipped: .*expected|skipped: .*not built yet" && ! says "  ok$"'
done

# The truth: a golden file, spoilt, absent, or of another model
spoilt=$T/spoilt
mkdir "$spoilt" "$T/bare"
ln -s "$PWD/$llama/config.json" "$PWD/$llama/model.safetensors" "$spoilt"
ln -s "$PWD/$llama/config.json" "$PWD/$llama/model.safetensors" "$T/bare"
cp "$llama/golden.safetensors" "$spoilt"
start=$((8 + $(header_bytes "$spoilt/golden.safetensors")))
spoil() { # TENSOR: its 5th value becomes a large one
    cp "$llama/golden.safetensors" "$spoilt/golden.safetensors"
    from=$(header "$spoilt/golden.safetensors" | flat - | awk -v name="$1.data_offsets.0" '$1 == name { print $2 }')
    printf '\125\125\125\125\125\125\125\100' | dd of="$spoilt/golden.safetensors" bs=1 seek=$((start + from + 32)) conv=notrunc 2>/dev/null
}
expect_failure() { # PATTERN
    bad=$1
    omni check "$spoilt" --pes 2 --plan megatron,alternate
    hold "status 1 and FAIL: $1" eval '[ $status -eq 1 ] && quiet && says "FAIL: $bad" && says "^0 passed, 2 failed, 0 skipped$"'
}
spoil p1.layer_hidden
expect_failure 'prompt 1, layer 0 input'
spoil p0.last_hidden_state
expect_failure 'prompt 0, .*norm'
spoil p2.decode_last_logits
expect_failure 'prompt 2, decode step 63 logits'
spoil p1.layer_hidden
omni check "$spoilt" --pes 2 --plan megatron --format csv
hold "status 1, false, and the layer named" eval '[ $status -eq 1 ] && same "$(cases)" "1 false," && column first_bad | grep -q "prompt 1, layer 0"'
omni check "$spoilt" --pes 2 --plan megatron --format json
hold "status 1 and false" eval '[ $status -eq 1 ] && same "$(at passed)" false'
fine check "$spoilt" --pes 2 --plan megatron --golden "$llama/golden.safetensors"
omni check "$llama" --pes 2 --plan megatron --golden "$spoilt/golden.safetensors"
hold "status 1" same "$status" 1
omni check "$llama" --pes 2 --fabric null
hold "status 1: nothing was moved" eval '[ $status -eq 1 ] && says "FAIL: "'
dd if=/dev/zero of="$spoilt/golden.safetensors" bs=1 count=4 seek=20 conv=notrunc 2>/dev/null
refused 2 'golden.safetensors: ' check "$spoilt" --quiet --pes 2
head -c 400000 "$llama/golden.safetensors" >"$spoilt/golden.safetensors"
refused 2 'golden.safetensors: ' check "$spoilt" --quiet --pes 2
refused 2 'absent: ' check "$llama" --quiet --golden "$T/absent"

spoilt_bert=$T/spoilt_bert
mkdir "$spoilt_bert" "$T/bare_bert"
ln -s "$PWD/$bert/config.json" "$PWD/$bert/model.safetensors" "$spoilt_bert"
ln -s "$PWD/$bert/config.json" "$PWD/$bert/model.safetensors" "$T/bare_bert"
for spoilt_name in pooler_output:pooler mlm_logits_mask:'' last_hidden_state:'last|norm' layer_hidden:'layer 0 input'; do
    cp "$bert/golden.safetensors" "$spoilt_bert/golden.safetensors"
    start=$((8 + $(header_bytes "$spoilt_bert/golden.safetensors")))
    from=$(header "$spoilt_bert/golden.safetensors" | flat - | awk -v name="${spoilt_name%%:*}.data_offsets.0" '$1 == name { print $2 }')
    printf '\125\125\125\125\125\125\045\300' | dd of="$spoilt_bert/golden.safetensors" bs=1 seek=$((start + from + 32)) conv=notrunc 2>/dev/null
    omni check "$spoilt_bert" --pes 2 --plan megatron,alternate
    hold "status 1 and the ${spoilt_name%%:*}" eval '[ $status -eq 1 ] && quiet && says "FAIL: prompt 0.*(${spoilt_name#*:})" && says "^0 passed, 2 failed, 0 skipped$"'
done
omni check "$bert" --pes 2 --fabric null
hold "status 1: nothing was moved" eval '[ $status -eq 1 ] && says "FAIL: "'
refused 2 'golden.safetensors: ' check "$bert" --quiet --golden "$llama/golden.safetensors"
refused 2 'golden.safetensors: ' check "$llama" --quiet --golden "$bert/golden.safetensors"
fine check "$T/bare_bert" --pes 1,3 --plan megatron,workflow2 --format csv
hold "a note on the seed, four cases passed" eval 'complains "note: no golden file: .*seed 1\)" && same "$(cases)" "4 true,"'
fine check "$llama" --golden "$llama/golden.json" --pes 2 --plan megatron
refused 2 '' check "$llama" --quiet --golden "$llama/model.safetensors"

fine check "$T/bare" --pes 1,3 --plan megatron,workflow2 --format csv
hold "a note on the seed" complains 'note: no golden file: .*seed 1\)'
hold "four cases passed" same "$(cases)" '4 true,'
column max_abs >"$T/seed1"
fine check "$T/bare" --pes 1,3 --plan megatron,workflow2 --format csv --seed 7
hold "a note on the seed" complains 'note: no golden file: .*seed 7\)'
hold "other prompts than with seed 1" eval '! column max_abs | cmp -s - "$T/seed1"'
fine check "$T/bare" --pes 1,3 --plan megatron,workflow2 --format csv --seed 1 --quiet
hold "the prompts of seed 1" eval 'column max_abs | cmp -s - "$T/seed1"'
