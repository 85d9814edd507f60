#!/bin/sh
# Runs the tests of the kernels on a second Vulkan driver: SwiftShader, as Debian packs it with Chromium. It has subgroups of
# 4, workgroups of at most 256 and no f16, and does not keep NaN in min, max or exp: errors that Mesa's driver hides show here.
#
# Arguments go to cargo (--release). The driver is unpacked into target/second_driver and stays there.
set -eu
cd "$(dirname "$0")/.."
root="${CARGO_TARGET_DIR:-target}/second_driver"
icd="usr/lib/chromium/vk_swiftshader_icd.json"

fail() {
    echo "second driver: $1" >&2
    exit 1
}

# Of Debian: Ubuntu has no such package.
unpack() {
    mkdir -p "$root"
    root=$(cd "$root" && pwd)
    download() {
        (cd "$root" && apt-get -qq -o APT::Sandbox::User=root download chromium-common)
    }
    if ! download 2>/dev/null; then
        as_root=
        [ "$(id -u)" = 0 ] || as_root='sudo -n'
        $as_root apt-get update -qq || fail "the list of packages could not be read"
        download || fail "chromium-common, Debian's package, could not be downloaded"
    fi
    dpkg-deb --fsys-tarfile "$root"/chromium-common_*.deb |
        tar -x -C "$root" ./usr/share/doc/chromium-common/copyright ./usr/lib/chromium/libvk_swiftshader.so "./$icd" ||
        fail "chromium-common holds no SwiftShader"
    rm -f "$root"/chromium-common_*.deb
}

[ -e "$root/$icd" ] || unpack
driver=$(cd "$root" && pwd)/$icd
export VK_DRIVER_FILES="$driver" NODEVICE_SELECT=1 GRADUS_ADAPTER=SwiftShader
unset GRADUS_NO_GPU GRADUS_KERNELS

# The tests of tests/integration that compare kernels with their twins, and what NaN does to a step.
exec cargo test "$@" --test integration -- $(cat scripts/kernel_tests)
