# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Encoders: `run` and `plan` on BERT, token types, masked tokens, and what makes no sense there.

bert=configs/demo/bert
headless=tests/golden/bert-tiny # no MLM head
flat "$bert/golden.json" >"$T/bert.flat"
row() { # ROW KEY: "1,2,3" of golden.json
    awk -v want="rows.$1.$2." 'index($1, want) == 1 { printf "%s%s", n++ ? "," : "", $2 }' "$T/bert.flat"
}
word() { sed -n "$(($1 + 1))p" "$bert/vocab.txt"; } # ID
live=$(row 1 input_ids)                             # Long live the [MASK]!
command='golden.json' status=-
: >"$T/out"
: >"$T/err"
hold "the sentence and its types" eval 'same "$live" 2,647,671,112,4,5,3 && same "$(row 2 token_type_ids)" 0,0,0,0,0,0,1,1,1,1,1,1,1,1'

# The words that golden.json has for the masked ones, under every plan.
set -- --prompt-ids "$(row 0 input_ids)" --token-types "$(row 0 token_type_ids)" --prompt-ids "$live" \
    --token-types "$(row 1 token_type_ids)" --prompt-ids "$(row 2 input_ids)" --token-types "$(row 2 token_type_ids)"
for plan in single megatron workflow1 workflow2 alternate lockstep replica pipeline lockstep:over=token \
    qkv=in:ffn=in+in:edge=scatter attn=tokens/o=out:gather=bus; do
    for pes in 1 3 7; do
        fine run "$bert" "$@" --plan "$plan" --pes "$pes" --format json
        flat >"$T/flat"
        for sequence in 0 1 2; do
            hold "sequence $sequence's word" eval 'same "\"$(word "$(at predictions.$sequence.0.id)")\"" "\"$(awk -v k="rows.$sequence.top1" "\$1 == k { print \$2 }" "$T/bert.flat")\"" &&
                same "$(at predictions.$sequence.0.position)" "$(awk -v k="rows.$sequence.mask_position" "\$1 == k { print \$2 }" "$T/bert.flat")"'
        done
    done
done
hold "its fields" eval 'same "$(at schema)" omnibus.run/1 && same "$(at model.family)" bert && same "$(at model.encoder)" true &&
    same "$(at hidden_shape.2.0)" 14 && same "$(at hidden_shape.2.1)" 128 && same "$(at prompts.1.4)" 4'
hold "128 pooled numbers a sequence, of a tanh" awk '
    $1 ~ /^pooled[.]/ { split($1, p, "."); n[p[2]]++; if ($2 < -1 || $2 > 1) exit 1 }
    END { exit !(n[0] == 128 && n[1] == 128 && n[2] == 128) }' "$T/flat"
hold "one prediction a sequence, no tokens, no steps of decoding" eval '! at predictions.0.1.id | grep -q . && ! grep -q "^tokens[.][0-9]*[.]" "$T/flat" &&
    same "$(at fabric.decode.host_messages)" 0 && same "$(at timing.decode_tokens_per_s)" null && same "$(at fabric.prefill.host_messages)" 3'

fine run "$bert" "$@" --pes 2
hold "the vectors and the predictions" eval 'says "^sequence 0, 16 tokens, hidden states \[16, 128\], pooled \[128\]: (-?[0-9.e-]+ ){127}-?[0-9.e-]+$" &&
    says "^sequence 1, position 4, masked: 218$" && says "^encode +37 " && ! says "decode"'
fine run "$bert" "$@" --format csv
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
hold "the prediction" same "$(column predictions.1.0.id)" 218
printf '%s\n\n%s\n' "$live" 2,647,3 >"$T/ids"
fine run "$bert" --ids-file "$T/ids" --format csv
hold "a second sequence without a masked token" eval 'same "$(column predictions.0.0.id)" 218 && same "$(column hidden_shape.1)" "3 128"'

