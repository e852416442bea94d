"""The supervisor and the lifecycle manager with real processes: order, recovery, end, exit codes."""

import asyncio
import os
import signal
import time
from contextlib import suppress

import psutil
import pytest

from atl_bringup.graph import avatar_graph
from atl_bringup.lifecycle import EXIT_REFUSED, LIVE_TWIN_S
from atl_bringup.supervise import Supervisor, command_of, find_executable
from atl_face.errors import UserError

LIVE = "the face is live"


def family(running) -> list[psutil.Process]:
    return psutil.Process(running.process.pid).children(recursive=True)


def gone(processes: list[psutil.Process], within_s: float) -> bool:
    return not psutil.wait_procs(processes, timeout=within_s)[1]


def test_all_become_active_in_the_declared_order_and_sigint_leaves_nothing(start, dummies):
    running = start(dummies())
    running.wait_for(LIVE)
    order = [line.split()[3] for line in running.lines if "activated" in line]
    assert order == ["three", "one", "two"]
    first_activated = next(i for i, line in enumerate(running.lines) if "activated three" in line)
    assert sum("configured" in line for line in running.lines[:first_activated]) >= 1

    processes = family(running)
    assert len(processes) == 4
    began = time.monotonic()
    running.process.send_signal(signal.SIGINT)
    assert running.end(3.0) == 0
    assert time.monotonic() - began < 3.0
    assert not any(process.is_running() for process in processes)
    assert running.text.count("cleaned") == 3, "every node was shut down in order"
    assert "Traceback" not in running.text


def test_a_second_graph_of_the_same_names_says_so_and_the_first_goes_on(start, dummies):
    first = start(dummies())
    first.wait_for(LIVE)
    time.sleep(LIVE_TWIN_S + 0.5)
    second = start(dummies())
    assert second.end() == EXIT_REFUSED
    assert second.text.count("another avatar runs as /test in this ROS domain") == 1 and "Traceback" not in second.text
    processes = family(first)
    time.sleep(1)
    assert len(processes) == 4 and all(process.is_running() for process in processes) and first.process.poll() is None
    first.process.send_signal(signal.SIGINT)
    assert first.end() == 0 and "another avatar" not in first.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("name", ["two", "lifecycle_manager"])
def test_a_killed_node_is_started_again_and_brought_back(start, dummies, name, number):
    running = start(dummies())
    running.wait_for(LIVE)
    victim = next(p for p in family(running) if f"__node:={name}" in p.cmdline())
    victim.send_signal(number)
    running.wait_for(f"{name} .*(SIGKILL|exit code 143); starting it again")
    if name == "two":
        assert int(running.wait_for(r"activated two (\d+)", 10.0)[1]) != victim.pid
    running.wait_for(LIVE, 10.0)


def test_a_user_error_ends_the_graph_with_its_sentence_and_code_2(start, dummies):
    running = start(dummies(two={"refuse": True}))
    assert running.end() == 2
    assert running.text.count("No face in the picture: give another.") == 1
    assert "Traceback" not in running.text


def test_a_bug_in_a_step_starts_the_node_again(start, dummies, tmp_path):
    (mark := tmp_path / "mark").touch()
    running = start(dummies(two={"break_once": str(mark)}))
    running.wait_for("two .*exit code 1; starting it again")
    running.wait_for(LIVE)
    assert "ending the graph" not in running.text


def test_a_wrong_parameter_ends_the_graph_with_a_sentence_and_code_2(start, dummies):
    running = start(dummies(one={"end_code": "soon"}))
    assert running.end() == 2
    assert "end_code" in running.text
    assert "Traceback" not in running.text


def test_a_node_that_has_done_its_work_ends_the_graph_with_code_0(start, dummies):
    running = start(dummies(one={"end_code": 0}))
    assert running.end() == 0


def test_a_node_that_is_not_respawned_ends_the_graph_with_its_code(start, dummies):
    from dataclasses import replace

    graph = dummies(one={"end_code": 3})
    nodes = tuple(replace(spec, respawn=False) if spec.name == "one" else spec for spec in graph.nodes)
    assert start(replace(graph, nodes=nodes)).end() == 3


def test_a_node_that_hangs_at_the_end_is_killed_within_3_s(start, dummies):
    running = start(dummies(two={"hang": True}))
    running.wait_for(LIVE)
    processes = family(running)
    running.process.send_signal(signal.SIGTERM)
    assert running.end(3.0) == 0
    assert not any(process.is_running() for process in processes)


def test_killing_the_supervisor_takes_its_nodes_along(start, dummies):
    running = start(dummies())
    running.wait_for(LIVE)
    processes = family(running)
    running.process.kill()
    assert gone(processes, 2.0)


def test_a_missing_executable_is_told_in_one_sentence(workspace):
    with pytest.raises(UserError, match="no executable node of the package atl_nowhere"):
        find_executable("atl_nowhere", "node")


def test_parameters_keep_their_type_on_the_way_to_the_node(tmp_path):
    """A path that looks like a number stays a string."""
    import yaml

    graph = avatar_graph(audio="silence", params={"display": {"out": "2024"}})
    command = command_of(graph.node("display"), tmp_path)
    written = yaml.safe_load((tmp_path / "display.yaml").read_text())
    assert written["/robot_face/display"]["ros__parameters"]["out"] == "2024"
    assert command[1:5] == ["--ros-args", "-r", "__node:=display", "-r"]
    assert os.access(command[0], os.X_OK)


@pytest.mark.parametrize("disk", ["/dev/full", "/dev/null"])
def test_nodes_are_read_on_though_nobody_can_be_told_what_they_say(disk):
    async def tell() -> int:
        stream = asyncio.StreamReader(limit=64)
        stream.feed_data(b"x" * 200 + b"\n" + b"word\n" * 5000)
        stream.feed_eof()
        with suppress(OSError), open(disk, "w") as output:
            await Supervisor(avatar_graph(audio="silence"), output)._tell("audio", stream)
        return len(await stream.read())

    assert asyncio.run(tell()) == 0
