# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# The bar: on a terminal after a second, as narrow as the terminal, gone at the end; never with --quiet or
# in a pipe.

on_terminal() { # COLUMNS ARGS...: interrupted after three seconds, what a terminal got in $T/out, a line for each time it was drawn
    columns=$1
    shift
    command="omnibus $* ($columns columns)"
    (cd "$T" && timeout -k 5 60 script -qec "stty cols $columns; env --default-signal=INT timeout --foreground -s INT 3 '$program' $*" \
        "$T/typescript" </dev/null >/dev/null 2>"$T/err")
    status=$?
    tr '\r' '\n' <"$T/typescript" | sed "s/$(printf '\033')\\[K//g" | grep -v '^Script ' >"$T/out"
}

if ! command -v script >/dev/null || [ "$sanitized" = yes ]; then
    skip "the bar on a terminal: script is absent, or this is a sanitized run"
else
    long="check $PWD/$llama --plan all --pes 1-60"
    on_terminal 110 "$long"
    hold "a bar, a count, a rate, the time that is left" says '^check \[#*\.*\] [0-9]+ of [0-9]+  .*/s  .* left  '
    hold "nothing but the reason at the end" same "$(grep . "$T/out" | tail -n 1)" "omnibus: interrupted"
    on_terminal 40 "$long"
    hold "a bar that fits" eval 'says "^check [[0-9]" && [ "$(grep "^check " "$T/out" | wc -L)" -lt 40 ]'
    on_terminal 20 "$long"
    hold "the time that is left, in any case" eval 'says "^(check )?[0-9]+ (s|min [0-9]+ s|h [0-9]+ min) left\$" && [ "$(grep left "$T/out" | wc -L)" -lt 20 ]'
    on_terminal 80 "bench $PWD/$llama --pes 1,2"
    hold "the host's limits, first without a time that is left" eval 'says "^limits of this host \[\.*\] 0 of 4  0 s so far  reading\$"'
    on_terminal 80 "$long --quiet"
    hold "no bar" eval '! says "^check "'
fi
command="omnibus check --plan all --pes 1-60, in a pipe"
env --default-signal=INT timeout --foreground -s INT 3 "$program" check "$llama" --plan all --pes 1-60 >"$T/out" 2>"$T/err" </dev/null
hold "no bar" eval '! complains "check "'
rm -rf "$T/w"/* "$T/w"/.[!.]*
