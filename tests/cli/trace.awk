# "path value" lines of a trace, as json.awk makes them: the bytes of the wall clock's messages on the bus,
# and on the tree.
$1 ~ /^traceEvents[.][0-9]+[.]/ {
    split($1, p, ".")
    if (p[2] != event) finish()
    event = p[2]
    if (p[3] == "pid") process = $2
    if (p[3] == "ph") phase = $2
    if (p[3] == "cat") kind = $2
    if (p[3] == "args" && p[4] == "bytes") bytes = $2
}
function finish() {
    if (process == 1 && phase == "X") sum[kind] += bytes
    process = phase = kind = ""
    bytes = 0
}
END { finish(); print sum["bus"] + 0, sum["tree"] + 0 }
