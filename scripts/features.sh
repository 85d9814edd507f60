#!/bin/sh
# Builds the crate with each feature alone, without warnings, and the fuzz targets, which nothing else in CI builds.
set -eu
cd "$(dirname "$0")/.."

for feature in "" nn cpu data demo pictures cooperative_matrices; do
    echo "feature: ${feature:-none}"
    cargo clippy --quiet --lib --no-default-features --features "$feature" -- -D warnings
done

cargo check --quiet --locked --manifest-path fuzz/Cargo.toml
