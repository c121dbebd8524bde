# shellcheck shell=sh disable=SC2016,SC2034,SC2119,SC2120,SC2154 # eval's conditions; test_cli.sh's names
# Installation: what is placed, what works from there (program, both libraries, names of configs, manual,
# completion), and that uninstall leaves what was there before. Examples of --help run in a directory of
# their own, outside the checkout.

make_it() { # ARGS...: make, as a person would
    command="make $*"
    : >"$T/out"
    MAKEFLAGS='' MFLAGS='' make --no-print-directory DEPS= "$@" >"$T/out" 2>"$T/err" </dev/null
    status=$?
}
works() { [ "$status" -eq 0 ] && [ ! -s "$T/err" ]; }
run_it() { # ARGS...: any command
    command="$*"
    (cd "$T/away" && timeout -k 5 120 "$@" >"$T/out" 2>"$T/err" </dev/null)
    status=$?
}

install_tests() {
    D="$T/place" prefix="$T/place/opt/omnibus"
    mkdir -p "$prefix/bin" "$prefix/share/man" "$T/away"
    echo theirs >"$prefix/bin/other"
    chmod 700 "$prefix/bin"
    (cd "$D" && find . -printf '%M %p\n' | sort) >"$T/before"
    make_it install DESTDIR="$D" PREFIX=/opt/omnibus
    hold "an installation" works
    works || return
    hold "the number of files" says "^omnibus [0-9.]+: $(find "$prefix" ! -type d ! -name other | wc -l) files below $prefix\$"
    hold "directories untouched" same "$(find "$prefix/bin" -maxdepth 0 -printf %m)" 700
    installed=$prefix/bin/omnibus

    # The program, away from the checkout
    run_it "$installed" run llama --pes 4 --plan workflow1 --prompt-ids 49,46,44,36,46,25 --gen 1 --format json
    hold "a run of the installed demo" eval 'works && at tokens.0.0 >"$T/token"'
    run_it "$installed" plan llama-2-7b --array seed-64pe --plan megatron
    hold "models and arrays by name" works
    run_it "$installed" plan configs/models/llama-2-7b.json --config configs/experiments/single-short.ini
    hold "configs as in the checkout" works
    run_it "$installed" plan llama-2-7 --array seed-64pe
    hold "the nearest model" eval '[ $status -eq 2 ] && complains "did you mean .llama-2-7b."'
    run_it "$installed" plan gpt2 --array seed-64
    hold "the nearest array" eval '[ $status -eq 2 ] && complains "did you mean .seed-64pe."'
    run_it "$installed" plan gpt2 --config single-shrot
    hold "the nearest experiment" eval '[ $status -eq 2 ] && complains "did you mean .single-short."'
    ln -s "$installed" "$T/away/linked"
    run_it ./linked plan gpt2
    hold "configs through a link" works
    cp "$installed" "$T/away/alone"
    run_it ./alone plan gpt2
    hold "no configs for a copy elsewhere" eval '[ $status -eq 2 ] && complains "^omnibus: gpt2: "'
    OMNIBUS_SHARE=$here/../.. run_it ./alone plan gpt2
    hold "those that it is told of" works

    # Libraries
    for header in include/omnibus/*.h; do
        gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -Iinclude -fsyntax-only -aux-info "$T/aux" -x c "$header"
        sed -n 's|^/\* include/omnibus/[^ ]* \*/ extern [^(]*[ *]\(omni_[a-z0-9_]*\) (.*|\1|p' "$T/aux"
    done 2>"$T/err" | sort -u >"$T/declared" # but for those whose types hide that they are functions
    command="nm -D libomnibus.so"
    nm -D --defined-only "$prefix/lib/libomnibus.so" | sed 's/.* //' | sort >"$T/exported"
    hold "what public headers declare" eval '[ ! -s "$T/err" ] && [ -z "$(comm -23 "$T/declared" "$T/exported")" ]'
    {
        for header in include/omnibus/*.h; do echo "#include \"$header\""; done
        echo 'const void *const all[] = {'
        sed 's/.*/(const void *)\&&,/' "$T/exported"
        echo '};'
    } >"$T/all.c"
    run_it gcc -std=c11 -I"$here/../../include" -I"$here/../.." -fsyntax-only "$T/all.c"
    hold "nothing else" works
    hold "its soname" eval 'objdump -p "$prefix/lib/libomnibus.so" | grep -q "SONAME  *libomnibus.so.0\$"'
    if command -v pkg-config >/dev/null; then
        cp tests/example_forward.c "$T/away/forward.c"
        mkdir "$T/away/static"
        cp "$prefix/lib/libomnibus.a" "$T/away/static"
        for kind in shared static; do
            libdir="$prefix/lib" all=
            [ $kind = static ] && libdir="$T/away/static" all=--static
            flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config $all --define-variable=prefix="$prefix" \
                --define-variable=libdir="$libdir" --cflags --libs omnibus)
            # shellcheck disable=SC2086
            run_it gcc -std=c11 -Wall -Wextra -Werror forward.c -o "$kind-forward" $flags
            hold "a program, $kind" works
            LD_LIBRARY_PATH="$prefix/lib" run_it "./$kind-forward" "$prefix/share/omnibus/configs/demo/llama"
            hold "the token of omnibus run" eval 'works && same "$(cat "$T/out")" "$(cat "$T/token")"'
        done
        command="ldd *-forward"
        hold "one of them to need it" same "$(ldd "$T/away/shared-forward" "$T/away/static-forward" | grep -c libomnibus)" 1
        hold "its version" same "$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --modversion omnibus)" "$("$program" --version | sed 's/omnibus //')"
    else
        skip "programs that link the library: no pkg-config here"
    fi

    # Manual, completion
    if command -v mandoc >/dev/null; then
        command="mandoc -Tlint"
        mandoc -Tlint "$prefix"/share/man/man1/*.1 >"$T/lint"
        # It looks for other pages in the system's directories only: those are looked for here.
        grep -v 'referenced manual not found: Xr omnibus' "$T/lint" >"$T/err"
        hold "nothing to complain of" eval '[ ! -s "$T/err" ]'
        sed -n 's/^\.Xr \(omnibus[a-z-]*\) 1.*/\1/p' "$prefix"/share/man/man1/*.1 | sort -u >"$T/named"
        hold "the pages that it names" same "$(cat "$T/named")" "$(find "$prefix/share/man/man1" -name '*.1' -printf '%f\n' | sed 's/\.1$//' | sort)"
        mandoc -Tascii "$prefix/share/man/man1/omnibus-run.1" | sed "s/.$(printf '\b')//g" >"$T/out"
        hold "options and examples in it" eval 'says "--decode-plan=P" && says "^ *omnibus run --config run.json\$"'
    else
        skip "the manual pages' form: no mandoc here"
    fi
    if command -v bash >/dev/null; then
        complete_it() { # WORDS...: what the last one completes to
            command="completion of $*"
            bash -c '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _omnibus; echo "${COMPREPLY[*]}"' \
                "$prefix/share/bash-completion/completions/omnibus" "$@" 2>"$T/err"
        }
        hold "commands" same "$(complete_it omnibus ch)" check
        hold "options of the command" same "$(complete_it omnibus run --de)" --decode-plan
        hold "plans" same "$(complete_it omnibus run --plan work)" "workflow1 workflow2"
        hold "plans behind '='" same "$(complete_it omnibus check --plan = alt)" alternate
        hold "arrays" same "$(complete_it omnibus plan --array segm)" segmented-256pe
        hold "the last of a list" same "$(complete_it omnibus plan --array ideal,segm)" ideal,segmented-256pe
        hold "models that can be run" same "$(complete_it omnibus run --quiet lla)" "llama"
        hold "and shapes, of which one can be planned" same "$(complete_it omnibus plan llama-2-1)" llama-2-13b
        hold "formats of the command" same "$(complete_it omnibus bench --format js)" "json jsonl"
        hold "and no others" same "$(complete_it omnibus run --format js)" json
        hold "pictures" same "$(complete_it omnibus plot --picture sc)" scaling
        hold "no names for a file" same "$(complete_it omnibus run --output a)" ""
        hold "nor within a plan" same "$(complete_it omnibus run --plan megatron : o = '')" ""
    else
        skip "completion: no bash here"
    fi

    # Examples of all commands' help, in their order. Those that would take minutes are only read.
    for name in run check plan bench calibrate plot report topo synth; do
        COLUMNS=80 "$installed" help $name | sed '1,/^Examples:/d' >"$T/examples"
        command="omnibus help $name"
        hold "examples, each on a line" eval '[ -s "$T/examples" ] && ! grep -qv "^  omnibus [a-z]* " "$T/examples"'
        while read -r _ line; do
            case $line in
            "calibrate "* | *" --verify "* | *" llama-2-7b "*" --out "*) line="$line --print-config" ;;
            esac
            eval "run_it \"\$installed\" $line"
            hold "the example to work" eval '[ $status -eq 0 ]'
        done <"$T/examples"
    done

    # A second time, and away
    make_it install DESTDIR="$D" PREFIX=/opt/omnibus
    hold "an installation over it" works
    make_it uninstall DESTDIR="$D" PREFIX=/opt/omnibus
    hold "an uninstallation" works
    hold "what was there before" eval '(cd "$D" && find . -printf "%M %p\n" | sort) | diff "$T/before" - >"$T/err"'
    make_it uninstall DESTDIR="$D" PREFIX=/opt/omnibus
    hold "nothing to remove" eval '[ $status -ne 0 ] && complains "manifest: not there .expected the PREFIX"'

    # The tarball
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        make_it dist
        hold "a tarball" works
        tar -C "$T/away" -xzf "$(cat "$T/out")"
        command="tar"
        hold "the committed files" eval 'git ls-tree -r --name-only HEAD | sort >"$T/committed" &&
            (cd "$T/away"/omnibus-[0-9]* && find . -type f -printf "%P\n" | sort) | diff "$T/committed" - >"$T/err"'
        (cd "$T/away"/omnibus-[0-9]* && GIT_DIR=/nowhere MAKEFLAGS='' make --no-print-directory -n programs) >"$T/out" 2>"$T/err"
        hold "a build without git" eval '[ ! -s "$T/err" ] && grep -q "main\.c" "$T/out"'
    else
        skip "make dist: this is no checkout"
    fi
}

case $program in
*/build/release/omnibus) install_tests ;;
*) skip "installation: it is the release program's" ;;
esac
