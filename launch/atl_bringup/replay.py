"""`atl replay`: a bag's sound in real time through the live graph; what comes out is measured, recorded and judged.

The sound goes in as `audio`, as it is in the bag, and the audio node is left out: chunks, stream ids, interrupts and ends
stay the bag's, so a replay can be laid beside the recording frame by frame, and `ros2 bag play` can take the player's place.
(Through `audio_in` the audio node would cut it anew, under ids and stamps of its own, and no end would be told.) /clock
carries the bag's media time; latencies are taken on one monotonic clock, by a process that subscribes as the nodes do.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from atl_bringup import evaluate
from atl_bringup.graph import Graph, avatar_graph, environment, manager
from atl_bringup.parameter_file import NAMESPACE, read_parameters
from atl_bringup.supervise import die_with_parent, supervise
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.process import prepare_process
from atl_evaluation.bag import Bag, read_bag
from atl_evaluation.events import Chunk, Shown
from atl_evaluation.run_folder import begin_run, folder_to_write
from atl_evaluation.verdict import PASSED
from atl_face.errors import UserError

LISTENERS = 4  # of audio: landmark, display, recorder, observer
READY_S = 60.0  # for the graph to come up on a busy machine; the player tells when it didn't
FIRST_FRAME_S = 30.0  # after that for the first frame
SLACK_S = 120.0  # for processes to start and end on a busy machine
LEAST_S = 3.0  # of sound: the first second of frames isn't counted, and the display reports once a second
END_S = 10.0  # for a process to end in good order


def add_parser(subparsers) -> None:
    """Adds `replay` to the `atl` command."""
    parser = subparsers.add_parser("replay", description=__doc__)
    parser.add_argument("bag", type=Path, help="a rosbag2: a folder, or one .mcap or .db3 file")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER",
                        help="for what evaluate writes, live.json, the new bag and graph.log")  # fmt: skip
    parser.add_argument("--images", action="store_true", help="record the frames, too: about 1 GB a minute at 512 px")
    evaluate.add_options(parser)
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    """Exit code as `atl evaluate`'s, of the bag that was recorded from the graph."""
    prepare_process()
    out = folder_to_write(chosen.out)
    if (out / "bag").exists():
        raise UserError(f"{out} holds a replay already: name another folder.", "exists")
    bag = read_bag(chosen.bag, chosen.namespace)
    options = evaluate.options_of(chosen, bag.namespace)  # a mistake is told now, not after the replay
    live = replay(bag, out, chosen)
    # what was seen live, not what the sound would give; the new bag holds the portrait that was shown
    options |= {"driven_by": "landmarks", "portrait": None}
    middleware = os.environ.get("RMW_IMPLEMENTATION", environment()["RMW_IMPLEMENTATION"])
    seen = {"latency_ms": {int(stamp): value for stamp, value in live.pop("latency_ms_by_stamp").items()},
            "skews": live.pop("skews")}  # fmt: skip
    summary = evaluate.evaluate(read_bag(out / "bag", NAMESPACE), out, live=live, middleware=middleware, **seen, **options)
    evaluate.tell(summary, out)
    return 0 if summary["verdict"] == PASSED else evaluate.EXIT_FAILED


