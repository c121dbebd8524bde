#!/bin/sh
# The main job on the three demo models: proof, traffic, tokens. `make demo` runs it from the top of the checkout.
set -eu
omnibus=${1:-build/omnibus}
here=configs/demo

say() { printf '\n%s\n\n' "$1"; }

for model in llama gpt2 bert; do
    say "== $here/$model: sharded over 1, 4 and 7 PEs, held against float64 truth"
    "$omnibus" check "$here/$model" --pes 1,4,7 --quiet
done

say "== what each plan moves on 4 PEs, for a prompt of 100 tokens and each token after it"
"$omnibus" plan "$here/llama" --plan megatron,workflow1,workflow2,alternate --pes 4 --prompt 100 --gen 16

say "== where the bytes go: one plan, op by op"
"$omnibus" plan "$here/llama" --explain alternate --pes 4 --prompt 100 --gen 16

say "== two prompts of unequal length, generated on 4 PEs, tokens drawn at temperature 0.8"
"$omnibus" run "$here/llama" --pes 4 --plan alternate --prompt ROMEO: --prompt 'KING RICHARD III:' --gen 64 --temperature 0.8 --seed 7

say "== two sentences with a masked word, encoded on 4 PEs"
"$omnibus" run "$here/bert" --pes 4 --plan workflow1 --prompt 'Long live the [MASK]!' --prompt 'It is the [MASK] of York.'
