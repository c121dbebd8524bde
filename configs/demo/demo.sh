#!/bin/sh
# The main job on the two demo models: proof, traffic, tokens. `make demo` runs it from the top of the checkout.
set -eu
omnibus=${1:-build/omnibus}
here=configs/demo

say() { printf '\n%s\n\n' "$1"; }

for model in llama gpt2; do
    say "== $here/$model: sharded over 1, 4 and 7 PEs, held against float64 truth"
    "$omnibus" check "$here/$model" --pes 1,4,7 --quiet
done

say "== what each plan moves on 4 PEs, for a prompt of 100 tokens and each token after it"
"$omnibus" plan "$here/llama" --plan megatron,workflow1,workflow2,alternate --pes 4 --prompt 100 --gen 16

say "== where the bytes go: one plan, op by op"
"$omnibus" plan "$here/llama" --explain alternate --pes 4 --prompt 100 --gen 16

say "== two prompts of unequal length, generated on 4 PEs (token ids: 'ROMEO:' and 'KING RICHARD III:', a line each)"
"$omnibus" run "$here/llama" --pes 4 --plan alternate --prompt-ids 49,46,44,36,46,25 --prompt-ids 455,417,475,39,496,291,40,40,25,198 --gen 24