def replay(bag: Bag, out: Path, chosen: argparse.Namespace) -> dict[str, object]:
    """Play a bag into a graph of its own; the new bag and live.json lie in `out`. Returns the live figures:

    seconds, frames, dropped; rates_hz of audio, landmarks, image_raw; latency {p50_ms, p95_ms, p99_ms, max_ms} from the last
    sample needed to the frame (latency_ms_by_stamp: of each), stages: to the landmarks, from there to the frame; skew of picture
    minus sound as the display reports it once a second (skews: s since the first frame, and ms, of each); display: its counts;
    nodes: cpu_percent, rss_mb and figures; player: its lateness.

    Raises:
        UserError: the bag has too little sound, or the graph didn't run: then the new bag is gone, so that it can be tried again.
    """
    chunks = bag.of(Chunk)
    seconds = (chunks[-1].log_ns - chunks[0].log_ns) / 1e9 if chunks else 0.0
    if seconds < LEAST_S:
        raise UserError(f"The bag {bag.path} has {seconds:.1f} s of sound; a replay needs {LEAST_S:g} s.", "too_short")
    begin_run(out)
    if chosen.portrait and bag.of(Shown):
        print("The bag has its own portrait: it is shown, not the one that was given.", file=sys.stderr)
    graph = graph_for(bag, out, chosen.portrait, chosen.params)
    os.environ.update({name: value for name, value in environment().items() if name not in os.environ})
    os.environ["ROS_DOMAIN_ID"] = str(120 + os.getpid() % 80)  # away from a face that is running
    watch_s = seconds - 0.5  # from the first frame to shortly before the sound's end
    seen, module = out / "live.json", [sys.executable, "-m"]
    images, observer_s = ["--images"] if chosen.images else [], READY_S + FIRST_FRAME_S
    try:
        with running(graph, out / "graph.log") as supervisor, contextlib.ExitStack() as ends:
            recorder = _start(ends, [*module, "atl_bringup.cli", "record", "--out", str(out / "bag"), *images])
            observer = _start(ends, [*module, "atl_bringup.observe", str(watch_s), str(seen), str(supervisor), str(observer_s)])
            player = _start(ends, [*module, "atl_bringup.player", str(bag.path), bag.namespace, str(LISTENERS), str(READY_S)])
            said, _ = player.communicate(timeout=seconds + SLACK_S)
            if player.returncode or observer.wait(END_S):
                raise UserError(f"The replay failed: read what stands above and {out / 'graph.log'}.", "no_graph")
            recorder.send_signal(signal.SIGINT)
            if recorder.wait(END_S):
                raise UserError("The replay couldn't be recorded: read what stands above.", "no_bag")
    except BaseException as error:  # Ctrl-C, too
        shutil.rmtree(out / "bag", ignore_errors=True)
        if isinstance(error, subprocess.TimeoutExpired):
            raise UserError(f"The replay didn't end: read {out / 'graph.log'}.", "no_graph") from error
        raise
    live = json.loads(seen.read_text()) | {"player": json.loads(said)}
    seen.write_text(json.dumps(live, indent=1))
    return live


def graph_for(bag: Bag, out: Path, portrait: Path | None, params: Path | None) -> Graph:
    """The graph without its audio node, on the bag's clock, showing the bag's face at its size."""
    shown = bag.of(Shown)
    parameters = {name: {} for name in ("landmark", "diffusion", "display")}
    if shown:
        face = shown[0].portrait
        parameters["diffusion"]["output_size"] = face.picture.shape[0]
        if face.id == load_portrait(default_portrait_path()).id:
            portrait = default_portrait_path()  # its landmarks are shipped; others' are looked for again
        else:
            portrait = out / "portrait.png"
            cv2.imwrite(str(portrait), cv2.cvtColor(face.picture, cv2.COLOR_RGB2BGR))
    for name, values in (read_parameters(params, bag.namespace) if params else {}).items():
        if name != "audio":
            parameters.setdefault(name, {}).update(values)
    for values in parameters.values():
        values["use_sim_time"] = True
    whole = avatar_graph(audio="topic", portrait=str(portrait or ""), display="none", params=parameters)
    stages = [node for node in whole.nodes if node.activation is not None and node.name != "audio"]
    return Graph((*stages, manager(stages)), whole.environment)


@contextlib.contextmanager
def running(graph: Graph, log: Path) -> Iterator[int]:
    """A graph in a process of its own, which ends with the block; gives its supervisor's pid."""
    process = multiprocessing.get_context("spawn").Process(target=_supervise, args=(graph, log))
    process.start()
    try:
        yield process.pid
    finally:
        process.terminate()
        process.join(END_S)
        if process.is_alive():
            process.kill()


def _supervise(graph: Graph, log: Path) -> None:
    """In the new process."""
    die_with_parent()
    with log.open("w") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
        sys.exit(supervise(graph))


def _start(ends: contextlib.ExitStack, command: list[str]) -> subprocess.Popen:
    """A process that is gone when the stack is; Ctrl-C reaches this one alone, which then ends them all."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent, start_new_session=True)
    ends.callback(_end, process)
    return process


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        until = time.monotonic() + END_S
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    process.communicate()
