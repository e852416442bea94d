"""A node whose `configure` broke half-way cleans up without a second traceback."""

import os

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn

from atl_diffusion_node import node as diffusion
from atl_landmark_node import node as landmark


@pytest.mark.parametrize(
    "module, kind, part",
    [(landmark, "LandmarkNode", "SpeechModel"), (diffusion, "DiffusionNode", "make_runtime")],
)
def test_cleanup_after_a_half_done_configure(monkeypatch, module, kind, part):
    def broken(*_):
        raise RuntimeError("corrupt")

    monkeypatch.setenv("ROS_DOMAIN_ID", str(20 + os.getpid() % 80))
    monkeypatch.setattr(module, part, broken)
    rclpy.init(args=["--ros-args", "-p", "autostart:=false"])
    node = getattr(module, kind)()
    try:
        assert node.trigger_configure() != TransitionCallbackReturn.SUCCESS
        node.cleanup()
        assert node._state_machine.current_state[1] == "unconfigured", "on_error's cleanup went well"
        assert node.stopped.result() == 1
    finally:
        node.destroy_node()
        rclpy.shutdown()
