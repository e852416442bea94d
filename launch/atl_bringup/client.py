"""A node for one request to the running face, where there is no `ros2` command at hand."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import rclpy
from rclpy.node import Node
from rclpy.task import Future

from atl_bringup.graph import environment
from atl_face.errors import UserError
from atl_node.run import begin_ros

FOUND_S = 5.0  # for discovery
ANSWER_S = 30.0  # for a service on a busy machine
LOOK_S = 0.1  # how soon Ctrl-C is heard


@contextlib.contextmanager
def client(namespace: str) -> Iterator[Node]:
    """A node in the face's namespace, for as long as the block lasts. UserError: ROS can't start."""
    for name, value in environment().items():  # as the graph's own nodes
        os.environ.setdefault(name, value)
    begin_ros([])
    try:
        node = rclpy.create_node(f"client_{os.getpid()}", namespace=namespace)
        yield node
        node.destroy_node()
    finally:
        rclpy.try_shutdown()


def require(found: bool, node: Node) -> None:
    """Raises UserError where no face was found."""
    if not found:
        raise UserError(f"No face answers in {node.get_namespace()}: is the graph running, with this ROS_DOMAIN_ID?", "no_graph")


def wait_for(node: Node, future: Future, limit_s: float = ANSWER_S):
    """The result of a future. UserError: it took too long."""
    until = time.monotonic() + limit_s
    while not future.done():
        rclpy.spin_once(node, timeout_sec=LOOK_S)
        if time.monotonic() > until:
            raise UserError(f"The face in {node.get_namespace()} doesn't answer: look at its messages.", "no_answer")
    return future.result()


def call(node: Node, service_type, name: str, request):
    """The answer of one of the face's services. UserError: there is no face, or it doesn't answer."""
    service = node.create_client(service_type, name)
    require(service.wait_for_service(FOUND_S), node)
    return wait_for(node, service.call_async(request))
