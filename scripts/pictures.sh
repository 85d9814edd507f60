#!/bin/sh
# Makes docs/report.png: the report of a run in three phases in Chromium. GRADUS names the binary, BROWSER the browser.
set -eu
cd "$(dirname "$0")/.."
gradus=$(realpath "${GRADUS:-target/release/gradus}")
browser=${BROWSER:-chromium}
desk=$(mktemp -d)
trap 'rm -rf "$desk"' EXIT

cat >"$desk/gradual.yaml" <<'EOF'
model: {type: mlp, hidden: [128, 64]}
data: {embedded: digits, test_percent: 20}
epochs: 12
optimizer: {type: adamw, lr: 3.0e-3, weight_decay: 0.05}
early_stopping: {monitor: val_loss, mode: min, patience: 2}
finetuning: {restore_best: true}
phases:
  0: {params: ['layers\.2\.'], max_transition_epoch: 3}
  1: {params: ['layers\.1\.'], lr: 2.0e-3, max_transition_epoch: 6}
  2: {params: ['layers\.0\.'], lr: 1.0e-3}
EOF
(cd "$desk" && "$gradus" --adapter cpu train gradual.yaml -q)
"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=960,980 \
    --screenshot="$desk/report.png" "file://$desk/runs/gradual/report.html" 2>/dev/null
cp "$desk/report.png" docs/report.png
echo "docs/report.png: $(wc -c <docs/report.png) bytes"
