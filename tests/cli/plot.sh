# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# `plot` and `report`: from what other commands wrote; what is refused; the page in a browser.

fine bench "$llama" --reps 1 --no-limits --quiet --pes 1,2 --plan megatron,workflow2 --prompt 4 --gen 2 --format json --output "$T/w/bench.json"
fine plan "$llama" --array seed-64pe --pes 4 --batch 1,2 --prompt 16,32 --gen 4 --format json --output "$T/w/plan.json"
fine plot "$T/w/bench.json" --picture time --out "$T/w/time.svg"
hold "a picture that names the plans" grep -q 'workflow2 n=2' "$T/w/time.svg"
hold "nothing on stdout" silent
printf '%s\n' "set datafile separator ','" "set title 'of the user'" >"$T/w/.gnuplot"
command="omnibus plot, with a ~/.gnuplot"
HOME="$T/w" "$program" plot "$T/w/bench.json" --picture time --out "$T/w/other.svg" >"$T/out" 2>"$T/err"
status=$?
hold "the same picture" cmp -s "$T/w/time.svg" "$T/w/other.svg"
fine plot "$T/w/bench.json" "$T/w/plan.json" --out "$T/w/any.png"
hold "a PNG" eval '[ "$(head -c 4 "$T/w/any.png" | tail -c 3)" = PNG ]'
hold "what else there is" complains 'note: drawn: scaling; --picture also knows, from these results: time ops best bytes$'
for picture in scaling time ops best bytes; do
    fine plot "$T/w/plan.json" "$T/w/bench.json" --picture $picture --out "$T/w/one.svg" --quiet
    hold "no note" eval '[ ! -s "$T/err" ]'
done
fine report "$T/w/bench.json" "$T/w/plan.json" --out "$T/w/report.html"
hold "five pictures, the table and the commands" same "$(grep -c '<section' "$T/w/report.html")" 7
hold "the command, as it was typed" grep -q "<pre>omnibus plan configs/demo/llama --pes 4 --gen 4 --batch 1,2 --prompt \
16,32 --array seed-64pe --format json --output $T/w/plan.json</pre>" "$T/w/report.html"
cp "$T/w/plan.json" "$T/w/first.json"
sed -n 's#^<pre>omnibus \(plan .*\)</pre>#"$program" \1#p' "$T/w/report.html" >"$T/w/again.sh"
rm "$T/w/plan.json"
# shellcheck source=/dev/null
. "$T/w/again.sh"
hold "and it makes the result again" cmp -s "$T/w/plan.json" "$T/w/first.json"

# What other commands write: a run by phase, two plans, what is counted. A check is a table of the page.
fine run "$llama" --prompt-ids 1,2,3 --gen 3 --pes 2 --format json --output "$T/w/run.json"
fine plot "$T/w/run.json" --out "$T/w/one.svg"
hold "bytes by phase" eval 'grep -q "megatron, n=2" "$T/w/one.svg" && grep -q pp3 "$T/w/one.svg" && grep -q tg2 "$T/w/one.svg"'
fine run "$llama" --prompt-ids 1,2,3 --gen 3 --pes 2 --array seed-64pe --format json --output "$T/w/run.json"
fine plot "$T/w/run.json" --picture ops --out "$T/w/one.svg" --quiet
hold "the last step" grep -q 'last decode step' "$T/w/one.svg"
fine plan "$llama" --diff megatron workflow2 --format json --output "$T/w/diff.json"
fine plot "$T/w/diff.json" --out "$T/w/one.svg"
hold "both plans" eval 'grep -q megatron "$T/w/one.svg" && grep -q workflow2 "$T/w/one.svg"'
fine plan "$llama" --pes 3 --format json --output "$T/w/counts.json"
fine plot "$T/w/counts.json" --out "$T/w/one.svg"
hold "on one PE nothing moves" grep -q 'nothing moves' "$T/w/one.svg"
fine check "$llama" --pes 2 --plan megatron --quiet --format json --output "$T/w/check.json"
fine topo --format json --output "$T/w/topo.json"
fine report "$T/w/topo.json" "$T/w/check.json" --out "$T/w/check.html"
hold "what is left out, and why" complains 'note: .*topo.json: left out: topo shows the host'
hold "the check" grep -q '1 passed, 0 failed, 0 skipped' "$T/w/check.html"
fine plot "$T/w/check.json" "$T/w/diff.json" "$T/w/diff.json" --out "$T/w/one.svg"
hold "what is left out" complains 'note: .*check.json: left out: a check says'
refused 2 'check.json: nothing to draw: a check says .*omnibus bench configs/demo/llama --pes 1,2 --format json' \
    plot "$T/w/check.json" "$T/w/topo.json" --out "$T/w/x.svg"
