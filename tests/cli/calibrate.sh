# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# `calibrate`: refusals come before anything is measured; stopped, it leaves nothing behind. What it
# measures is for nobody to test.

refused 2 'absent/host.ini: cannot write' calibrate --out "$T/w/absent/host.ini"
refused 2 'cannot write .*directory' calibrate --out "$T/w"
refused 2 'absent/result: cannot write' calibrate --out "$T/w/host.ini" --output "$T/w/absent/result"
refused 2 "unexpected argument '$llama'" calibrate "$llama"
refused 2 'pes: not an option of calibrate' calibrate --pes 2
refused 2 "format: 'md'" calibrate --format md
refused 2 'out: no value' calibrate --out
refused 2 'cpus: ' calibrate --cpus 99999
hold "no file" same "$(left)" 0
if command -v interrupt >/dev/null; then
    interrupt INT RSD calibrate --out "$T/w/host.ini" --output "$T/w/result" --quiet
    interrupt TERM RSD calibrate --out "$T/w/host.ini"
fi
