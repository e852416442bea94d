#!/usr/bin/env bash
# make results: docs/results.md from shards in DATA, which are prepared where they are missing. The corpus takes 40 minutes on
# two cores, every set of clips about 5 minutes, strangers' portraits 8.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-$PWD/data}
. .venv-training/bin/activate
sets=()

[ -e "$DATA/corpus" ] || atl-corpus make --out "$DATA/corpus"
sets+=(--set "synthetic people that no training saw" "$DATA/corpus")
if [ -n "${GRID:-}" ] || [ -e "$DATA/grid_shards" ]; then
  [ -e "$DATA/grid_shards" ] || atl-corpus load "$GRID" --layout grid --speaker s1 --split clip --out "$DATA/grid_shards"
  sets+=(--set "GRID: clips of one real man that no training saw" "$DATA/grid_shards")
fi
python -m atl_training.results "${sets[@]}" --out docs/clips.json
if [ -n "${FOLDER:-}" ]; then # a folder of clips that no network was trained on
  [ -e "$DATA/folder_shards" ] || atl-corpus load "$FOLDER" --layout folder --out "$DATA/folder_shards"
  python -m atl_training.results --set "$(basename "$FOLDER")" "$DATA/folder_shards" --all --out docs/clips.json
fi
if [ -n "${PORTRAITS:-}" ]; then
  python -m atl_training.evaluate --grid "$DATA/grid_shards" --portraits "$PORTRAITS" --out docs/results.json
fi
python tools/results_page.py
