#!/bin/sh
# Includes point downward only. A room has a level; a file may include the headers of its own room and of
# lower levels. Only their rooms reach for hwloc.h, blis.h, pcre2.h and utf8proc.h.
set -u
cd "$(dirname "$0")/.." || exit 2
awk '
function level(room) { return room in L ? L[room] : -1 }
BEGIN {
    n = split("base counters:0 sync model weights kernel topo text:1 plan fabric host rates perf:2 array pe:3 verify calibrate report config:4 picture trace:5 cli:6", w, " ")
    for (i = 1; i <= n; ) {                      # "a b c:1" gives a, b, c level 1
        for (j = i; w[j] !~ /:/; j++) ;
        split(w[j], last, ":"); w[j] = last[1]
        for (; i <= j; i++) L[w[i]] = last[2]
    }
    L["config"] = 1                              # options are text: everybody above may read them
}
FNR == 1 {
    m = split(FILENAME, path, "/")
    room = path[1] == "include" ? substr(path[m], 1, length(path[m]) - 2) : (m > 2 ? path[2] : "cli")
    if (room == "counters") room = "base"
    if (level(room) < 0) { print FILENAME ": room " room " is not in the list of rooms"; bad = 1 }
}
/^[ \t]*#[ \t]*include/ {
    if ($0 ~ /<hwloc/ && room != "topo") { print FILENAME ":" FNR ": only topo includes hwloc.h"; bad = 1 }
    if ($0 ~ /<pcre2|<utf8proc/ && room != "text") { print FILENAME ":" FNR ": only text includes pcre2.h, utf8proc.h"; bad = 1 }
    if ($0 ~ /[<"]blis/ && room != "kernel") { print FILENAME ":" FNR ": only kernel includes blis.h"; bad = 1 }
    if (!match($0, /"[^"]+"/)) next
    inc = substr($0, RSTART + 1, RLENGTH - 2)
    sub(/^omnibus\//, "", inc); sub(/\.h$/, "", inc)
    target = inc ~ /\// ? substr(inc, 1, index(inc, "/") - 1) : inc
    if (target == "counters") target = "base"
    if (target == room || (inc !~ /\// && level(target) < 0)) next      # own room: "ring.h" beside it
    if (level(target) < 0) { print FILENAME ":" FNR ": include of unknown room " inc; bad = 1; next }
    if (level(target) >= level(room)) {
        print FILENAME ":" FNR ": " room " includes " target ", which is not below it"; bad = 1
    }
}
END { exit bad }
' $(find src include -name '*.[ch]' | sort) && echo "layers: every include points downward"
