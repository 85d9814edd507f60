#!/bin/sh
# Draws the pictures of docs/laws.md anew: one for each YAML file here, whose first line holds the arguments.
set -eu
cd "$(dirname "$0")"
cargo build --quiet
for file in *.yaml; do
    arguments=$(sed -n '1s/^# //p' "$file")
    # shellcheck disable=SC2086 # several arguments
    cargo run --quiet -- plan "$file" $arguments --svg "${file%.yaml}.svg" >/dev/null
done
