#!/usr/bin/env bash
# make results: docs/results.md from shards in DATA, which are prepared where they are missing. The corpus takes 40 minutes on
# two cores, every set of clips about 5 minutes, strangers' portraits 8.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-$PWD/data}
. .venv-training/bin/activate
prepare() { # a folder and the command that makes it; one that was left half-made is gone on with
  [ -e "$1/.whole" ] || { "${@:2}" --out "$1" && touch "$1/.whole"; }
}
sets=()

prepare "$DATA/corpus" atl-corpus make
sets+=(--set "synthetic people that no training saw" "$DATA/corpus")
if [ -n "${GRID:-}" ]; then
  prepare "$DATA/grid_shards" atl-corpus load "$GRID" --layout grid --speaker s1 --split clip
  sets+=(--set "GRID: clips of one real man that no training saw" "$DATA/grid_shards")
fi
python -m atl_training.results "${sets[@]}" --out docs/clips.json
if [ -n "${FOLDER:-}" ]; then # a folder of clips that no network was trained on
  name=$(basename "$FOLDER")
  prepare "$DATA/folder_$name" atl-corpus load "$FOLDER" --layout folder
  python -m atl_training.results --set "$name" "$DATA/folder_$name" --all --out docs/clips.json
fi
if [ -n "${PORTRAITS:-}" ]; then
  [ -n "${GRID:-}" ] || { echo "PORTRAITS needs GRID, too: strangers say one of its sentences." >&2; exit 2; }
  python -m atl_training.evaluate --grid "$DATA/grid_shards" --portraits "$PORTRAITS" --out docs/results.json
fi
python tools/results_page.py
