#!/bin/sh
# Counts a program's calls of the Vulkan driver from outside: submissions, waits, dispatches, and bytes uploaded and downloaded.
#
#   sh scripts/round_trips.sh PROGRAM [ARGUMENT …]                  # counts of one process
#   sh scripts/round_trips.sh --less --set-up PROGRAM [ARGUMENT …]  # less those of the same with one argument more
#
# The table in docs/performance.md: build the bench (cargo bench --bench round_trips --no-run prints its path), then
#
#   sh scripts/round_trips.sh --less --set-up target/release/deps/round_trips-… w1 --steps 1000
#
# Needs a C compiler and Vulkan's headers (Debian: gcc, libvulkan-dev). The layer is built each time, in a temporary folder.
set -eu
here=$(dirname "$0")/round_trips
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O2 -shared -fPIC -fvisibility=hidden -o "$work/libround_trips.so" "$here/layer.c" -lpthread
cat > "$work/round_trips.json" <<JSON
{
  "file_format_version": "1.1.2",
  "layer": {
    "name": "VK_LAYER_round_trips",
    "type": "GLOBAL",
    "library_path": "$work/libround_trips.so",
    "api_version": "1.3.0",
    "implementation_version": "1",
    "description": "counts calls",
    "functions": {
      "vkGetInstanceProcAddr": "round_trips_instance",
      "vkGetDeviceProcAddr": "round_trips_device"
    }
  }
}
JSON
counted() {
    out=$1
    shift
    # Older loaders know the first name, newer ones the second.
    VK_LAYER_PATH=$work VK_ADD_LAYER_PATH=$work VK_INSTANCE_LAYERS=VK_LAYER_round_trips ROUND_TRIPS_OUT=$out "$@"
}
less=
if [ "${1-}" = --less ]; then
    less=$2
    shift 2
fi
counted "$work/all" "$@"
if [ -n "$less" ]; then
    counted "$work/less" "$@" "$less"
    paste "$work/all" "$work/less" | awk '{ print $1, $2 - $4 }'
else
    cat "$work/all"
fi
