#!/bin/sh
# Checks that `cargo package` makes at most 2 MB, with every file that its pages link to, except pictures.
set -eu
cd "$(dirname "$0")/.."
most_bytes=2000000

cargo package --no-verify --allow-dirty --quiet
package=$(ls -t "${CARGO_TARGET_DIR:-target}"/package/gradus-*.crate | head -n 1)
bytes=$(wc -c <"$package")
unpacked=$(gzip -dc "$package" | wc -c)
echo "package: $bytes bytes, $unpacked unpacked"
[ "$bytes" -le $most_bytes ] || { echo "package: more than $most_bytes bytes: see include in Cargo.toml" >&2; exit 1; }

held=$(tar -tzf "$package" | cut -d / -f 2-)
links=$(grep -o '](\([^)#]*\)' README.md | cut -c 3- | grep -v '^https:' | sort -u)
for link in $links; do
    echo "$held" | grep -q "^$link" || { echo "package: README.md leads to $link, which is not in it" >&2; exit 1; }
done
