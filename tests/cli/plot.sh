# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; names from and for test_cli.sh
# `plot` and `report`: from what other commands wrote; what is refused; the page in a browser.

fine bench "$llama" --reps 1 --no-limits --quiet --pes 1,2 --plan megatron,workflow2 --prompt 4 --gen 2 --format json --output "$T/w/bench.json"
fine plan "$llama" --array seed-64pe --pes 4 --batch 1,2 --prompt 16,32 --gen 4 --format json --output "$T/w/plan.json"
fine plot "$T/w/bench.json" --picture time --out "$T/w/time.svg"
hold "a picture that names the plans" grep -q 'workflow2 n=2' "$T/w/time.svg"
hold "nothing on stdout" silent
fine plot "$T/w/bench.json" "$T/w/plan.json" --out "$T/w/any.png"
hold "a PNG" eval '[ "$(head -c 4 "$T/w/any.png" | tail -c 3)" = PNG ]'
hold "what else there is" complains 'note: drawn: scaling; --picture also knows, from these results: time ops best bytes$'
for picture in scaling time ops best bytes; do
    fine plot "$T/w/plan.json" "$T/w/bench.json" --picture $picture --out "$T/w/one.svg" --quiet
    hold "no note" eval '[ ! -s "$T/err" ]'
done
fine report "$T/w/bench.json" "$T/w/plan.json" --out "$T/w/report.html"
hold "five pictures and the table" same "$(grep -c '<section' "$T/w/report.html")" 6
hold "the command" grep -q "omnibus plan configs/demo/llama --pes 4 .*--array seed-64pe" "$T/w/report.html"

refused 2 'plot: no RESULT' plot --out "$T/w/x.svg"
refused 2 'plot: no --out' plot "$T/w/bench.json"
refused 2 "x.pdf' .*ends in .svg or .png" plot "$T/w/bench.json" --out "$T/w/x.pdf"
refused 2 "picture: 'pie' .*expected scaling" plot "$T/w/bench.json" --picture pie --out "$T/w/x.svg"
refused 2 'picture ops: the results have no points .*needs a plan priced' plot "$T/w/bench.json" --picture ops --out "$T/w/x.svg"
refused 2 'absent.json: ' plot "$T/w/absent.json" --out "$T/w/x.svg"
refused 2 'config.json: no "schema"' report "$llama/config.json" --out "$T/w/x.html"
refused 2 'absent/x.html: cannot write' report "$T/w/bench.json" --out "$T/w/absent/x.html"
refused 2 'pes: not an option of plot' plot "$T/w/bench.json" --pes 2
[ -w /dev/full ] && refused 3 '/dev/full.*cannot write' report "$T/w/bench.json" --out /dev/full
hold "no picture of what was refused" eval '[ ! -e "$T/w/x.svg" ] && [ ! -e "$T/w/x.html" ]'

# A real browser lays it out: the page is no wider than a phone, and the pictures are there.
browser=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$browser" ] || [ "$sanitized" = yes ]; then
    skip "the report in a browser: chromium is absent, or this is a sanitized run"
else
    sed 's#</body>#<script>document.title="wide "+(document.documentElement.scrollWidth>innerWidth)+" svg "+[...document.querySelectorAll("svg")].filter(s=>s.getBoundingClientRect().height>100).length</script></body>#' \
        "$T/w/report.html" >"$T/w/probe.html"
    for width in 390 1400; do
        command="chromium --window-size=$width report.html"
        HOME="$T/w" timeout -k 5 60 "$browser" --headless --no-sandbox --disable-gpu --window-size=$width,900 --dump-dom \
            "file://$T/w/probe.html" >"$T/out" 2>"$T/err"
        status=$?
        hold "laid out in $width pixels" says '<title>wide false svg 5</title>'
    done
fi
rm -rf "$T/w"/* "$T/w"/.[!.]*
