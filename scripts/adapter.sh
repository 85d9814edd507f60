#!/bin/sh
# Makes sure that there is an adapter to run on; installs the software one on Debian and Ubuntu. The argument is the binary.
set -eu

[ "${GRADUS_NO_GPU:-}" = 1 ] && exit 0
[ "${GRADUS_ADAPTER:-}" = cpu ] && exit 0

adapter_found() {
    "$1" info 2>/dev/null | grep -q 'page (storage binding)'
}

if adapter_found "$@"; then
    exit 0
fi
wanted='install a Vulkan, Metal or DX12 driver (a software one is mesa-vulkan-drivers), or set GRADUS_NO_GPU=1'
if ! sh "$(dirname "$0")/apt_install.sh" mesa-vulkan-drivers; then
    echo "no adapter found, and mesa-vulkan-drivers could not be installed: $wanted" >&2
    exit 1
fi
if ! adapter_found "$@"; then
    echo "mesa-vulkan-drivers is installed, and still there is no adapter; '$1 info' tells what is there" >&2
    exit 1
fi