# A model without the head: a pooled vector, and no predictions even of a token that looks masked.
fine run "$headless" --prompt-ids 1,4,103 --pes 3 --format json
hold "pooled, no predictions" eval 'at pooled.0.63 | grep -q . && ! flat | grep -q "^predictions"'
refused 2 'mask-id: .*bert-tiny has no masked language model head' run "$headless" --prompt-ids 1 --mask-id 4

# Without a pooler the first token's state stands for it.
mkdir "$T/poolerless"
sed 's/"vocab_size": 1024/"vocab_size": 97/; s/"num_hidden_layers": 4/"num_hidden_layers": 1/' "$bert/config.json" >"$T/small.json"
fine synth "$T/small.json" --out "$T/small"
sed 's/bert[.]pooler/bert.loopoo/g' "$T/small/model.safetensors" >"$T/poolerless/model.safetensors"
cp "$T/small/config.json" "$T/poolerless"
fine run "$T/poolerless" --prompt-ids 1,2 --pes 2 --format json
hold "the first token's state" eval 'at first_hidden.0.127 | grep -q . && ! flat | grep -q "^pooled"'
fine run "$T/poolerless" --prompt-ids 1,2
hold "the table to say so" says 'no pooler: state of the first token \[128\]'
sed 's/bert[.]pooler[.]dense[.]bias/bert.pooler.dense.sabi/g' "$T/small/model.safetensors" >"$T/poolerless/model.safetensors"
refused 2 "tensor 'bert.pooler.dense.bias' is missing" run "$T/poolerless" --prompt-ids 1,2
sed 's/cls[.]predictions[.]bias/cls.predictions.sabi/g' "$T/small/model.safetensors" >"$T/poolerless/model.safetensors"
refused 2 "tensor 'cls.predictions.bias' is missing" run "$T/poolerless" --prompt-ids 1,2
refused 2 "tensor 'cls.predictions.bias' is missing" plan "$T/poolerless"

# Token types
fine run "$bert" --prompt-ids "$live" --format json
at pooled.0.0 >"$T/zeros"
fine run "$bert" --prompt-ids "$live" --token-types 0,0,0,0,0,0,0 --format json
hold "0 where none are given" same "$(at pooled.0.0)" "$(cat "$T/zeros")"
fine run "$bert" --prompt-ids "$live" --token-types 0,0,0,0,1,1,1 --format json
hold "another vector" eval '[ "$(at pooled.0.0)" != "$(cat "$T/zeros")" ]'
hold "the types as given" same "$(at settings.token_types.0)" 0,0,0,0,1,1,1
fine run "$bert" --prompt-ids 1,2,3 --ids-file "$T/ids" --token-types 0,1,0 --token-types 0,0,0,0,1,1,1 --format json
hold "the second list for the file's first" eval '[ "$(at pooled.1.0)" != "$(cat "$T/zeros")" ]'
types() { # PATTERN OPTIONS...
    why=$1
    shift
    refused 2 "token-types: $why" run "$bert" --prompt-ids "$live" "$@"
}
types 'more lists than sequences .*at most 1' --token-types 0,0,0,0,0,0,0 --token-types 0
types '6 types for sequence 0 .*one per id: 7' --token-types 0,0,0,0,0,0
types '8 types for sequence 0' --token-types 0,0,0,0,0,0,0,0
types 'token type 2 .*expected 0 to 1' --token-types 0,0,0,0,0,0,2
types "'-1'" --token-types 0,0,0,0,0,0,-1
types "''" --token-types 0,0,0,0,0,0,
types "'x'" --token-types x
refused 2 'token-types: no value' run "$bert" --prompt-ids "$live" --token-types ''

