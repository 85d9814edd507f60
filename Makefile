# The two commands. Each sets up what it needs on a fresh Debian or Ubuntu machine with a Rust toolchain.

# Mesa's layer that chooses a device asks a display server that a plain terminal does not have, and complains.
export NODEVICE_SELECT ?= 1

TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: demo test bench peers burn real real_pictures proof

demo:
	cargo build --release
	cargo run --release --quiet -- demo transformer

# The binary is built as the tests are, so that nothing is built twice.
test:
	cargo test --no-run
	sh scripts/adapter.sh $(TARGET)/debug/gradus
	[ "$$GRADUS_NO_SPIRV_VAL" = 1 ] || command -v spirv-val >/dev/null || sh scripts/apt_install.sh spirv-tools
	cargo test
	[ "$$GRADUS_NO_GPU" = 1 ] || cargo run --quiet --example own_buffers

bench:
	cargo build --release
	sh scripts/adapter.sh $(TARGET)/release/gradus
	cargo run --release --quiet -- bench
	cargo bench --bench train_step
	cargo bench --bench frozen_trunk
	cargo bench --bench schedule

# Beside burn, meganeura and PyTorch: benches/peers/README.md. Building burn takes long.
peers:
	cargo run --release --manifest-path benches/peers/Cargo.toml

# Burn's models trained in Burn's buffers, beside Burn's own AdamW: examples/burn/README.md. Building burn takes long.
burn:
	cargo run --release --manifest-path examples/burn/Cargo.toml

# Real models on real texts and pictures beside PyTorch: scripts/real.sh fetches 90 MB and takes hours on a processor,
# scripts/real_pictures.sh 120 MB and about one.
real: real_pictures
	bash scripts/real.sh

real_pictures:
	bash scripts/real_pictures.sh

# A schedule of finetuning-scheduler in Lightning and here, side by side: scripts/proof.sh, docs/proof.md.
proof:
	bash scripts/proof.sh
