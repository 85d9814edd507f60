#!/bin/sh
# Random sequences of operations on an optimizer, on the twins: 100,000, or the given number.
set -eu
cd "$(dirname "$0")/.."
GRADUS_SEQUENCES="${1:-100000}" cargo test --release --test integration sequences_on_the_twins -- --nocapture
