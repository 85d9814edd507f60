#!/bin/sh
# Tests, then every bench, on the adapter in use; what they print goes into a folder.
#
#   scripts/measure.sh DIR
set -eu
cd "$(dirname "$0")/.."
out=${1:?a folder for what is printed}
mkdir -p "$out"
export NODEVICE_SELECT="${NODEVICE_SELECT:-1}"
cargo build --release
cargo run --release --quiet -- info >"$out/info.txt"
cargo test 2>&1 | tee "$out/test.txt" | grep '^test result'
cargo run --release --quiet -- bench >"$out/bench.txt"
cargo run --release --quiet -- bench --json >"$out/bench.json"
for bench in train_step round_trips frozen_trunk nn_ops optim_step schedule; do
    cargo bench --bench "$bench" >"$out/$bench.txt" 2>&1
done
ls -l "$out"
