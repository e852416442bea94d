"""`atl bench`: what the renderer can do, and what the whole graph does in real time on this machine.

Latency is from the arrival of the last sample that a frame needs (its 40 ms of sound and the look-ahead) to the arrival of
the frame's message, both seen by one observer process that subscribes as the nodes do. Dropped: frames of the stream that
never came, after its first second. Shown and late: what the display node did with those that came.
"""

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import yaml

from atl_bringup.graph import default_speech
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import FACE_SIZE, WINDOW, OpenVinoRuntime
from atl_face.errors import UserError
from atl_face.files import file_to_write
from atl_face.media import read_audio
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkStream

WARM_UP = 20  # frames before the renderer is timed
SETTLE_S = 1.0  # of the stream before frames count
STAGES = ("warp", "guide", "network", "paste", "total")
# Every library with kernels of its own believes that the processor has no AVX-512; read when it is loaded.
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # OpenVINO
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "OPENBLAS_CORETYPE": "Haswell",
}


def add_parser(subparsers) -> None:
    """Adds `bench` to the `atl` command."""
    parser = subparsers.add_parser("bench", help="measure renderer and graph on this machine", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each graph run (0: the renderer alone)")
    parser.add_argument("--threads", type=int, default=2, help="of the network")
    parser.add_argument("--viewer", action="store_true", help="also with one WebRTC viewer")
    parser.add_argument("--avx2", action="store_true", help="as on a processor without AVX-512 (float32)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    cv2.setNumThreads(1)
    precision = "auto"
    if chosen.json:
        chosen.json = file_to_write(chosen.json)  # now, not after minutes
    if chosen.avx2:
        if AVX2.items() - os.environ.items():  # once more, before the libraries are loaded; for the graph's processes too
            os.execve(sys.executable, [sys.executable, "-m", "atl_bringup.cli", *sys.argv[1:]], os.environ | AVX2)
        precision = "f32"
    result = {"machine": machine(), "landmark": bench_landmarks()}
    result["renderer"] = bench_renderer(OpenVinoRuntime(chosen.threads, precision))
    if chosen.seconds:
        for display in ("none", "web") if chosen.viewer else ("none",):
            key = "graph_with_viewer" if display == "web" else "graph"
            result[key] = bench_graph(chosen.seconds, display, chosen.threads, precision)
    tell(result)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1))
    return 0


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"processor": name, "cores": os.cpu_count(), "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", "native"),
            "python": platform.python_version(), "load_before": round(os.getloadavg()[0], 2)}  # fmt: skip


