#!/usr/bin/env bash
# The default recipe against the baseline's, at equal wall time: on folds 1 to 3, both side by side, a thread each, 20
# minutes each. The default's epochs are chosen to end within that; the baseline is stopped when time is up.
#
# usage: benchmarks/recipes.sh HOME [EPOCHS_OF_DEFAULT]
#
# HOME is a folder that `monuseg download --home HOME` filled. Nothing else should run on the machine.
set -euo pipefail
export MONUSEG_HOME=${1:?usage: benchmarks/recipes.sh HOME [EPOCHS_OF_DEFAULT]} OMP_NUM_THREADS=1
epochs=${2:-18}

for fold in 1 2 3; do
  timeout -s INT 1200 monuseg train --recipe default --epochs "$epochs" --fold $fold --name recipe-default-$fold &
  timeout -s INT 1200 monuseg train --recipe baseline --fold $fold --name recipe-baseline-$fold &
  wait
done
for fold in 1 2 3; do
  monuseg evaluate recipe-baseline-$fold recipe-default-$fold
done
