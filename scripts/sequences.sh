#!/bin/sh
# Random sequences of all that may be done to an optimizer, on the twins: 100,000 of them, or as many as are named.
set -eu
cd "$(dirname "$0")/.."
GRADUS_SEQUENCES="${1:-100000}" cargo test --release --test integration sequences_on_the_twins -- --nocapture