refused 2 'topo.json: nothing to draw: topo shows the host.*omnibus bench MODEL_DIR' report "$T/w/topo.json" --out "$T/w/x.html"
echo '{"schema": "other/1"}' >"$T/w/other.json"
refused 2 "other.json: schema is 'other/1' .*expected what omnibus writes" report "$T/w/check.json" "$T/w/other.json" --out "$T/w/x.html"

refused 2 'plot: no RESULT' plot --out "$T/w/x.svg"
refused 2 'plot: no --out' plot "$T/w/bench.json"
refused 2 "x.pdf' .*ends in .svg or .png" plot "$T/w/bench.json" --out "$T/w/x.pdf"
refused 2 "picture: 'pie' .*expected scaling" plot "$T/w/bench.json" --picture pie --out "$T/w/x.svg"
refused 2 'picture ops: the results have no points .*needs a plan or run priced' plot "$T/w/bench.json" --picture ops --out "$T/w/x.svg"
refused 2 'absent.json: ' plot "$T/w/absent.json" --out "$T/w/x.svg"
refused 2 'config.json: no "schema"' report "$llama/config.json" --out "$T/w/x.html"
refused 2 'absent/x.html: cannot write' report "$T/w/bench.json" --out "$T/w/absent/x.html"
refused 2 'pes: not an option of plot' plot "$T/w/bench.json" --pes 2
[ -w /dev/full ] && refused 3 '/dev/full.*cannot write' report "$T/w/bench.json" --out /dev/full
hold "no picture of what was refused" eval '[ ! -e "$T/w/x.svg" ] && [ ! -e "$T/w/x.html" ]'

# A real browser lays it out, in a frame as wide as a phone (a window cannot be that narrow) or as a desk: the page is no
# wider, its pictures are there, and neither they nor their smallest letters are small.
browser=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$browser" ] || [ "$sanitized" = yes ]; then
    skip "the report in a browser: chromium is absent, or this is a sanitized run"
else
    fine report "$T/w/bench.json" "$T/w/plan.json" "$T/w/check.json" --out "$T/w/report.html"
    sed 's#</body>#<script>const all=[...document.querySelectorAll("svg")];parent.postMessage("wide "+(document.documentElement.scrollWidth>innerWidth)+" svg "+all.filter(s=>s.getBoundingClientRect().height>100).length+" small "+all.some(s=>s.getBoundingClientRect().width<0.7*s.viewBox.baseVal.width),"*")</script></body>#' \
        "$T/w/report.html" >"$T/w/probe.html"
    for width in 390 1400; do
        command="chromium, report.html in $width pixels"
        echo "<body><script>onmessage=e=>{document.title=e.data}</script><iframe style='width:${width}px' src='probe.html'></iframe></body>" >"$T/w/frame.html"
        HOME="$T/w" timeout -k 5 60 "$browser" --headless --no-sandbox --disable-gpu --window-size=1500,900 --dump-dom \
            "file://$T/w/frame.html" >"$T/out" 2>"$T/err"
        status=$?
        hold "laid out in $width pixels" says '<title>wide false svg 5 small false</title>'
    done
fi
rm -rf "$T/w"/* "$T/w"/.[!.]*
