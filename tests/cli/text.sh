# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Text in, text out: prompts as text, text as it is generated, sampling, masked words, and what cannot be
# read.

bert=configs/demo/bert
richard=', by my liege,\nAnd I'"'"'ll keep Henry, and I will not go.' # demo-llama's golden text, as JSON writes it
spoken() { at texts.0; }

# The golden texts, whatever the plan; ids and text are the same prompt.
for plan in single alternate; do
    for pes in 1 3; do
        fine run "$gpt2" --prompt ROMEO: --gen 34 --plan "$plan" --pes "$pes" --format json
        hold "the golden text" eval 'case $(spoken) in "\\nIt is a mother, and true, I"*) ;; *) false ;; esac'
        hold "the prompt's ids" eval 'same "$(at prompts.0.0)" 49 && same "$(at prompts.0.5)" 25 && same "$(at prompt_texts.0)" ROMEO:'
    done
done
printf '["KING RICHARD III:\\nNow", "ROMEO:"]' >"$T/two.json"
fine run "$llama" --prompt-file "$T/two.json" --gen 26 --pes 4 --format json
hold "the golden text" same "$(spoken)" "$richard"
cp "$T/out" "$T/both"
fine run "$llama" --prompt-ids 49,46,44,36,46,25 --prompt-file "$T/two.json" --gen 3 --format json
hold "ids first, then the file" eval 'same "$(at prompts.0.0)" 49 && same "$(at prompt_texts.0)" null && same "$(at prompt_texts.2)" ROMEO: && at texts.2 | grep -q .'
fine run "$llama" --prompt-ids 49,46,44,36,46,25 --gen 3 --format json
hold "ids alone: no texts" eval '! flat | grep -q "^texts\|^prompt_texts"'

# A file of lines: what is empty is skipped, blanks are kept.
printf 'ROMEO:\r\n\n  two\nlast' >"$T/lines"
fine run "$llama" --prompt one --prompt-file "$T/lines" --gen 2 --format json
hold "four prompts" eval 'same "$(at prompt_texts.0)" one && same "$(at prompt_texts.1)" ROMEO: && same "$(at prompt_texts.2)" "  two" && same "$(at prompt_texts.3)" last && ! at prompt_texts.4 | grep -q .'
printf '\357\273\277one\n' >"$T/lines"
fine run "$llama" --prompt-file "$T/lines" --gen 2 --format json
hold "no mark of the byte order" same "$(at prompt_texts.0)" one
printf '[MASK] me\n' >"$T/lines"
fine run "$bert" --prompt-file "$T/lines" --format json
hold "a line that begins like a list" same "$(at prompts.0.1)" 4

# On a page the text stands where it is generated: behind its prompt, once; also in a file.
fine run "$llama" --prompt-file "$T/two.json" --gen 31 --pes 2
hold "both texts in their order" eval 'says "^sequence 0, prompt of 12 tokens:$" && says "^Now, by my liege,$" && says "^sequence 1, prompt of 6 tokens:$" && says "^model  " && says "^wall clock"'
hold "each once" eval 'same "$(grep -c "by my liege" "$T/out")" 1 && same "$(grep -c "^model  " "$T/out")" 1'
sed '/^wall clock/,$d; /^array /d' "$T/out" >"$T/live"
fine run "$llama" --prompt-file "$T/two.json" --gen 31 --pes 2 --output "$T/page"
hold "nothing on stdout, the same page in the file" eval 'silent && sed "/^wall clock/,\$d; /^array /d" "$T/page" | cmp -s - "$T/live"'
fine run "$llama" --prompt "KING \"R\", a" --gen 1 --format csv
hold "as many cells as columns" awk -f "$here/csv.awk" "$T/out"
rm "$T/page"
(timeout 60 "$program" run "$llama" --prompt ROMEO: --gen 200 2>"$T/err"; echo $? >"$T/status") | head -n 1 >/dev/null
hold "status 3 into a pipe that closes, or 0 if it was too slow" eval 'grep -q "^[03]$" "$T/status"'