# Which id is masked: --mask-id, else vocab.txt, else tokenizer.json
fine run "$bert" --prompt-ids "$live" --mask-id 112 --format json
hold "position 3" eval 'same "$(at predictions.0.0.position)" 3 && ! at predictions.0.1.position | grep -q .'
fine run "$bert" --prompt-ids 112,112,4,112 --mask-id 112 --pes 3 --format json
hold "three predictions" eval 'same "$(at predictions.0.2.position)" 3 && ! at predictions.0.3.position | grep -q .'
fine run "$bert" --prompt-ids 112,112,4,112 --mask-id 1023 --format json
hold "no prediction" eval '! flat | grep -q "^predictions[.]0[.]0"'
for id in 1024 -1 x 4,5; do
    refused 2 "mask-id: '$id' .*expected a number from 0 to 1023" run "$bert" --prompt-ids "$live" --mask-id "$id"
done
mkdir "$T/mask"
ln -s "$PWD/$bert/config.json" "$PWD/$bert/model.safetensors" "$T/mask"
masked_is() { # POSITION: of the only prediction; empty: none
    fine run "$T/mask" --prompt-ids 0,2,4,3,1 --format json
    hold "the masked token at '$1'" same "$(flat | sed -n 's/^predictions[.].*position //p' | tr '\n' ' ')" "$1"
}
masked_is ''
ln -s "$PWD/$bert/tokenizer.json" "$T/mask"
masked_is '2 '
printf 'a\r\n[MASK]\r\n[MASK2]\r\n' >"$T/mask/vocab.txt"
masked_is '4 '
printf 'a\nb\n[MASK]' >"$T/mask/vocab.txt"
masked_is '1 '
printf 'a\n [MASK]\n[MASK] \n[mask]\n[MASK\n' >"$T/mask/vocab.txt"
masked_is '2 ' # none there: tokenizer.json's
rm "$T/mask/tokenizer.json" "$T/mask/vocab.txt"
mkfifo "$T/mask/vocab.txt"
for text in '' '{' '[]' '{"added_tokens": 3}' '{"added_tokens": [3, {}, {"content": "[MASK]"}, {"content": "[MASK]", "id": "4"}]}' \
    '{"added_tokens": [{"content": "[MASK]", "id": -4}, {"content": "[MASK]", "id": 99999999999}]}'; do
    printf %s "$text" >"$T/mask/tokenizer.json"
    masked_is ''
done

# What only the other kind of model takes
for option in '--gen 2' '--gen 1' --stop-eos '--decode-plan workflow1' '--decode-plan megatron'; do
    # shellcheck disable=SC2086
    refused 2 "${option%% *}: bert models are encoders: there is no decode phase" run "$bert" --prompt-ids "$live" $option
done
for option in '--token-types 0' '--mask-id 1'; do
    for model in "$llama" "$gpt2"; do
        # shellcheck disable=SC2086
        refused 2 "${option%% *}: .* models are no encoders" run "$model" --prompt-ids 1 $option
    done
done
refused 2 'token id 1024 .*expected 0 to 1023' run "$bert" --prompt-ids 1,1024
refused 2 '257 ids .*at most the model.s 256 positions' run "$bert" --prompt-ids "$(awk 'BEGIN { while (n++ < 256) printf "1,"; print 1 }')"
fine run "$bert" --prompt-ids "$(awk 'BEGIN { while (n++ < 255) printf "4,"; print 1 }')" --pes 5 --plan workflow2 --quiet
refused 2 'expected more PEs than heads' run "$bert" --prompt-ids "$live" --plan attn=subheads --pes 2