def percentiles(values) -> dict[str, float]:
    values = np.asarray(values, np.float64)
    if values.size == 0:
        return {}
    p50, p95, p99, largest = np.percentile(values, (50, 95, 99, 100)).round(2).tolist()
    return {"p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "max_ms": largest}


def with_rate(times_ms) -> dict[str, float]:
    """Percentiles, and how many a second it would be alone."""
    return percentiles(times_ms) | {"fps": round(1e3 / float(np.mean(times_ms)), 1)}


def bench_landmarks() -> dict[str, float]:
    """The landmark stage alone, one core: ms per 40 ms step, and its real-time factor."""
    sound, times = read_audio(default_speech()), []
    stream = LandmarkStream(SpeechModel())
    for at in range(0, len(sound) - 640, 640):
        before = time.perf_counter()
        list(stream.push(sound[at : at + 640]))
        times.append(1e3 * (time.perf_counter() - before))
    return with_rate(times) | {"real_time_factor": round(float(np.mean(times)) / 40, 4)}


def bench_renderer(runtime: OpenVinoRuntime, frames: int = 400) -> dict[str, object]:
    """The renderer alone: 512x512 output, the shipped portrait and speech; everything but publishing.

    The face's crop is drawn at 256x256; the networks see WINDOW of it, the rest is warped (see `runtime.WINDOW`).
    """
    portrait = load_portrait(default_portrait_path(), 512)
    renderer = FaceRenderer(runtime)
    before = time.perf_counter()
    renderer.set_identity(portrait)
    identity_ms = 1e3 * (time.perf_counter() - before)
    stream = LandmarkStream(SpeechModel())
    stream.set_portrait(portrait.neutral)
    points = [f.points for f in stream.push(read_audio(default_speech()))]
    rows = []
    for k in range(WARM_UP + frames):
        before = time.perf_counter()
        renderer.render(points[k % len(points)])
        t = renderer.times
        rows.append((t.warp, t.guide, t.network, t.paste, 1e3 * (time.perf_counter() - before)))
    rows = np.array(rows[WARM_UP:])
    stages = {name: with_rate(column) for name, column in zip(STAGES, rows.T, strict=True)}
    return {"fps": stages["total"]["fps"], "p99_ms": stages["total"]["p99_ms"], "stages": stages,
            "set_identity_ms": round(identity_ms, 1), "runtime": runtime.name, "steps": renderer.steps,
            "crop_px": round(portrait.transform.side_px), "drawn_at_px": FACE_SIZE, "network_px": WINDOW}  # fmt: skip


def bench_graph(seconds: float, display: str, threads: int, precision: str) -> dict[str, object]:
    """The whole graph through `atl run`, watched by an observer process; with `web`, by a WebRTC viewer too."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        params = Path(folder, "bench.yaml")
        values = {"diffusion": {"threads": threads, "precision": precision}, "display": {"port": port}}
        params.write_text(yaml.safe_dump({f"/**/{k}": {"ros__parameters": v} for k, v in values.items()}))
        environment = os.environ | {"ROS_DOMAIN_ID": str(120 + os.getpid() % 80)}
        out = Path(folder, "seen.json")
        observer = [sys.executable, "-m", "atl_bringup.observe", str(seconds), str(out)]
        graph = [sys.executable, "-m", "atl_bringup.cli", "run", "--display", display, "--loop", "--params", str(params)]
        processes = []
        try:
            processes.append(subprocess.Popen(graph, env=environment, stdout=subprocess.DEVNULL))
            if display == "web":
                viewer = [sys.executable, "-m", "atl_bringup.viewer", f"http://127.0.0.1:{port}", str(seconds + 10)]
                processes.append(subprocess.Popen(viewer, env=environment))
                time.sleep(8.0)  # it has found the page, and encoding has begun, before anything is counted
            subprocess.run([*observer, str(processes[0].pid)], env=environment, check=True, timeout=seconds + 60)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise UserError("The graph could not be measured: run `atl run` and read its messages.", "no_graph") from error
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
        seen = json.loads(out.read_text())
    if display == "web" and seen["nodes"]["display"]["figures"].get("viewers") != "1":
        raise UserError("The viewer was not connected, so the figures with a viewer would be none.", "no_viewer")
    return seen


def tell(result: dict) -> None:
    """Print the figures as tables that a person reads."""
    print(json.dumps(result["machine"]))
    print(f"landmark stage, one core: {result['landmark']}")
    renderer = result["renderer"]
    print(f"renderer ({renderer['runtime']}, {renderer['steps']} step, crop of {renderer['crop_px']} px): "
          f"{renderer['fps']} frames/s, p99 {renderer['p99_ms']} ms; set_identity {renderer['set_identity_ms']} ms")  # fmt: skip
    for name, figures in renderer["stages"].items():
        print(f"  {name:8} {figures}")
    for key in ("graph", "graph_with_viewer"):
        if key not in result:
            continue
        graph = result[key]
        print(f"{key}: {graph['frames']} frames in {graph['seconds']} s, {graph['dropped']} dropped after the first second")
        print(f"  display {graph['display']}")
        print(f"  latency {graph['latency']}")
        for node, figures in graph["nodes"].items():
            print(f"  {node:18} {figures}")
