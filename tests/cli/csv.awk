# csv.awk: CSV (RFC 4180, no line breaks in cells) on stdin.
#   -v name=COLUMN     that column's cells, one a line; exit status 1 when there is no such column
#   neither            exit status 1 unless all rows have as many cells as the header, and one row is there
function split_row(row, cell,    n) {
    for (n = 1; ; n++) {
        if (match(row, /^"([^"]|"")*"/)) {
            cell[n] = substr(row, 2, RLENGTH - 2)
            gsub(/""/, "\"", cell[n])
        } else {
            match(row, /^[^,]*/)
            cell[n] = substr(row, 1, RLENGTH)
        }
        row = substr(row, RLENGTH + 1)
        if (row == "") return n
        row = substr(row, 2)
    }
}
NR == 1 {
    width = split_row($0, header)
    for (i = 1; i <= width; i++) if (header[i] == name) at = i
    if (name != "" && !at) exit 1
    next
}
name != "" { split_row($0, cell); print cell[at]; next }
split_row($0, cell) != width { uneven = 1 }
END { exit name != "" ? !at : uneven || NR < 2 }
