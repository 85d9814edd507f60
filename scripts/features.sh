#!/bin/sh
# Each feature alone, without a warning: what one leaves out, no other may need. The whole crate is everything else's.
set -eu
cd "$(dirname "$0")/.."

for feature in "" nn cpu data demo cooperative_matrices; do
    echo "feature: ${feature:-none}"
    cargo clippy --quiet --lib --no-default-features --features "$feature" -- -D warnings
done
