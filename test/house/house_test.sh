#!/usr/bin/env bash
# The house keeps its rules; and the checker sees each kind of breach. house_test.sh SOURCE-FOLDER
set -uo pipefail
check=$1/script/check-house
tree=$(mktemp -d) count=0
trap 'rm -rf "$tree"' EXIT

ok() { # ok NAME STATUS
    count=$((count + 1))
    if (($2 == 0)); then echo "ok $count - $1"; else echo "not ok $count - $1"; fi
}

# breach NAME FILE WANT TEXT: TEXT in FILE alone makes the checker say WANT (a part of its line), "" for nothing
breach() {
    local said status
    rm -rf "${tree:?}/src"
    mkdir -p "$tree/src/$(dirname "$2")"
    printf '%b' "$4" >"$tree/src/$2"
    said=$("$check" "$tree")
    status=$?
    if [[ -n $3 ]]; then [[ $status -ne 0 && $said == *"$3"* ]]; else [[ -z $said ]]; fi
    ok "$1" $?
}

said=$("$check" "$1")
status=$?
[[ -z $said ]] || sed 's/^/# /' <<<"$said"
ok 'the house keeps its rules' $status

breach 'core includes base' core/a.c '' '#include "base/str.h"\n#include "core/b.h"\n'
breach 'core may not include wire' core/a.c 'core may not include wire/proto.h' '#include "wire/proto.h"\n'
breach 'base includes no room' base/a.c 'base may not include core/types.h' '#include "core/types.h"\n'
breach 'sched sees only the view' sched/a.c 'may not include core/core.h' '#include "core/core.h"\n'
breach 'cli may not include core' cli/a.c 'cli may not include core/core.h' '#include "core/core.h"\n'
breach 'a backend knows no other backend' journal/sqlite/a.c 'may not include journal/memory/a.h' '#include "journal/memory/a.h"\n'
breach 'a backend may use the loop' journal/sqlite/a.c '' '#include <uv.h>\n#include "journal/journal.h"\n'
breach 'the loop stays out of ctl' server/ctl.c '<uv.h> belongs' '#include <uv.h>\n'
breach 'a shell may use the loop' server/shell.c '' '#include <uv.h>\n'
breach 'an unknown room is named' attic/a.c 'no rule knows' 'int x;\n'
breach 'no clock in core' core/a.c 'clock, chance' 'int f(void)\n{\n    return clock_gettime(0, 0);\n}\n'
breach 'no environment in server' server/api.c 'clock, chance' 'char *f(void) { return getenv("X"); }\n'
breach 'a clock in io' io/a.c '' 'int f(void) { return clock_gettime(0, 0); }\n'
breach 'a member may be called time' core/a.c '' 'int f(void) { return x->time(1) + mu_time(2); }\n'
breach 'words in comments and strings' core/a.c '' '/* time() and\n * getenv() */\nchar *f(void) { return g("time(0)"); } // rand()\n'
breach 'no call without a bound' io/a.c 'without a bound' 'void f(void) { strcpy(a, b); }\n'
breach 'no output in sched' sched/a.c 'pure room' 'void f(void) { printf("x"); }\n'
breach 'a header without contract' core/a.h 'does not say: Limits' '/* What Ownership Time Threads Failure */\n'
breach 'a header with one' core/a.h '' '/* What Ownership Time Threads Failure Limits */\n'
breach 'a file of 1,001 lines' core/a.c 'second noun' "$(yes 'int x;' | head -n 1001)\n"
if command -v ctags >/dev/null; then
    breach 'a function of 83 lines' core/a.c 'f has 83 lines' "int f(void)\n{\n$(yes '    x = 1;' | head -n 80)\n}\n"
else
    count=$((count + 1))
    echo "ok $count - a function of 83 lines # SKIP no ctags"
fi

# script/tally counts single tests, and a program that dies is a failure even if all its tests so far were good.
cat >"$tree/log.json" <<'EOF'
{"name": "a", "result": "OK", "duration": 1, "stdout": "[ RUN      ] one\n[       OK ] one\n[  SKIPPED ] two\n[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] two\n"}
{"name": "b", "result": "FAIL", "duration": 1, "stdout": "[       OK ] one\n[  FAILED  ] two\n", "stderr": "[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] two\n"}
{"name": "c", "result": "FAIL", "duration": 1, "stdout": "[       OK ] one\n[ RUN      ] two\n"}
{"name": "d", "result": "TIMEOUT", "duration": 1}
{"name": "e", "result": "SKIP", "duration": 1}
{"name": "f", "result": "OK", "duration": 1, "stdout": "plain words"}
{"name": "g", "result": "FAIL", "duration": 1, "stdout": "ok 1 - x\nnot ok 2 - y\nok 3 - z # SKIP no z\n1..3\n"}
EOF
said=$("$1/script/tally" label "$tree/log.json")
[[ $said == *'@ 5 4 3' && $said == *'failed c fail'* && $said == *'failed d timeout'* && $said == *'skipped g z'* ]]
ok 'single tests are counted, the dead and the skipped too' $?
echo "1..$count"
