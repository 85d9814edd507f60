#!/bin/sh
# Fuzzes each target for so many seconds, 600 by default, or only the named targets: scripts/fuzz.sh 60 table checkpoint
# Needs `cargo install cargo-fuzz` and a nightly toolchain. There is no unsafe code of ours to sanitize: panics, overflows,
# failed assertions, and too much time or memory are findings, and are kept in fuzz/artifacts.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-600}
[ $# -eq 0 ] || shift
corpus=fuzz/corpus
mkdir -p $corpus/schedule $corpus/table
cp schedules/*.yaml $corpus/schedule
printf 'Aa,b\n1,2\n3,"4\n5"\n' >$corpus/table/numbers.csv
printf '\004a\tb\n1\t2\n3\t4\n' >$corpus/table/numbers.tsv
printf '\302{"a": "one", "b": "x"}\n{"a": "two", "b": "y"}\n' >$corpus/table/texts.jsonl

for target in ${*:-schedule safetensors table checkpoint}; do
    cargo +nightly fuzz run -s none "$target" -- -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=4096
done
