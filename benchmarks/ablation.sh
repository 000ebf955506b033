#!/usr/bin/env bash
# What each part of the default's recipe is worth: 10 epochs on fold 1's train cases with one thing changed, scored on its
# six whole images. One change after the other, 11 to 17 minutes each on one core of a CPU with AMX. In addition the
# recipe as it is, and once more with other random numbers, which shows the size of random differences.
#
# usage: benchmarks/ablation.sh HOME [CHANGE ...]
#
# HOME is a folder that `monuseg download --home HOME` filled. The last command compares them all, image by image.
set -euo pipefail
export MONUSEG_HOME=${1:?usage: benchmarks/ablation.sh HOME [CHANGE ...]}
shift
[ $# -gt 0 ] || set -- as-it-is other-seed 30-cases 20x-as-they-are no-stain no-blanks distance hv no-imagenet

for change; do
  case $change in
  as-it-is) options=() ;;
  other-seed) options=(--seed 1) ;;
  30-cases) options=(--train-set 30) ;;
  20x-as-they-are) options=(--no-rescale) ;;
  no-stain) options=(--stain 0) ;;
  no-blanks) options=(--blank-prob 0) ;;
  distance | hv) options=(--aux-target "$change") ;;
  no-imagenet) options=(--no-pretrained) ;;
  *)
    echo "no such change: $change" >&2
    exit 2
    ;;
  esac
  monuseg train --recipe "$(dirname "$0")/../docs/training/runs/default-1/recipe.toml" --epochs 10 ${options[@]+"${options[@]}"} --name "$change"
  monuseg evaluate "$change"
done
monuseg evaluate "$@"
