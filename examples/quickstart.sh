#!/usr/bin/env bash
# Installs monuseg into the active environment and goes from archives to a mask and its overlay.
#
# usage: bash examples/quickstart.sh [TRAIN_ARCHIVE TEST_ARCHIVE]
#
# Without archives: about a minute of training on generated tissue. With MoNuSeg's two archives: three epochs on them
# (some five minutes on two cores), which is enough to see nuclei found and too little for good scores.
set -euo pipefail
cd "$(dirname "$0")/.."

python -m pip install --quiet -e '.[dev]'

export MONUSEG_HOME=$PWD/quickstart
rm -rf "$MONUSEG_HOME"
if [ $# -eq 2 ]; then
  archives=("$1" "$2")
  training=(--epochs 3)
else
  python tests/support/tissue.py "$MONUSEG_HOME/generated"
  archives=("$MONUSEG_HOME/generated/"*.zip)
  training=(--epochs 8 --patch-px 128 --stride-px 128 --crop-px 128 --crops-per-case 8)
fi

monuseg download --allow-unverified --archive "${archives[0]}" --archive "${archives[1]}"
monuseg masks
monuseg train --arch unet-se "${training[@]}"
monuseg evaluate unet-se
monuseg predict "$MONUSEG_HOME/data/monuseg/test/images/TCGA-HT-8564-01Z-00-DX1.tif" --model unet-se \
  -o "$MONUSEG_HOME/mask.png" --overlay "$MONUSEG_HOME/overlay.png"
echo "Open $MONUSEG_HOME/overlay.png to see what was found."
