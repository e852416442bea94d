"""`run_node`: the main() of every node. It ends at once on SIGINT or SIGTERM; its exit code tells why."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import traceback
import weakref

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future

from atl_face.errors import UserError
from atl_node.watchdog import BEAT_S, PATIENCE_S, limit_s, watchdog

EXIT_USER_ERROR = 2
MOST_DOMAINS = 232  # DDSI-RTPS 2.5, 9.6.2.3: ports of higher ones lie above 65535


class Stoppable:
    """Mixin of a node that `run_node` runs: it can end its own process."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.stopped = Future()  # its result is the exit code of the process

    def finish(self, exit_code: int = 0) -> None:
        """End the process in good order with `exit_code`; may be called from any thread."""
        if not self.stopped.done():
            self.stopped.set_result(exit_code)

    def take_time(self) -> None:
        """What comes now, in the executor's thread, may take a while: it isn't hanging."""
        watchdog.beat(PATIENCE_S)

    def unwatch(self) -> None:
        """From now on nothing is hanging, however long it takes: nobody would start this node again."""
        watchdog.rest()

    def end(self) -> None:
        """Called once before the node is destroyed, while ROS still works."""


def run_node(make_node, args: list[str] | None = None, watched: bool = True) -> int:
    """Runs one node until it finishes or SIGINT/SIGTERM comes; returns the exit code of the process.

    SIGINT is a person's wish to end it: 0. SIGTERM to one node of a graph isn't the end of its work: 143, the shell's
    code for it, so that its supervisor starts it again. So does a bug in a callback, whose traceback is printed: 1.
    A node in which no callback has run for `watchdog.limit_s` prints where its Python threads stand, and ends with 1, too.

    One thread runs all callbacks. At 25 images and 50 sound chunks a second that takes 8 % of a core; rclpy's
    EventsExecutor (9.1.2 from the package index) takes 50 % of one and delivers nothing.

    Args:
        make_node: a class or function that makes a Stoppable node, called after rclpy.init.
        args: command line after the program's name; None takes the process's own.
        watched: False where nobody would start it again.
    """
    try:
        begin_ros(args)
        limit = limit_s() if watched else 0.0
        node = make_node()
    except UserError as error:
        print(error, file=sys.stderr)
        rclpy.try_shutdown()
        return EXIT_USER_ERROR
    except (RCLError, ParameterException) as error:  # of the middleware, or of a parameter that all nodes have
        print(f"ROS refuses to start the node: {' '.join(str(error).split())}.", file=sys.stderr)
        rclpy.try_shutdown()
        return EXIT_USER_ERROR
    finish = weakref.WeakMethod(node.finish)  # the watching thread must not keep the node alive

    def stop(number: int) -> None:
        if (still_there := finish()) is not None:
            still_there(0 if number == signal.SIGINT else 128 + number)

    watch_signals(stop)
    watchdog.begin(limit)
    beats = Clock(clock_type=ClockType.STEADY_TIME)
    node.create_timer(min(BEAT_S, limit / 4) or BEAT_S, lambda: watchdog.beat(), clock=beats)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin_until_future_complete(node.stopped)
    except Exception:  # a bug in a callback; threads of the node's own would keep the process, were they not ended
        traceback.print_exc()
        node.finish(1)
    node.take_time()
    node.end()
    executor.shutdown()
    node.destroy_node()
    code = node.stopped.result()
    # What a LifecycleNode holds in C goes with the object alone; without this its 32 MB of shared memory stay.
    del node, executor
    gc.collect()
    rclpy.try_shutdown()
    return code


def begin_ros(args: list[str] | None = None) -> None:
    """`rclpy.init`, with signals left to Python. UserError: ROS can't start in this environment."""
    domain = os.environ.get("ROS_DOMAIN_ID", "")
    if domain.isdecimal() and int(domain) > MOST_DOMAINS and "zenoh" not in os.environ.get("RMW_IMPLEMENTATION", ""):
        # Fast DDS would end the process without a word of ROS
        raise UserError(f"ROS_DOMAIN_ID is {domain}; DDS has domains 0 to {MOST_DOMAINS}.", "bad_domain")
    try:
        rclpy.init(args=args, signal_handler_options=rclpy.SignalHandlerOptions.NO)
    except RuntimeError as error:
        told = ", ".join(f"{name} is {os.environ.get(name, 'not set')}" for name in ("ROS_DOMAIN_ID", "ROS_LOG_DIR", "HOME"))
        raise UserError(f"ROS can't start: {' '.join(str(error).split())}. ({told}.)", "no_ros") from error


def watch_signals(stop) -> None:
    """Calls `stop(number)` from a thread as soon as SIGINT or SIGTERM arrives.

    Python's C handler writes to a socket at once, while a Python handler would wait until the executor's C
    code returns; so an idle node ends immediately too.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def keep(*_, _writer=writer) -> None:
        """Replaces Python's own handlers and holds the socket that the C handler writes to."""

    def wait() -> None:
        while number := reader.recv(1):
            stop(number[0])

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, keep)
    signal.set_wakeup_fd(writer.fileno())
    threading.Thread(target=wait, name="signals", daemon=True).start()