# Sampling: the seed decides, not the plan; greedy without it.
draw() { fine run "$llama" --prompt ROMEO: --prompt ROMEO: --gen 40 --format json "$@"; }
draw --temperature 0.8 --seed 5 --plan single
first=$(at texts.0)
hold "another text for each sequence" eval '[ "$first" != "$(at texts.1)" ] && [ -n "$first" ]'
draw --temperature 0.8 --seed 5 --plan replica --pes 2 # the bits of single
hold "the same text" same "$(at texts.0)" "$first"
draw --temperature 0.8 --seed 6
hold "another text" eval '[ "$(at texts.0)" != "$first" ]'
draw --temperature 0
greedy=$(at texts.0)
draw --seed 9
hold "greedy without a temperature" same "$(at texts.0)" "$greedy"
draw --temperature 5 --top-k 1
hold "greedy of one candidate" same "$(at texts.1)" "$greedy"
draw --top-p 0.000001
hold "greedy of the least top-p" same "$(at texts.0)" "$greedy"
draw --temperature 0.8 --top-k 40 --top-p 0.9 --seed 5
hold "a text" eval 'at texts.0 | grep -q .'
fine run "$llama" --prompt-ids 49,46 --gen 8 --temperature 1 --dump "$T/drawn"
rm "$T/drawn"
for wrong in '--temperature -1' '--temperature x' '--temperature nan' '--temperature 1e9' '--top-p 0' '--top-p 1.5' '--top-p inf' \
    '--top-k 0' '--top-k -3' '--top-k 1.5' '--seed -1' '--seed x'; do
    # shellcheck disable=SC2086
    refused 2 "^omnibus: ${wrong%% *}: '" run "$llama" --prompt a $wrong
done
for option in '--temperature 1' '--top-k 3' '--top-p 0.5'; do
    # shellcheck disable=SC2086
    refused 2 "${option%% *}: bert models are encoders" run "$bert" --prompt a $option
done

# Masked words, pairs, and vectors
fine run "$bert" --prompt 'Long live the [MASK]!' --prompt 'Long live the king!' --pes 3
hold "words of the masked one, the vector of the other" eval 'says "^sequence 0, 7 tokens: Long live the \[MASK\]!$" &&
    says "^sequence 0, position 4, masked: king 10[.][0-9]%, head 2[.][0-9]%, " && ! says "^sequence 0, 7 tokens, hidden" && says "^sequence 1, 7 tokens, hidden states \[7, 128\], pooled \[128\]: "'
fine run "$bert" --prompt 'Long live the [MASK]!' --format json
hold "five words" eval 'same "$(at predictions.0.0.top.0.token)" king && same "$(at predictions.0.0.top.0.id)" 218 && same "$(at predictions.0.0.id)" 218 && at predictions.0.0.top.4.token | grep -q . && ! at predictions.0.0.top.5.id | grep -q . && at pooled.0.127 | grep -q .'
printf '[["Who comes here?", "It is the [MASK] of York."], "Hello"]' >"$T/pairs.json"
fine run "$bert" --prompt-file "$T/pairs.json" --format json
hold "duke of York, with the second sentence's types" eval 'same "$(at predictions.0.0.top.0.token)" duke && same "$(at predictions.0.0.position)" 9'
word=$(at pooled.0.0)
fine run "$bert" --prompt-file "$T/pairs.json" --token-types 0,0,0,0,0,0,0,0,0,0,0,0,0,0 --format json
hold "another vector without them" eval '[ "$(at pooled.0.0)" != "$word" ]'
refused 2 'pairs.json: prompt 0: not a text' run "$llama" --prompt-file "$T/pairs.json"

