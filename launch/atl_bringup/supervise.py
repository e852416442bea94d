"""Runs a graph as plain processes: messages under the node's name, crashes started again, one orderly end.

What `ros2 launch` does with the same description where the package `launch` is at hand.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import yaml

from atl_bringup.graph import Graph, NodeSpec
from atl_face.errors import UserError

RESPAWN_FIRST_S, RESPAWN_LAST_S = 0.5, 8.0  # the pause doubles with every crash in a row ...
STEADY_S = 20.0  # ... and starts anew when a process has lived so long
GRACE_S = 2.3  # from SIGTERM to SIGKILL: nodes end at once, a recorder closes its clip; all over within 3 s
LINE_BYTES = 1 << 20  # the longest line that is passed on
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def find_executable(package: str, executable: str) -> str:
    """Path of a ROS executable, as `ros2 run` finds it: lib/<package>/<executable> of a prefix.

    Raises:
        UserError: the package isn't in the workspace.
    """
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix, "lib", package, executable)
        if prefix and os.access(path, os.X_OK):
            return str(path)
    raise UserError(f"The workspace has no executable {executable} of the package {package}: run make setup.")


def command_of(spec: NodeSpec, folder: Path) -> list[str]:
    """Command line of a node; its parameters are written to a file in `folder`, as launch_ros does."""
    file = folder / f"{spec.name}.yaml"
    file.write_text(yaml.safe_dump({spec.full_name: {"ros__parameters": spec.parameters}}))
    remap = [f"__node:={spec.name}", f"__ns:={spec.namespace}", *(f"{a}:={b}" for a, b in spec.remappings)]
    arguments = [word for rule in remap for word in ("-r", rule)]
    program = find_executable(spec.package, spec.executable)
    return [program, "--ros-args", *arguments, "--params-file", str(file)]


def die_with_parent() -> None:
    """In the child, before exec: the kernel kills it when this supervisor is gone, however it went."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """Keeps the processes of one graph running until one of them, or a signal, ends it."""

    def __init__(self, graph: Graph, output=sys.stdout):
        self._graph = graph
        self._output = output
        self._environment = {**graph.environment, **os.environ}
        self._width = max(len(spec.name) for spec in graph.nodes)
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def run(self) -> int:
        """Starts all nodes and returns the graph's exit code when it has ended and no process is left."""
        ended = asyncio.get_running_loop().create_future()

        def end(code: int) -> None:
            if not ended.done():
                ended.set_result(code)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` sets SIGHUP
                asyncio.get_running_loop().add_signal_handler(number, end, 0)
        with tempfile.TemporaryDirectory(prefix="atl-") as folder:
            commands = [(spec, command_of(spec, Path(folder))) for spec in self._graph.nodes]
            keepers = [asyncio.create_task(self._keep(spec, command, end)) for spec, command in commands]
            try:
                done, _ = await asyncio.wait([ended, *keepers], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a keeper that failed tells why
                return await ended
            finally:
                for keeper in keepers:
                    keeper.cancel()
                await asyncio.gather(*keepers, return_exceptions=True)
                await self._stop_all()

    async def _keep(self, spec: NodeSpec, command: list[str], end) -> None:
        """Runs one node, again and again while the graph is to go on."""
        pause_s = RESPAWN_FIRST_S
        while True:
            started = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                *command,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which then ends all in order
                preexec_fn=die_with_parent,
                limit=LINE_BYTES,
            )
            self._processes[spec.name] = process
            reader = asyncio.create_task(self._tell(spec.name, process.stdout))
            code = await process.wait()
            await asyncio.wait([reader], timeout=0.2)  # a grandchild may hold the pipe open
            if spec.ends_graph(code):
                end(code if code >= 0 else 128 - code)
                return
            if time.monotonic() - started > STEADY_S:
                pause_s = RESPAWN_FIRST_S
            self._say(spec.name, f"ended with {_reason(code)}; starting it again in {pause_s:g} s")
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RESPAWN_LAST_S)

    async def _tell(self, name: str, stream: asyncio.StreamReader) -> None:
        """Pass on a node's lines to its end, whatever becomes of them: one whose pipe is full stands still."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than LINE_BYTES; what was read of it is gone
                continue
            if not line:
                return
            self._say(name, line.decode(errors="replace").rstrip())

    def _say(self, name: str, text: str) -> None:
        with suppress(OSError, ValueError):  # a full disk, a reader that is gone, a letter it lacks: the face goes on
            print(f"{name:<{self._width}} | {text}", file=self._output, flush=True)

    async def _stop_all(self) -> None:
        """SIGTERM to every process group, SIGKILL to what is left of it after GRACE_S.

        SIGINT would make Python show a traceback where it comes while a node still imports its libraries.
        """
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            _signal_group(process.pid, signal.SIGTERM)
        if running:
            await asyncio.wait([asyncio.create_task(process.wait()) for process in running], timeout=GRACE_S)
        for process in self._processes.values():
            _signal_group(process.pid, signal.SIGKILL)
        for process in running:
            await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        pass  # the whole group has ended already


def _reason(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def supervise(graph: Graph) -> int:
    """Runs `graph` to its end. Returns 0 when done or told to stop, else the code of the node at fault."""
    return asyncio.run(Supervisor(graph).run())
