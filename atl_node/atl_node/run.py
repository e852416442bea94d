"""`run_node`: the main() of every node. It ends at once on SIGINT or SIGTERM; its exit code tells failure."""

from __future__ import annotations

import signal
import socket
import sys
import threading

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor

from atl_face.errors import UserError

EXIT_USER_ERROR = 2


def make_executor() -> Executor:
    """One thread."""
    return SingleThreadedExecutor()


def run_node(make_node, args: list[str] | None = None) -> int:
    """Runs one node until it finishes or SIGINT/SIGTERM comes; returns the exit code of the process.

    Args:
        make_node: a class or function that makes an AtlNode, called after rclpy.init.
        args: command line after the program's name; None takes the process's own.
    """
    rclpy.init(args=args, signal_handler_options=rclpy.SignalHandlerOptions.NO)
    try:
        node = make_node()
    except UserError as error:
        print(error, file=sys.stderr)
        rclpy.try_shutdown()
        return EXIT_USER_ERROR
    watch_signals(node.finish)
    executor = make_executor()
    executor.add_node(node)
    try:
        executor.spin_until_future_complete(node.stopped)
        if node._state_machine.current_state[1] in ("unconfigured", "inactive", "active"):
            node.trigger_shutdown()
    except ExternalShutdownException:
        node.cleanup()
    node.destroy_node()
    rclpy.try_shutdown()
    return node.stopped.result() if node.stopped.done() else 0


def watch_signals(stop) -> None:
    """Calls `stop()` from a thread as soon as SIGINT or SIGTERM arrives.

    Python's C handler writes to a socket at once, while a Python handler would wait until the executor's C
    code returns; so an idle node ends immediately too.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writer.fileno())

    def wait() -> None:
        reader.recv(1)
        stop()
        writer.close()

    threading.Thread(target=wait, name="signals", daemon=True).start()
