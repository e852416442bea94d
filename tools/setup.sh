#!/usr/bin/env bash
# make setup: .venv with the pinned requirements, the workspace built by colcon inside it, the wrappers atl and atl-python. What
# colcon build makes in build and install is left alone: that is for the machine's own ROS 2.
# Stamps hold a hash of what each step read; a step whose hash is unchanged is skipped, so a second run takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
venv=$root/.venv

refuse() { echo "$1" >&2; exit 2; }
same() { [ -f "$venv/.stamp-$1" ] && [ "$(cat "$venv/.stamp-$1")" = "$2" ]; }
stamp() { echo "$2" >"$venv/.stamp-$1"; }

# An interpreter of a version that the pinned wheels exist for.
find_python() {
  for candidate in ${PYTHON:-python3 python3.12 python3.11 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  refuse "ATL Avatar needs Python 3.10, 3.11 or 3.12, and ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>/dev/null || echo none):\
 install one of them and name it, e.g. make setup PYTHON=/usr/bin/python3.12."
}

check_machine() {
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    refuse "The wheels that make setup installs exist for x86-64 Linux only, and this machine is $(uname -s)-$(uname -m):\
 use your distribution's ROS 2 as docs/ros2.md says."
  command -v gcc >/dev/null && command -v g++ >/dev/null ||
    refuse "The messages are compiled, and there is no C/C++ compiler here: apt-get install build-essential."
  local version
  version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  "$1" -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    refuse "The messages are compiled against Python's headers, which aren't here: apt-get install python$version-dev."
  "$1" -c 'import ensurepip, venv' 2>/dev/null ||
    refuse "Python can't make virtual environments here: apt-get install python$version-venv."
}

make_environment() {
  local python
  python=$(find_python)
  check_machine "$python"
  rm -rf "$venv/bin" "$venv/lib" "$venv/include" "$venv/build" "$venv/install" "$venv/log"
  echo "set-up: virtual environment with $("$python" --version)"
  "$python" -m venv "$venv"
  stamp place "$root"
}

install_requirements() {
  echo "set-up: installing the pinned requirements (about a minute)"
  local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --use-pep517)
  "${pip[@]}" -c requirements/constraints.txt -r requirements/runtime.txt -r requirements/build.txt -r requirements/dev.txt
  "${pip[@]}" --no-deps -r requirements/mediapipe.txt
}

build_workspace() {
  echo "set-up: building the workspace (about a minute the first time)"
  mkdir -p "$venv/log"
  # VIRTUAL_ENV: CMake takes the interpreter of an environment that the user has active, before any other.
  if ! env -u PYTHONPATH -u CONDA_PREFIX VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH" AMENT_PREFIX_PATH="$venv" \
    CMAKE_PREFIX_PATH="$venv" COLCON_LOG_LEVEL=error colcon --log-base "$venv/log" build \
    --build-base "$venv/build" --install-base "$venv/install" --symlink-install \
    --event-handlers console_cohesion- status- --cmake-args -GNinja \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF -DCMAKE_PROJECT_INCLUDE="$root/cmake/drop_missing_includes.cmake" \
    >"$venv/log/setup.txt" 2>&1; then
    tail -n 60 "$venv/log/setup.txt" >&2
    refuse "The workspace did not build; .venv/log/setup.txt has everything."
  fi
  tools/write_wrappers.sh
}

mkdir -p "$venv"
exec 9>"$venv/.lock"
flock 9 # two set-ups at once would trip over each other

if ! same place "$root" || ! "$venv/bin/python" -I -S -c pass 2>/dev/null; then
  rm -f "$venv"/.stamp-*
  make_environment
fi

wanted=$(sha256sum requirements/*.txt | sha256sum)
if ! same requirements "$wanted"; then
  install_requirements
  stamp requirements "$wanted"
fi

# Contents of what colcon reads; of the rest only the names, since --symlink-install links the files.
wanted=$({
  sha256sum cmake/* tools/*.sh */package.xml */setup.py */setup.cfg atl_msgs/CMakeLists.txt atl_msgs/*/*
  find $(dirname -- */package.xml) -type f ! -name '*.py' ! -name '*.pyc' ! -path '*.egg-info*' | LC_ALL=C sort
} | sha256sum)
if ! same workspace "$wanted"; then
  build_workspace
  stamp workspace "$wanted"
fi
