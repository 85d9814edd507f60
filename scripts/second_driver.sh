#!/bin/sh
# Runs the tests of the kernels on a second Vulkan driver: SwiftShader, as Debian packs it with Chromium. It has subgroups of
# 4, workgroups of at most 256 and no f16, and keeps no NaN behind min, max or exp: what Mesa's driver forgives shows here.
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

# A list of packages of our own, so that it is Debian's on Ubuntu too, and nothing of the system changes. The suite is an old
# one that is still kept: its C library is no newer than the system's.
apt_here() {
    apt-get -qq -o Dir::Etc::SourceList="$root/apt/debian.sources" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$root/apt/state" -o Dir::Cache="$root/apt/cache" \
        -o APT::Sandbox::User=root "$@"
}

unpack() {
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$keys" ] || sh scripts/apt_install.sh debian-archive-keyring
    mkdir -p "$root/apt/state/lists/partial" "$root/apt/cache/archives/partial"
    root=$(cd "$root" && pwd)
    cat >"$root/apt/debian.sources" <<SOURCES
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: $keys
SOURCES
    apt_here update || fail "Debian's list of packages could not be read"
    (cd "$root" && apt_here download chromium-common) || fail "chromium-common could not be downloaded"
    dpkg-deb --fsys-tarfile "$root"/chromium-common_*.deb |
        tar -x -C "$root" ./usr/share/doc/chromium-common/copyright ./usr/lib/chromium/libvk_swiftshader.so "./$icd" ||
        fail "chromium-common holds no SwiftShader"
    rm -rf "$root"/chromium-common_*.deb "$root/apt"
}

[ -e "$root/$icd" ] || unpack
driver=$(cd "$root" && pwd)/$icd
export VK_DRIVER_FILES="$driver" NODEVICE_SELECT=1 GRADUS_ADAPTER=SwiftShader
unset GRADUS_NO_GPU GRADUS_KERNELS

# The modules of tests/integration that compare kernels with their twins, and what NaN does to a step.
exec cargo test "$@" --test integration -- \
    attention::attention_agrees attention::attention_keeps attention::attention_where gathers:: int8:: measure::a_kernel nn:: nn_ops:: \
    norm_ optim_kernels::sgd optim_kernels::clip squares_of tilings::tilings_of fused_step::a_nonfinite
