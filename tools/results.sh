#!/usr/bin/env bash
# make results: docs/results.md from shards and a bag in DATA, which are prepared where they are missing. The corpus takes 40
# minutes on two cores, the draft 15, every set of CLIPS clips about 10, the landmark stage 10, the renderer 12, strangers'
# portraits 8, the bag 2.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-$PWD/data}
CLIPS=${CLIPS:-20}
export OMP_NUM_THREADS=1 # numpy's threads would fight with the workers
train() { ( . .venv-training/bin/activate && "$@" ); } # a command in the environment of corpus and training
prepare() { # a folder and the command that makes it; one that was left half-made is gone on with
  [ -e "$1/.whole" ] || { train "${@:2}" --out "$1" && touch "$1/.whole"; }
}
sets=()

if [ -n "${PORTRAITS:-}" ] && [ -z "${GRID:-}" ]; then
  echo "PORTRAITS needs GRID, too: strangers say one of its sentences." >&2
  exit 2
fi
studio=() # aligner, real voices and real motion, where they were made (training/README.md); the studio's own otherwise
[ ! -f "$DATA/aligner.safetensors" ] || studio+=(--aligner "$DATA/aligner.safetensors")
[ ! -d "$DATA/recordings" ] || studio+=(--recordings "$DATA/recordings")
[ ! -d "$DATA/motions" ] || studio+=(--motions "$DATA/motions")
prepare "$DATA/corpus" atl-corpus make "${studio[@]}"
sets+=(--set "synthetic people that no training saw" "$DATA/corpus")
if [ -n "${GRID:-}" ]; then
  prepare "$DATA/grid_shards" atl-corpus load "$GRID" --layout grid --speaker s1 --split clip \
    ${ALIGNMENTS:+--alignments "$ALIGNMENTS"}
  prepare "$DATA/grid_looks" python -m atl_training.loaders.looks --shards "$DATA/grid_shards"
  sets+=(--set "GRID: clips of one real man that no training saw" "$DATA/grid_looks")
fi
train python -m atl_training.results "${sets[@]}" --clips "$CLIPS" --out docs/clips.json
if [ -n "${FOLDER:-}" ]; then # a folder of clips that no network was trained on
  name=$(basename "$FOLDER")
  prepare "$DATA/folder_$name" atl-corpus load "$FOLDER" --layout folder
  prepare "$DATA/looks_$name" python -m atl_training.loaders.looks --shards "$DATA/folder_$name"
  train python -m atl_training.results --set "$name" "$DATA/looks_$name" --all --clips "$CLIPS" --out docs/clips.json
fi
drawn=(--corpus "$DATA/corpus" ${GRID:+--grid "$DATA/grid_looks"} ${FOLDER:+--folder "$DATA/looks_$name"})
drawn+=(${PORTRAITS:+--portraits "$PORTRAITS"})
[ ! -d "$DATA/corpus_turn" ] || drawn+=(--turns "$DATA/corpus_turn") # training/README.md tells how to make it; half an hour
train python -m atl_training.renderer.report "${drawn[@]}" --clips "$CLIPS" --out docs/renderer.json
[ -z "${GRID:-}" ] || train python -m atl_training.renderer.report --grid "$DATA/grid_looks" --only grid --clips 89 \
  --out docs/renderer.json # all that are held out
if [ -n "${GRID:-}" ]; then
  train python -m atl_training.sync.judge --grid "$DATA/grid_looks" --out docs/sync.json
  prepare "$DATA/draft" atl-corpus make --draft --identities 1000 --clips 4 --seconds 9 --seed 1 "${studio[@]}"
  speech=(${SPEECH:+--speech-folder "$SPEECH"}) # recordings of people who read
  train python -m atl_training.landmarks.report --draft "$DATA/draft" --grid "$DATA/grid_shards" \
    --looks "$DATA/grid_looks" "${speech[@]}" \
    --out docs/landmarks.json
fi
.venv/bin/atl-python tools/results_bag.py "$DATA/bag" # last, when nothing else runs: its figures are the machine's, too
python3 tools/results_page.py
python3 tools/readme_figures.py