# What cannot be read
refused 2 'prompt: no value' run "$llama" --prompt ''
refused 2 'prompt: the text is not UTF-8 at byte 1' run "$llama" --prompt "$(printf 'a\377b')"
refused 2 'prompt 2: the text is not UTF-8 at byte 1' run "$llama" --prompt a --prompt "$(printf 'a\377b')"
refused 2 'cannot open|No such file' run "$llama" --prompt-file "$T/none"
refused 2 'not a file of prompts' run "$llama" --prompt-file "$T"
: >"$T/empty"
refused 2 'empty: no prompts' run "$llama" --prompt-file "$T/empty"
printf '[]' >"$T/empty.json"
refused 2 'empty.json: no prompts' run "$llama" --prompt-file "$T/empty.json"
printf '["a", ' >"$T/torn.json"
refused 2 'torn.json: not a JSON list: ' run "$llama" --prompt-file "$T/torn.json"
printf '{"a": 1}' >"$T/torn.json"
refused 2 'torn.json: not a JSON list' run "$llama" --prompt-file "$T/torn.json"
printf '["a", 3]' >"$T/torn.json"
refused 2 'torn.json: prompt 1: not a text' run "$llama" --prompt-file "$T/torn.json"
printf '["", "a"]' >"$T/torn.json"
refused 2 'torn.json: prompt 0: no tokens' run "$llama" --prompt-file "$T/torn.json"
printf 'ok\na\0b\n' >"$T/lines"
refused 2 'lines:2: not a text file' run "$llama" --prompt-file "$T/lines"
printf 'ok\na\377b\n' >"$T/lines"
refused 2 'lines:2: the text is not UTF-8 at byte 1' run "$llama" --prompt-file "$T/lines"
awk 'BEGIN { while (n++ < 300) printf "the king "; print "" }' >"$T/lines"
refused 2 'lines:1: [0-9]+ ids and 16 tokens to generate .expected to fit the model.s 256 positions' run "$llama" --prompt-file "$T/lines"
refused 2 'lines:1: [0-9]+ ids .expected at most the model.s 256 positions' run "$bert" --prompt-file "$T/lines"
head -c 10000000 /dev/zero | tr '\0' e >"$T/lines"
refused 2 'lines:1: [0-9]+ ids and' run "$llama" --prompt-file "$T/lines"
rm "$T/lines"

# The tokenizer: torn, of another kind, with ids that the model has not, or none; the older files
mkdir "$T/talk"
ln -s "$PWD/$llama/config.json" "$PWD/$llama/model.safetensors" "$T/talk"
refused 2 'no tokenizer .expected tokenizer.json, vocab.json with merges.txt, or vocab.txt' run "$T/talk" --prompt a
fine run "$T/talk" --prompt-ids 1,2 --gen 2
head -c 5000 "$llama/tokenizer.json" >"$T/talk/tokenizer.json"
refused 2 'talk/tokenizer.json:[0-9]+: not JSON' run "$T/talk" --prompt a
printf '{"model": {"type": "Unigram", "vocab": []}}' >"$T/talk/tokenizer.json"
refused 2 "talk/tokenizer.json: .*'Unigram' is not supported" run "$T/talk" --prompt a
sed 's/"type": *"ByteLevel"/"type": "Odd"/' "$llama/tokenizer.json" >"$T/talk/tokenizer.json"
refused 2 "talk/tokenizer.json: pre_tokenizer 'Odd' is not supported" run "$T/talk" --prompt a
printf '{"model": {"type": "BPE", "vocab": {"a": 0, "b": 512}, "merges": []}}' >"$T/talk/tokenizer.json"
refused 2 'prompt: token id 512 .expected 0 to 511' run "$T/talk" --prompt ab
refused 2 "prompt: the vocabulary has no token for 'c'" run "$T/talk" --prompt abc
fine run "$T/talk" --prompt a --gen 3
hold "a note that there is no text" complains '^omnibus: note: 3 of the generated tokens have no text: their ids are not in .*tokenizer.json$'
printf '{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}' >"$T/talk/tokenizer.json"
refused 2 "tokenizer.json: merge 0 needs 'b', which is not in the vocabulary" run "$T/talk" --prompt a
rm "$T/talk/tokenizer.json"
ln -s "$PWD/$gpt2/vocab.json" "$T/talk/vocab.json"
refused 2 'no tokenizer' run "$T/talk" --prompt a
awk 'BEGIN { print "#version: 0.2" }' >"$T/talk/merges.txt"
fine run "$T/talk" --prompt 'ROMEO: he' --gen 2 --format json
hold "letters without a merge" same "$(at prompts.0.8)" 68
rm -r "$T/talk"
