# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Files that are written: whole or not at all, and nothing else is left behind.

mkdir "$T/w"
left() { find "$T/w" -mindepth 1 | wc -l | tr -d ' '; }

# --output
fine run "$llama" --prompt-ids 1,2 --gen 2 --format json --output "$T/w/result"
hold "nothing on stdout" silent
hold "the result in the file" eval 'flat "$T/w/result" | grep -q "^schema omnibus.run/1$"'
fine topo --format csv --output "$T/w/result"
hold "the file replaced" eval 'awk -f "$here/csv.awk" "$T/w/result" && same "$(left)" 1'
ln -s result "$T/w/link"
fine plan "$llama" --format csv --output "$T/w/link"
hold "the link's file replaced" eval '[ -L "$T/w/link" ] && grep -q "^megatron," "$T/w/result"'
rm "$T/w/link"
cp "$T/w/result" "$T/before"
refused 2 'absent/result: cannot write' run "$llama" --prompt-ids 1 --output "$T/w/absent/result"
refused 2 'cannot write .*directory' run "$llama" --prompt-ids 1 --output "$T/w"
refused 2 'cannot write' run "$llama" --prompt-ids 1 --output "$T/w/result/"
refused 2 'cannot write' check "$llama" --quiet --output "$T/w/absent/result"
refused 2 '' run "$llama" --prompt-ids 600 --output "$T/w/result"
hold "the file untouched" eval 'cmp -s "$T/before" "$T/w/result" && same "$(left)" 1'
fine run "$llama" --prompt-ids 1 --gen 1 --format csv --output /dev/stdout
hold "the result on stdout" awk -f "$here/csv.awk" "$T/out"
fine run "$llama" --prompt-ids 1 --gen 1 --output /dev/null
hold "nothing on stdout" silent
rm "$T/w/result"
if [ "$(id -u)" -eq 0 ]; then
    skip "a directory without write permission: root may write everywhere"
else
    chmod a-w "$T/w"
    refused 2 'cannot write .*denied' run "$llama" --prompt-ids 1 --output "$T/w/result"
    refused 2 'cannot write .*denied' run "$llama" --prompt-ids 1 --dump "$T/w/result"
    chmod u+w "$T/w"
fi

# A full disk, a closed pipe, no stdout at all
if [ -c /dev/full ]; then
    refused 3 'full: cannot write .*No space' run "$llama" --prompt-ids 1 --output /dev/full
    refused 3 'full: cannot write .*No space' check "$llama" --quiet --pes 1 --plan single --output /dev/full
    for arguments in "run $llama --prompt-ids 1" "plan $llama" "topo" "run --help" "--version"; do
        command="omnibus $arguments >/dev/full"
        : >"$T/out"
        # shellcheck disable=SC2086
        "$program" $arguments >/dev/full 2>"$T/err"
        status=$?
        hold "status 3 and one line" refused_with 3 'stdout: cannot write'
    done
else
    skip "a full disk: no /dev/full here"
fi
for arguments in "run $llama --prompt-ids 1 --gen 3 --format json" "plan --help" "check $llama --quiet --pes 1 --plan single" "help" \
    "help run --man" "help --completion" "run --print-config" \
    "bench $llama --pes 1 --prompt 4 --gen 0 --reps 1 --no-limits --format jsonl"; do
    command="omnibus $arguments | (closed)"
    : >"$T/out"
    # shellcheck disable=SC2086
    { sleep 0.2; "$program" $arguments 2>"$T/err"; echo $? >"$T/status"; } | head -c 0
    status=$(cat "$T/status")
    hold "status 3 without a word" eval '[ $status -eq 3 ] && [ ! -s "$T/err" ]'
done
command="omnibus topo >&-"
"$program" topo >&- 2>"$T/err"
status=$?
hold "status 3 and one line" refused_with 3 'stdout: cannot write'

command="omnibus run --output FILE 2>&-"
"$program" run "$llama" --prompt-ids 1,2 --gen 2 --dump "$T/w/absent/x" --output "$T/w/closed" 2>&- >"$T/out"
status=$?
hold "status 2 and no file" eval '[ $status -eq 2 ] && silent && same "$(left)" 0'
"$program" run "$llama" --prompt-ids 1,2 --gen 2 --output "$T/w/closed" 2>&- >"$T/out"
status=$?
hold "the result, without stderr" eval '[ $status -eq 0 ] && grep -q "^plan  " "$T/w/closed"'
rm -f "$T/w/closed"

# --dump: a safetensors file whose header and size agree.
header_bytes() { od -An -tu8 -N8 "$1" | tr -d ' '; }
header() { tail -c +9 "$1" | head -c "$(header_bytes "$1")"; }
integers() { # FILE NAME: an I32 tensor, "1,2,3"
    set -- "$1" "$(header "$1" | flat - | awk -v name="$2.data_offsets" '$1 == name ".0" { from = $2 } $1 == name ".1" { print from, $2 - from }')"
    od -An -v -td4 -j $((8 + $(header_bytes "$1") + ${2% *})) -N "${2#* }" "$1" | tr -s ' \n' , | sed 's/^,//; s/,$//'
}
for pes in 1 3; do
    fine run "$llama" --prompt-ids 49,46,44,36,46,25 --prompt-ids 7,8 --gen 4 --pes $pes --plan workflow2 --format csv \
        --dump "$T/w/dump"
    header "$T/w/dump" | flat - >"$T/flat"
    hold "the names and shapes" eval 'grep -q "^p0.layer_hidden.shape.0 5$" "$T/flat" &&
        grep -q "^p1.layer_hidden.shape.2 2$" "$T/flat" && grep -q "^p1.logits_last.dtype F32$" "$T/flat" &&
        grep -q "^p0.last_hidden_state.shape.2 128$" "$T/flat" && grep -q "^p1.decode_logits.shape.1 4$" "$T/flat"'
    hold "header and data to be the file" same "$(wc -c <"$T/w/dump" | tr -d ' ')" \
        $((8 + $(header_bytes "$T/w/dump") + $(awk '/data_offsets[.]1 / && $2 > end { end = $2 } END { print end }' "$T/flat")))
    hold "the prompt in it" same "$(integers "$T/w/dump" p0.input_ids)" 49,46,44,36,46,25
    hold "the tokens in it" same "$(integers "$T/w/dump" p1.decode_ids)" "$(column tokens.1 | tr ' ' ,)"
    rm "$T/w/dump"
done
refused 2 'absent/dump: cannot write' run "$llama" --prompt-ids 1 --dump "$T/w/absent/dump"
refused 2 'not a regular file' run "$llama" --prompt-ids 1 --dump /dev/null
refused 2 'not a regular file' run "$llama" --prompt-ids 1 --dump "$T/w"
refused 2 'expected two files' run "$llama" --prompt-ids 1 --dump "$T/w/x" --output "$T/w/x"
refused 2 '' run "$llama" --prompt-ids 1 --plan groups=2 --dump "$T/w/dump"
refused 2 '' run "$llama" --prompt-ids 1 --cpus 65535 --dump "$T/w/dump" --output "$T/w/result"
hold "no file" same "$(left)" 0
