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

say "== two prompts of unequal length, generated on 4 PEs (token ids: 'ROMEO:' and 'KING RICHARD III:', a line each)"
"$omnibus" run "$here/llama" --pes 4 --plan alternate --prompt-ids 49,46,44,36,46,25 --prompt-ids 455,417,475,39,496,291,40,40,25,198 --gen 24

say "== two sentences with a masked word, encoded on 4 PEs ('Long live the [MASK]!', 'Who comes here? It is the [MASK] of York.')"
"$omnibus" run "$here/bert" --pes 4 --plan workflow1 --prompt-ids 2,647,671,112,4,5,3 --token-types 0,0,0,0,0,0,0 \
    --prompt-ids 2,332,697,278,35,3,171,156,112,4,129,420,18,3 --token-types 0,0,0,0,0,0,1,1,1,1,1,1,1,1
say "token 218 is '$(sed -n 219p "$here/bert/vocab.txt")', token 324 is '$(sed -n 325p "$here/bert/vocab.txt")'"