# --dump: the states, what is pooled, and the logits of masked tokens
for pes in 1 3; do
    fine run "$bert" --prompt-ids "$live" --prompt-ids 2,3 --pes $pes --plan alternate --dump "$T/w/dump" --format csv
    header "$T/w/dump" | flat - | grep -v '[.]data_offsets' >"$T/flat"
    hold "names and shapes" eval 'grep -q "^p0.layer_hidden.shape.0 5$" "$T/flat" && grep -q "^p0.layer_hidden.shape.2 7$" "$T/flat" &&
        grep -q "^p1.last_hidden_state.shape.1 2$" "$T/flat" && grep -q "^p1.pooler_output.shape.1 128$" "$T/flat" &&
        grep -q "^p0.mlm_logits_mask.shape.0 1$" "$T/flat" && grep -q "^p0.mlm_logits_mask.shape.1 1024$" "$T/flat" &&
        ! grep -q "^p1.m" "$T/flat" && ! grep -q "decode" "$T/flat"'
    hold "ids, types and positions" eval 'same "$(integers "$T/w/dump" p0.input_ids)" "$live" &&
        same "$(integers "$T/w/dump" p0.token_type_ids)" 0,0,0,0,0,0,0 && same "$(integers "$T/w/dump" p0.mask_positions)" 4'
    rm "$T/w/dump"
done
fine run "$headless" --prompt-ids 1,2 --dump "$T/w/dump"
hold "no logits" eval 'header "$T/w/dump" | flat - >"$T/flat" && grep -q "^p0.pooler_output" "$T/flat" && ! grep -q "mlm" "$T/flat"'
rm "$T/w/dump"

# `plan`: one phase, and what a run counts
fine plan "$bert"
hold "five plans, one phase" eval 'for p in single megatron workflow1 workflow2 alternate; do says "^$p .* encode " || exit 1; done && ! says "decode"'
cp "$T/out" "$T/directory"
fine plan "$bert/config.json"
hold "the same from config.json" cmp -s "$T/out" "$T/directory"
fine plan "$bert" --gen 1,4 --plan megatron --format csv
hold "--gen 4 skipped, --gen 1 not" eval 'same "$(column skipped | grep -c "encoders: there is no decode phase")" 1 && same "$(column skipped | grep -c "^$")" 1'
omni plan "$bert" --gen 4
hold "status 2 and one line" eval '[ $status -eq 2 ] && one_line && complains "nothing could be built .bert models are encoders"'
fine plan "$bert" --plan all --pes 5 --format csv
hold "the sub-heads skipped, none for another reason" eval 'same "$(column skipped | grep -c "^attention by sub-heads")" 16 &&
    same "$(column skipped | grep -c "^$")" 37'
for plan in single megatron alternate:gather=bus; do
    fine plan "$bert" --explain "$plan" --pes 3
    hold "the ops behind the layers" eval 'says "^end +pooler +" && says "^end +result " && says "host result +PE 0 -> host port" && says "^end +mlm_norm " && says "^end +argmax " &&
        says "^total +encode$" && says "^memory "'
done
fine plan "$headless" --explain megatron
hold "no MLM head" eval 'says "^end +result " && ! says "mlm"'
fine plan configs/models/bert-large-uncased.json --pes 2,64 --prompt 512 --plan megatron,workflow2

# One masked token a sequence: 2 prompts of 7 tokens.
plans="single,megatron,workflow1,workflow2,alternate,qkv=in:attn=tokens:ffn=in+in:edge=scatter"
fine plan "$bert" --plan "$plans" --pes 1,3 --batch 2 --prompt 7 --format json
flat >"$T/plan.flat"
situation=0
for plan in $(echo "$plans" | tr , ' '); do
    for pes in 1 3; do
        fine run "$bert" --plan "$plan" --pes "$pes" --prompt-ids "$live" --prompt-ids 4,1,1,1,1,1,1 --format json
        flat >"$T/run.flat"
        hold "plan and run of $plan on $pes PEs to agree in 24 counters" awk -v s="plans.$situation.totals." '
            FNR == NR && index($1, s) == 1 { planned[substr($1, length(s) + 1)] = $2 }
            FNR != NR && $1 ~ /^fabric[.](prefill|decode)[.]/ {
                compared++
                if (planned[substr($1, 8)] != $2) differ = 1
            }
            END { exit !(compared == 24 && !differ) }' "$T/plan.flat" "$T/run.flat"
        situation=$((situation + 1))
    done
done
