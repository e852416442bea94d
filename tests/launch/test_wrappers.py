"""The wrappers `atl` and `atl-python` of make setup in a shell that has sourced some other ROS 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WRAPPER = Path(sys.prefix) / "bin" / "atl-python"


@pytest.mark.skipif(not WRAPPER.exists(), reason="no wrappers here: the workspace wasn't made by make setup")
def test_a_sourced_ros_does_not_get_in_between(tmp_path):
    (tmp_path / "rclpy").mkdir()
    (tmp_path / "rclpy" / "__init__.py").write_text("raise ImportError('the rclpy of another ROS')")
    sourced = {
        "PYTHONPATH": str(tmp_path),
        "AMENT_PREFIX_PATH": "/opt/ros/other",
        "LD_LIBRARY_PATH": "/opt/ros/other/lib",
        "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
        "ROS_DISTRO": "other",
    }
    program = "import rclpy, atl_msgs.msg; rclpy.init(); rclpy.create_node('here'); print(rclpy.__file__)"
    done = subprocess.run([WRAPPER, "-c", program], env=os.environ | sourced, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert str(WRAPPER.parent.parent) in done.stdout
