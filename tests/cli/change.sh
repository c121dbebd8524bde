# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# --decode-plan and --resident: what changes between two passes, what moves for it, and what is refused.

set -- --prompt-ids "$p0" --prompt-ids 7,8,9 --gen 12 --pes 5
fine run "$llama" "$@" --format json
flat | grep '^tokens[.]' >"$T/unchanged"
transform() { # bytes that moved on the bus
    flat | awk '$1 ~ /^fabric[.]transform[.](broadcast|addressed)_bytes$/ { sum += $2 } END { print sum }'
}
hold "nothing moved, no time spent" eval 'same "$(transform)" 0 && same "$(at timing.transform_s)" 0.0'
for change in workflow2 replica pipeline,workflow1@9 workflow2,megatron@8,alternate:groups=2@12 attn=tokens@1000; do
    for where in '' --resident; do
        # shellcheck disable=SC2086
        fine run "$llama" "$@" --decode-plan "$change" $where --format json
        hold "the tokens without it" eval 'flat | grep "^tokens[.]" | cmp -s - "$T/unchanged"'
        hold "the schedule" same "$(at plan.decode_name)" "$change"
        eval "moved$(echo $where | tr -d -)=$(transform)"
        [ "$change" = attn=tokens@1000 ] && continue
        hold "something moved, and time spent" eval '[ "$(transform)" -gt 0 ] && at timing.transform_s | awk "{ exit !(\$1 > 0) }"'
    done
    case $change in
    *@1000) hold "a position that is not reached to change nothing" same "$moved$movedresident" 00 ;;
    *) hold "less to move when weights stay" [ "$movedresident" -lt "$moved" ] ;;
    esac
done
fine run "$llama" "$@" --plan alternate --decode-plan alternate --format json
hold "nothing moved for the same plan" same "$(transform)" 0
fine run "$llama" "$@" --decode-plan replica,workflow2@9
hold "both plans, the times and counters" eval 'says "^decode replica: .*:groups=each" &&
    says "^decode workflow2 from position 9 on: " && says "^transform " && says "^fabric .*prefill .*transform +total"'
fine run "$gpt2" --prompt-ids 1,2,3 --gen 1 --pes 2 --decode-plan replica --format json
hold "nothing moved where nothing is decoded" same "$(transform)" 0

for schedule in workflow2@x workflow2@ workflow2@-1 workflow2@5@6 'workflow2@ 5' workflow2@99999999999; do
    refused 2 "decode-plan: '$schedule' .*as in P@2048" run "$llama" "$@" --decode-plan "$schedule"
    refused 2 "decode-plan: '$schedule' .*as in P@2048" check "$llama" --quiet --decode-plan "$schedule"
done
for schedule in workflow2@5,megatron@5 workflow2@9,megatron@5 workflow2,megatron@9,replica@9 workflow2,megatron@0; do
    refused 2 'decode-plan: .*expected positions in ascending order' run "$llama" "$@" --decode-plan "$schedule"
done
refused 2 'decode-plan: 2 plans for the same position .*expected one, or P,Q@POSITION' \
    run "$llama" "$@" --decode-plan workflow2,megatron
refused 2 'decode-plan: 2 plans for the same position' run "$llama" "$@" --decode-plan workflow2,megatron@9,replica
refused 2 "unknown name 'foo'" run "$llama" "$@" --decode-plan workflow2,foo@9
refused 2 'groups=6 on 5 PEs' run "$llama" "$@" --decode-plan workflow2,megatron:groups=6@9
refused 2 'not built yet' run "$llama" "$@" --decode-plan single/megatron
refused 2 'decode-plan: no value' run "$llama" "$@" --decode-plan ''
refused 2 'empty' run "$llama" "$@" --decode-plan workflow2,
refused 2 'resident without --decode-plan' run "$llama" "$@" --resident
set --

fine check "$llama" --pes 1,3 --decode-plan workflow2,replica@40 --plan megatron --format json
hold "what moved, and that nothing does on one PE" eval 'same "$(at cases.0.transform.broadcast_bytes)" 0 &&
    [ "$(at cases.1.transform.broadcast_bytes)" -gt 0 ] && same "$(at cases.1.decode_plan)" workflow2,replica@40'
fine check "$llama" --pes 3 --plan megatron,workflow1 --decode-plan replica,megatron:groups=4 --resident --format csv
hold "two passed, two that do not fit" same "$(column passed | sort | tr '\n' ,)" ,,true,true,
hold "why" same "$(column skipped | grep -c 'groups=4 on 3 PEs')" 2
fine check "$llama" --pes 3 --plan megatron --format json
hold "no change, nothing to count" same "$(at cases.0.transform)" null
