#!/usr/bin/env bash
# The baseline's claim, measured: one convolution a level with squeeze-and-excitation (unet-se) against two without
# (unet), under the baseline recipe at equal epochs. Their seconds an epoch stand in each run's history.csv.
#
# usage: benchmarks/claim.sh HOME [EPOCHS]
#
# HOME is a folder that `monuseg download --home HOME` filled. Nothing else should run on the machine.
set -euo pipefail
export MONUSEG_HOME=${1:?usage: benchmarks/claim.sh HOME [EPOCHS]} OMP_NUM_THREADS=2
epochs=${2:-5}

for arch in unet unet-se; do
  monuseg train --recipe baseline --arch $arch --epochs "$epochs" --name claim-$arch
  cut -d, -f1,3,4,10-13 "$MONUSEG_HOME/runs/claim-$arch/history.csv"
done
monuseg evaluate claim-unet claim-unet-se
