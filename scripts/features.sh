#!/bin/sh
# Each feature alone, without a warning: what one leaves out, no other may need. The whole crate is everything else's. And the
# fuzz targets, which nothing else in CI builds.
set -eu
cd "$(dirname "$0")/.."

for feature in "" nn cpu data demo cooperative_matrices; do
    echo "feature: ${feature:-none}"
    cargo clippy --quiet --lib --no-default-features --features "$feature" -- -D warnings
done

cargo check --quiet --locked --manifest-path fuzz/Cargo.toml
