#!/usr/bin/env bash
# Writes .venv/bin/atl and .venv/bin/atl-python: the workspace's environment, then the command line or Python.
# Their environment is what .venv/install/local_setup.bash gives, so they work from any folder with nothing sourced; and
# nothing else: a ROS 2 installation that the shell has sourced would put its rclpy before that of the wheels.
set -eu
venv=$(cd "$(dirname "$0")/.." && pwd)/.venv

# What the ROS wheels' .pth would set by starting Python twice; its guard is set along with it.
libraries=$venv/lib$(find "$venv"/lib/python3*/site-packages -maxdepth 1 -name 'ros_*.libs' -printf ':%p')
sourced() { env -i PATH=/usr/bin:/bin AMENT_PREFIX_PATH="$venv" LD_LIBRARY_PATH="$libraries" \
  bash -c '. "$1/install/local_setup.bash" >/dev/null && printf %s "${!2-}"' - "$venv" "$1"; }

{
  echo "# Made by make setup; sourced by atl and atl-python."
  for name in AMENT_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH; do
    value=$(sourced "$name" | tr -s : | sed 's/:$//')
    echo "export $name=\"$value\""
  done
  echo "export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1"
  echo "export RMW_IMPLEMENTATION=rmw_fastrtps_cpp" # the only one that the wheels have
} >"$venv/atl-env.sh"

for wrapper in atl atl-python; do
  [ "$wrapper" = atl ] && module=" -m atl_bringup.cli" || module=""
  cat >"$venv/bin/$wrapper" <<EOF
#!/bin/sh
. "$venv/atl-env.sh"
exec "$venv/bin/python"$module "\$@"
EOF
  chmod +x "$venv/bin/$wrapper"
done
