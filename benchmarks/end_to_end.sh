#!/usr/bin/env bash
# From the two archives to a trained model and a mask, every command of the toolkit, and one assertion:
# unet-se reaches an F1 of 0.78 on the validation cases of fold 1 (mean over whole images).
#
# usage: benchmarks/end_to_end.sh ARCHIVE_FOLDER [HOME_FOLDER]
#
# ARCHIVE_FOLDER holds "MoNuSeg 2018 Training Data.zip" and "MoNuSegTestData.zip". The test images are unpacked and
# masked, never scored. Everything is made in HOME_FOLDER, by default a fresh temporary one that is removed at the end.
set -euo pipefail

archives=${1:?usage: benchmarks/end_to_end.sh ARCHIVE_FOLDER [HOME_FOLDER]}
if [ $# -gt 1 ]; then
  export MONUSEG_HOME=$2
else
  MONUSEG_HOME=$(mktemp -d)
  export MONUSEG_HOME
  trap 'rm -rf "$MONUSEG_HOME"' EXIT
fi

step() {
  printf '\n$ monuseg %s\n' "$*" >&2
  local began=$SECONDS
  monuseg "$@"
  printf -- '-- %d s\n' $((SECONDS - began)) >&2
}

step download --allow-unverified \
  --archive "$archives/MoNuSeg 2018 Training Data.zip" --archive "$archives/MoNuSegTestData.zip"
step masks
step patches
step train --arch unet-se --epochs 15
step evaluate unet-se
for arch in unet segnet deeplabv3-mobilenet deeplabv3; do
  step train --arch "$arch" --epochs 1
done
image=$MONUSEG_HOME/data/monuseg/train/images/TCGA-A7-A13E-01Z-00-DX1.tif # a validation case of fold 1
step predict "$image" -o "$MONUSEG_HOME/mask.png" --overlay "$MONUSEG_HOME/overlay.png" --model unet-se

monuseg evaluate unet-se --json --quiet | python -c '
import json, sys
f1 = json.load(sys.stdin)["mean"]["f1"]
print(f"unet-se, fold 1, validation cases: F1 {f1:.4f} (bar: 0.78)")
sys.exit(f1 < 0.78)
'
