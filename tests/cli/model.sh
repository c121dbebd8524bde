# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Models that are not there, broken, or not supported: the file and what is wrong with it, in one line.

mkdir "$T/m"
config() { sed "$1" "$llama/config.json" >"$T/m/config.json"; } # SED-SCRIPT
run_m() { refused 2 "$1" run "$T/m" --prompt-ids 1,2 --gen 2; } # PATTERN

refused 2 'absent: No such file' run "$T/absent" --prompt-ids 1
refused 2 'absent: No such file' plan "$T/absent"
refused 2 'model.safetensors: not a directory .expected the one that it is in' run "$llama/model.safetensors" --prompt-ids 1
if [ "$(id -u)" -eq 0 ]; then
    skip "a checkpoint directory without permission: root may read everywhere"
else
    chmod a-x "$T/m"
    refused 2 'm: Permission denied' run "$T/m" --prompt-ids 1
    chmod u+x "$T/m"
fi
refused 2 'config.json: not a directory .*omnibus synth .*config.json --out' run "$llama/config.json" --prompt-ids 1
for command_name in run check plan; do
    refused 2 'm: no config.json' "$command_name" "$T/m" --quiet
done

for text in '' 'hello' '{' '{"model_type": "llama"' '[]' '3' 'null'; do
    printf %s "$text" >"$T/m/config.json"
    run_m 'config.json: not '
done
printf '{}' >"$T/m/config.json"
run_m 'config.json: .*model_type'
head -c 300 "$llama/config.json" >"$T/m/config.json"
run_m 'config.json: not JSON'
printf '{"model_type": "t5", "architectures": ["T5Model"]}' >"$T/m/config.json"
run_m "model_type not supported: 't5' .*llama, gpt2, bert"
refused 2 "model_type not supported: 't5'" plan "$T/m"
printf '{"model_type": "bert", "architectures": ["BertModel"]}' >"$T/m/config.json"
run_m 'config.json: .*is missing'

unsupported() { # SED-SCRIPT PATTERN
    config "$1"
    run_m "config.json: $2"
    refused 2 "config.json: $2" plan "$T/m/config.json"
}
unsupported 's/"rope_scaling": null/"rope_scaling": {"type": "dynamic", "factor": 2.0}/' 'rope_scaling .*"dynamic"'
unsupported 's/"silu"/"gelu"/' 'hidden_act "gelu"'
unsupported 's/"attention_bias": false/"sliding_window": 4096/' 'sliding_window'
unsupported 's/"model_type": "llama"/"model_type": "mistral"/' "model_type not supported: 'mistral'"
unsupported '/"hidden_size"/d' 'hidden_size is missing'
unsupported 's/"hidden_size": 128/"hidden_size": "128"/' 'hidden_size is "128"'
unsupported 's/"hidden_size": 128/"hidden_size": 130/' 'hidden_size is 130'
unsupported 's/"vocab_size": 512/"vocab_size": -1/' 'vocab_size is -1'
unsupported 's/"num_hidden_layers": 4/"num_hidden_layers": 0/' 'num_hidden_layers is 0'
unsupported 's/"num_hidden_layers": 4/"num_hidden_layers": 4000000000000/' 'num_hidden_layers is 4000000000000'
unsupported 's/"num_key_value_heads": 2/"num_key_value_heads": 3/' 'num_attention_heads is 8 .*multiple'
unsupported 's/"rms_norm_eps": 1e-05/"rms_norm_eps": 0/' 'rms_norm_eps is 0'
sed 's/"gelu_new"/"quick_gelu"/' "$gpt2/config.json" >"$T/m/config.json"
run_m 'config.json: activation_function "quick_gelu"'

# Weights
config ''
run_m 'm: no weights .*model.safetensors'
refused 2 'm: no weights' check "$T/m"
fine plan "$T/m"
weights=$llama/model.safetensors
bytes=$(wc -c <"$weights" | tr -d ' ')
for length in 0 1 7 8 9 100 2000 4127 4128 4129 100000 $((bytes / 2)) $((bytes - 1)); do
    head -c "$length" "$weights" >"$T/m/model.safetensors"
    run_m 'model.safetensors: .*(too short|cut short|outside the file)'
done
refused 2 'model.safetensors: .*outside the file' plan "$T/m"
patched() { # OFFSET PRINTF-TEXT PATTERN
    cp "$weights" "$T/m/model.safetensors"
    printf '%b' "$2" | dd of="$T/m/model.safetensors" bs=1 seek="$1" conv=notrunc 2>/dev/null
    run_m "model.safetensors: $3"
}
patched 0 '\0377\0377\0377\0377\0377\0377\0377\0377' 'header of 18446744073709551615 bytes'
patched 0 '\0377\0377\0377\0177\00\00\00\00' 'header of 2147483647 bytes'
patched 0 '\00\00\00\00\00\00\00\00' 'header'
patched 8 'garbage' 'header does not begin'
patched 9 'garbage' ''
patched 2000 '}}}}' ''
head -c 20000 /dev/zero >"$T/m/model.safetensors"
run_m 'model.safetensors: '
rm "$T/m/model.safetensors"
mkdir "$T/m/model.safetensors"
run_m 'model.safetensors: not a regular file'
rmdir "$T/m/model.safetensors"
ln -s "$PWD/$weights" "$T/m/model.safetensors"
mismatch() { # SED-SCRIPT PATTERN
    config "$1"
    run_m "model.safetensors: tensor $2"
    refused 2 "model.safetensors: tensor $2" check "$T/m" --quiet
}
mismatch 's/"num_hidden_layers": 4/"num_hidden_layers": 5/' "'model.layers.4.*is missing"
mismatch 's/"intermediate_size": 352/"intermediate_size": 351/' "'model.layers.0.mlp.*shape \[352, 128\] .*\[351, 128\]"
mismatch 's/"vocab_size": 512/"vocab_size": 500/' "'model.embed_tokens.weight' has shape"
config ''
fine run "$T/m" --prompt-ids 1,2 --gen 2
