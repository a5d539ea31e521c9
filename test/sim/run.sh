#!/bin/sh
# run.sh MUSTER-SIM SEEDS.TXT COUNT -- past failures, then COUNT seeds that follow from the commit, so that every commit
# tries others and anybody who checks it out tries the same.
set -eu
commit=$(git -C "$(dirname "$0")" rev-parse --short=8 HEAD 2>/dev/null || echo 1)
exec "$1" --file "$2" --from "$((0x$commit * 100000 + 1))" --seeds "$3"
