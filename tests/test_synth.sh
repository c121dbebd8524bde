#!/bin/sh
# `omnibus synth` as a person types it: what it writes, what it refuses and with which words, Ctrl-C, a full
# disk.
#
#     sh tests/test_synth.sh PROGRAM
set -u
cd "$(dirname "$0")/.." || exit 2
case $1 in /*) program=$1 ;; *) program=$PWD/$1 ;; esac
models=$PWD/configs/models
work=$(mktemp -d /tmp/omni-synth-sh-XXXXXX) || exit 2
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
failed=0 ran=0

bad() { echo "test_synth.sh: $*" >&2; failed=1; }

# expect STATUS WORDS COMMAND...: the status, and the words in what it prints.
expect() {
    want=$1 words=$2; shift 2; ran=$((ran + 1))
    "$@" >out 2>&1 </dev/null; got=$?
    [ "$got" = "$want" ] || bad "status $got (expected $want): $*: $(head -c 300 out)"
    grep -qF -e "$words" out || bad "no '$words': $*: $(head -c 300 out)"
    [ "$want" = 0 ] || [ "$(wc -l <out)" = 1 ] || bad "more than one line: $*"
}
absent() { ran=$((ran + 1)); [ ! -e "$1" ] || bad "$1 is left: $(ls "$1")"; }

# A small model with fields that nobody here knows.
cat >tiny.json <<EOF
{"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
 "num_key_value_heads": 2, "vocab_size": 97, "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "house": {"of": [1, 2.5]}}
EOF

# --- what it writes --------------------------------------------------------------------------------
expect 0 '3 layers, 30 tensors in 1 file' "$program" synth tiny.json --out a
expect 0 '4 passed, 0 failed' "$program" check a --pes 2,3 --plan megatron,alternate
grep -q '"rms_norm_eps": 1e-5,' a/config.json || bad "a number was rewritten"
grep -q '"torch_dtype": "float32"' a/config.json || bad "no torch_dtype"
grep -q '"of"' a/config.json || bad "a field was lost"
expect 0 '1 layers, 12 tensors' "$program" synth tiny.json --out b --layers 1 --dtype bf16 --seed 3
expect 0 '2 passed, 0 failed' "$program" check b --pes 2,5 --plan workflow2
expect 0 '"num_hidden_layers": 1' cat b/config.json
expect 0 '"torch_dtype": "bfloat16"' cat b/config.json
expect 0 '2 layers' "$program" synth a --out c --layers 2 --cpus 0
expect 0 '' "$program" synth tiny.json --out again --seed 1
cmp -s a/model.safetensors again/model.safetensors || bad "the same seed made other bytes"
mkdir empty
expect 0 'in 17 files' "$program" synth tiny.json --out empty --shard-size 32KB
expect 0 '"lm_head.weight": "model-00017-of-00017.safetensors"' cat empty/model.safetensors.index.json
expect 0 '"schema": "omnibus.synth/1"' "$program" synth tiny.json --out d --format json
expect 0 'dir,dtype,tensors,shards,bytes' "$program" synth tiny.json --out e --format csv
expect 0 'usage' sh -c "'$program' synth --help | tr U u"

# --- an encoder --------------------------------------------------------------------------------------
cat >bert.json <<EOF
{"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
 "intermediate_size": 40, "vocab_size": 89, "max_position_embeddings": 32}
EOF
expect 0 '2 layers, 44 tensors in 1 file' "$program" synth bert.json --out f --layers 2
expect 0 'sequence 0, position 1, masked: ' "$program" run f --pes 3 --prompt-ids 5,4,7 --token-types 0,1,1 --mask-id 4
expect 0 '4 passed, 0 failed' "$program" check f --pes 2,5 --plan workflow1,alternate
expect 0 '1 layers, 23 tensors' "$program" synth "$models/bert-base-uncased.json" --layers 1 --dtype bf16 --out base
expect 0 'sequence 0, 3 tokens, hidden states [3, 768], pooled [768]:' "$program" run base --pes 2 --prompt-ids 101,7592,102
rm -r base

# --- what it refuses -------------------------------------------------------------------------------
expect 2 'no --out (expected the directory to write)' "$program" synth tiny.json
expect 2 'no CONFIG.json' "$program" synth --out x
expect 2 'absent.json: No such file' "$program" synth absent.json --out x
expect 2 "--layers" "$program" synth tiny.json --out x --layers 0
expect 2 'from 1 to 3' "$program" synth tiny.json --out x --layers 4
expect 2 "--dtype: 'f64' (expected f32, f16 or bf16)" "$program" synth tiny.json --out x --dtype f64
expect 2 "--shard-size: '0'" "$program" synth tiny.json --out x --shard-size 0
expect 2 "--shard-size: '5 parsecs'" "$program" synth tiny.json --out x --shard-size '5 parsecs'
expect 2 '--seed' "$program" synth tiny.json --out x --seed -1
expect 2 'a: not empty (expected a new or an empty directory)' "$program" synth tiny.json --out a
expect 2 'tiny.json: exists (expected a new or an empty directory)' "$program" synth tiny.json --out tiny.json
expect 2 '--pes: not an option of synth' "$program" synth tiny.json --out x --pes 2
expect 3 'no/x: cannot write: No such file or directory' "$program" synth tiny.json --out no/x
expect 3 '/proc/x: cannot write' "$program" synth tiny.json --out /proc/x
absent x
if [ "$(id -u)" != 0 ]; then
    mkdir locked && chmod 500 locked
    expect 3 'locked/x: cannot write: Permission denied' "$program" synth tiny.json --out locked/x
fi

# --- a full disk, Ctrl-C ---------------------------------------------------------------------------
expect 3 'x/model.safetensors: cannot write: File too large' \
    sh -c "ulimit -f 64; exec '$program' synth '$models/gpt2.json' --layers 1 --out x"
absent x
if df --output=avail -B1M . | awk 'NR == 2 { exit !($1 > 40000) }'; then
    "$program" synth "$models/llama-2-13b.json" --dtype bf16 --shard-size 1GB --out x >words 2>&1 &
    pid=$!
    for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e x ] && break; sleep 0.1; done
    sleep 0.3
    kill -TERM $pid # a shell starts its background with SIGINT ignored
    wait $pid
    expect 130 'omnibus: interrupted' sh -c "cat words; exit $?"
    absent x
else
    echo "SKIP: less than 40 GB free for a run that is interrupted"
fi

[ "$failed" = 0 ] || exit 1
echo "synth: $ran checks of the command line hold"
