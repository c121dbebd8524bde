# json.awk: a JSON document on stdin becomes one line per value, "path.of.keys.0 value", strings without their
# quotes. Exit status 1 when it isn't JSON, or when anything follows it.
function blank() { sub(/^[ \t\r\n]+/, "", text) }
function fail() { print "not JSON at: " substr(text, 1, 40); bad = 1; exit 1 }
function take(re,    got) {
    if (!match(text, "^" re)) fail()
    got = substr(text, 1, RLENGTH)
    text = substr(text, RLENGTH + 1)
    blank()
    return got
}
function string(    s) {
    s = take("\"([^\"\\\\]|\\\\.)*\"")
    return substr(s, 2, length(s) - 2)
}
function value(path,    first, key, n) {
    first = substr(text, 1, 1)
    if (first == "{") {
        take("[{]")
        while (substr(text, 1, 1) != "}") {
            if (n++) take(",")
            key = string()
            take(":")
            value(path (path == "" ? "" : ".") key)
        }
        take("[}]")
    } else if (first == "[") {
        take("\\[")
        while (substr(text, 1, 1) != "]") {
            if (n) take(",")
            value(path "." n++)
        }
        take("\\]")
    } else if (first == "\"") {
        print path " " string()
    } else {
        print path " " take("(true|false|null|-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?)")
    }
}
{ text = text $0 "\n" }
END {
    if (bad) exit 1
    blank()
    value("")
    if (text != "") fail()
}
