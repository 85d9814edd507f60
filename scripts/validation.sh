#!/bin/sh
# Runs the tests of the kernels on software Vulkan under Khronos' validation layer, synchronisation included: the use of
# Vulkan, and commands that read or write memory too early. Fails on every message that is not listed here.
#
# Arguments go to cargo (--release). The layer's messages stay in target/validation/messages.
set -eu
cd "$(dirname "$0")/.."

# Messages that are not our fault:
# * The layer's SPIR-V tool of 2023, which Debian 12 has, does not know the source language WGSL. So the layer checks no
#   shader's text there; spirv-val does (tests/integration/translations.rs).
known='SPIR-V module not valid: Invalid source language operand: 10'

fail() {
    echo "validation: $1" >&2
    exit 1
}

layer_found() {
    for folder in ${VK_LAYER_PATH:-} /usr/share/vulkan /usr/local/share/vulkan /etc/vulkan; do
        [ -z "$(find "$folder" -iname 'VkLayer_khronos_validation.json' 2>/dev/null)" ] || return 0
    done
    return 1
}

layer_found || sh scripts/apt_install.sh vulkan-validationlayers || fail "the layer is missing (vulkan-validationlayers)"

mkdir -p "${CARGO_TARGET_DIR:-target}/validation"
folder=$(cd "${CARGO_TARGET_DIR:-target}/validation" && pwd)
export VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation VK_LAYER_SETTINGS_PATH="$folder/vk_layer_settings.txt"
export NODEVICE_SELECT=1 GRADUS_ADAPTER=software
unset GRADUS_NO_GPU GRADUS_KERNELS

# Runs tests with one of the layer's features on, then prints its unknown messages. A message begins in the first
# column; what belongs to it is indented.
said() {
    feature=$1
    shift
    cat >"$VK_LAYER_SETTINGS_PATH" <<SETTINGS
khronos_validation.debug_action = VK_DBG_LAYER_ACTION_LOG_MSG
khronos_validation.report_flags = error,warn,perf
khronos_validation.log_filename = $folder/messages
khronos_validation.enables = VK_VALIDATION_FEATURE_ENABLE_${feature}_EXT
SETTINGS
    rm -f "$folder/messages"
    "$@" >"$folder/tests" 2>&1 || { cat "$folder/tests" >&2 && fail "the tests failed"; }
    [ -e "$folder/messages" ] || fail "the layer was not loaded"
    # Threads that write at once leave bytes that are no text.
    grep -a -v -e '^ ' -e '^$' "$folder/messages" | grep -a -v -F "$known" || true
}

cargo test "$@" --test integration --no-run
# The layer always finds a better practice than ours: so its messages are seen to arrive.
[ -n "$(said BEST_PRACTICES cargo test "$@" --test integration measure::a_kernel)" ] || fail "a message was not seen"
messages=$(said SYNCHRONIZATION_VALIDATION cargo test "$@" --test integration -- $(cat scripts/kernel_tests))
if [ -n "$messages" ]; then
    echo "$messages" | cut -c 1-600 >&2
    fail "$(echo "$messages" | wc -l) messages, in $folder/messages"
fi
echo "validation: no message; $(grep '^test result' "$folder/tests")"
