"""`atl bench`: what the renderer can do, and what the whole graph does in real time on this machine.

Latency is from the arrival of the last sample that a frame needs (its 40 ms of sound and the look-ahead) to the arrival of
the frame's message, both seen by one observer process that subscribes as the nodes do. Dropped: frames of the stream that
never came, after its first second. Shown and late: what the display node did with those that came. With --reference the speed
of a 3D U-Net of the paper's size is taken in the same run, for a ratio: see `reference.py`. Start-up, memory and new photos
are taken in fresh processes: see `first_frame.py`.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import resources
from itertools import cycle, product
from pathlib import Path
from statistics import median

import numpy as np
import yaml

from atl_bringup.arguments import int_between, not_negative
from atl_bringup.compare import table
from atl_bringup.graph import default_speech
from atl_bringup.reference import ROUNDS, Reference, network_cost
from atl_bringup.streams import bench_streams
from atl_bringup.supervise import die_with_parent
from atl_diffusion_node.portrait import Portrait, default_portrait_path, load_portrait
from atl_diffusion_node.process import prepare_process
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import DATA, FACE_SIZE, Runtime, make_runtime
from atl_diffusion_node.runtime import DEVICES as RENDERERS
from atl_diffusion_node.views import VIEWS
from atl_evaluation.provenance import host
from atl_face.errors import UserError
from atl_face.files import file_to_write
from atl_face.media import read_audio
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkStream

WARM_UP = 20  # frames before the renderer is timed
SETTLE_S = 1.0  # of the stream before frames count
STARTS = 5  # fresh processes, of which the median counts
DEVICES, PRECISIONS = ("cpu", "onnxruntime"), ("f32", "bf16", "int8")  # of which those are timed that this machine has
STAGES = ("warp", "guide", "network", "paste", "total")
# Every library with kernels of its own believes that the processor has no AVX-512; read when it is loaded.
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # OpenVINO
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",  # torch, of the reference
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}


def add_parser(subparsers) -> None:
    """Adds `bench` to the `atl` command."""
    parser = subparsers.add_parser("bench", description=__doc__)
    parser.add_argument("--seconds", type=not_negative, default=60.0, help="of each graph run (0: the renderer alone)")
    parser.add_argument("--threads", type=int_between(0, 64), default=2, help="that draw (0: all cores)")
    parser.add_argument("--device", choices=RENDERERS, default="cpu",
                        help="of renderer, avatars and graph, as the diffusion node's; start-up stays the CPU's")  # fmt: skip
    parser.add_argument("--streams", type=int, nargs="+", metavar="N", help="also so many avatars at once; on a GPU in batches")
    parser.add_argument("--viewer", action="store_true", help="also with one WebRTC viewer")
    parser.add_argument("--avx2", action="store_true", help="as on a processor without AVX-512 and bfloat16")
    parser.add_argument("--reference", action="store_true", help="also a network of the paper's size (needs torch)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    prepare_process()
    if chosen.json:
        chosen.json = file_to_write(chosen.json)  # now, not after minutes
    if chosen.avx2:
        if AVX2.items() - os.environ.items():  # once more, before the libraries are loaded; for the graph's processes too
            os.execve(sys.executable, [sys.executable, "-m", "atl_bringup.cli", *sys.argv[1:]], os.environ | AVX2)
    runtime = make_runtime(chosen.device, chosen.threads)  # now: it may not be here
    if chosen.streams and min(chosen.streams) < 1:
        raise UserError("--streams takes numbers of 1 or more.", "no_streams")
    result = {"machine": host(), "landmark": bench_landmarks()}
    reference = Reference(chosen.threads) if chosen.reference else None
    result["renderer"] = bench_renderer(runtime, reference)
    if reference:
        result["reference"] = reference.figures()
        for key in ("torch", "runtime"):
            result["renderer"][f"vs_paper_{key}"] = round(result["renderer"]["fps"] / result["reference"][key]["fps"], 1)
    if chosen.streams:
        result["streams"] = bench_streams(runtime, *spoken(), chosen.streams)
    result["precisions"] = bench_precisions(chosen.threads, ("cpu",) if chosen.avx2 else DEVICES)
    result["start"] = bench_start(chosen.threads)
    result["asked"] = asked(result)
    if chosen.seconds:
        for display in ("none", "web") if chosen.viewer else ("none",):
            key = "graph_with_viewer" if display == "web" else "graph"
            result[key] = bench_graph(chosen.seconds, display, chosen.threads, chosen.device)
    tell(result)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1))
    return 0


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
    params, gflop = network_cost(resources.files("atl_landmark_node") / "data" / "speech_landmarks.onnx")
    return with_rate(times) | {"real_time_factor": round(float(np.mean(times)) / 40, 4),
                               "params_m": round(params, 2), "gflop_per_frame": round(gflop, 4)}  # fmt: skip


def spoken() -> tuple[Portrait, Iterator[np.ndarray]]:
    """The shipped portrait at 512 px, and its landmarks as it says the shipped speech, again and again."""
    portrait = load_portrait(default_portrait_path(), 512)
    stream = LandmarkStream(SpeechModel())
    stream.set_portrait(portrait.neutral)
    return portrait, cycle([f.points for f in stream.push(read_audio(default_speech()))])


def bench_renderer(runtime: Runtime, reference: Reference | None = None, frames: int = 400) -> dict[str, object]:
    """The renderer alone: 512x512 output, the shipped portrait and speech; everything but publishing.

    The face's crop is warped at 256x256; the network draws all of it at half that size, and the mouth at its own (`views.py`).
    A reference is timed in between, so that both meet the machine in the same state.
    """
    portrait, driving = spoken()
    renderer = FaceRenderer(runtime)
    before = time.perf_counter()
    renderer.set_identity(portrait)
    identity_ms = 1e3 * (time.perf_counter() - before)
    rounds, rows, faults = ROUNDS if reference else 1, [], 0
    for _ in range(rounds):
        if reference:
            reference.measure()
        for k in range(WARM_UP + frames // rounds):
            faults_before, before = _page_faults(), time.perf_counter()
            renderer.render(next(driving))
            t = renderer.times
            if k >= WARM_UP:
                rows.append((t.warp, t.guide, t.network, t.paste, 1e3 * (time.perf_counter() - before)))
                faults += _page_faults() - faults_before
    rows = np.array(rows)
    params, gflop = np.sum([network_cost(DATA / view / "unet.onnx") for view in VIEWS], axis=0)
    stages = {name: with_rate(column) for name, column in zip(STAGES, rows.T, strict=True)}
    return {"fps": stages["total"]["fps"], "p99_ms": stages["total"]["p99_ms"], "stages": stages,
            "params_m": round(params, 2), "gflop_per_frame": round(gflop * renderer.steps, 2),
            "page_faults": round(faults / len(rows), 1), "set_identity_ms": round(identity_ms, 1),
            "runtime": runtime.name, "steps": renderer.steps,
            "crop_px": round(portrait.transform.side_px), "drawn_at_px": FACE_SIZE,
            "network_px": [view.shape for view in VIEWS.values()]}  # fmt: skip


def _page_faults() -> int:
    """Of this process so far, without reading from a disk."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def bench_precisions(threads: int, devices: tuple[str, ...] = DEVICES, frames: int = 240) -> dict[str, dict[str, float]]:
    """The whole renderer on every runtime and precision that this processor can do, in turns: the runtime's name -> speed.

    ONNX Runtime can't be kept from AVX-512, so that --avx2 does without it.
    """
    (portrait, driving), renderers = spoken(), {}
    for device, precision in product(devices, PRECISIONS):
        try:
            renderer = FaceRenderer(make_runtime(device, threads, precision))
        except (RuntimeError, UserError):  # OpenVINO's and ours
            continue
        renderer.set_identity(portrait)
        renderers[renderer.runtime.name] = renderer
    times = {name: [] for name in renderers}
    for _ in range(ROUNDS):
        for name, renderer in renderers.items():
            for k in range(WARM_UP + frames // ROUNDS):
                before = time.perf_counter()
                renderer.render(next(driving))
                if k >= WARM_UP:
                    times[name].append(1e3 * (time.perf_counter() - before))
    return {name: with_rate(values) for name, values in times.items()}


def bench_start(threads: int, starts: int = STARTS) -> dict[str, float]:
    """Start-up to the first frame, memory and new photos in fresh processes: medians (ms), the largest memory (MB)."""
    runs = []
    for _ in range(starts):
        command = [sys.executable, "-m", "atl_bringup.first_frame", str(time.monotonic()), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"The renderer did not start: {done.stderr.strip().splitlines()[-1:]}", "no_renderer")
        runs.append(json.loads(done.stdout))
    photos = [run.pop("photos") for run in runs]
    result = {key: (max if key.startswith("rss") else median)(run[key] for run in runs) for key in runs[0]}
    if photos[0]:
        first, later = [rows[0] for rows in photos], [row for rows in photos for row in rows[1:]]
        result |= {"first_photo_ms": round(median(sum(row.values()) for row in first), 1),
                   "new_photo_ms": round(median(sum(row.values()) for row in later), 1),
                   "new_identity_ms": round(median(row["identity_ms"] for row in later), 1)}  # fmt: skip
    return result | {"starts": starts}


def asked(result: dict) -> list[dict[str, object]]:
    """What was asked of the renderer, what it is, and whether that is met; lines of what this run didn't measure are left out."""
    renderer, start = result["renderer"], result["start"]
    name = result["reference"]["runtime"]["name"] if "reference" in result else ""
    lines = [
        ("renderer, whole: frames/s", ">=", 60, renderer["fps"]),
        ("renderer, whole: p99, ms", "<=", 25, renderer["p99_ms"]),
        ("times the paper's size in torch", ">=", 80, renderer.get("vs_paper_torch")),
        (f"times the paper's size in {name}", ">=", 25, renderer.get("vs_paper_runtime")),
        ("process start to first frame, ms", "<=", 2000, start["total_ms"]),
        ("set_identity, face found before, ms", "<=", 500, start.get("new_identity_ms", start["identity_ms"])),
        ("new photo: face found, set_identity, ms", "<=", 500, start.get("new_photo_ms")),
        ("the same, first photo of a process, ms", "<=", 500, start.get("first_photo_ms")),
        ("RSS, peak of 200 frames, MB", "<=", 700, start["rss_mb"]),
        ("RSS, peak, detector loaded, MB", "<=", 700, start["rss_with_detector_mb"]),
    ]
    return [{"what": what, "asked": f"{sign} {bound}", "is": value, "met": value >= bound if sign == ">=" else value <= bound}
            for what, sign, bound, value in lines if value is not None]  # fmt: skip


def bench_graph(seconds: float, display: str, threads: int, device: str = "cpu") -> dict[str, object]:
    """The whole graph through `atl run`, watched by an observer process; with `web`, by a WebRTC viewer too."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        params = Path(folder, "bench.yaml")
        values = {"diffusion": {"threads": threads, "device": device}, "display": {"port": port}}
        params.write_text(yaml.safe_dump({f"/**/{k}": {"ros__parameters": v} for k, v in values.items()}))
        environment = os.environ | {"ROS_DOMAIN_ID": str(120 + os.getpid() % 80)}
        out = Path(folder, "seen.json")
        observer = [sys.executable, "-m", "atl_bringup.observe", str(seconds), str(out)]
        graph = [sys.executable, "-m", "atl_bringup.cli", "run", "--display", display, "--loop", "--params", str(params)]
        processes = []
        try:
            processes.append(subprocess.Popen(graph, env=environment, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent))
            if display == "web":
                viewer = [sys.executable, "-m", "atl_bringup.viewer", f"http://127.0.0.1:{port}", str(seconds + 10)]
                processes.append(subprocess.Popen(viewer, env=environment, preexec_fn=die_with_parent))
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
        del seen["latency_ms_by_stamp"], seen["skews"]  # percentiles are enough here
    if display == "web" and seen["nodes"]["display"]["figures"].get("viewers") != "1":
        raise UserError("The viewer was not connected, so the figures with a viewer would be none.", "no_viewer")
    return seen


def speed_table(result: dict) -> str:
    """A line for each stage and for the reference, with the ratio of frames/s to the reference in torch.

    ms: medians; frames/s: from the mean, for the reference from its median.
    """
    renderer, landmark = result["renderer"], result["landmark"]
    drawn = "{0}x{0}".format(renderer["drawn_at_px"])
    window = " and ".join("{1}x{0}".format(*view) for view in renderer["network_px"])
    lines = [("landmarks, one core", None, landmark, landmark),
             (f"renderer, network ({renderer['runtime']})", window, renderer, renderer["stages"]["network"]),
             ("renderer, whole", drawn, renderer, renderer["stages"]["total"])]  # fmt: skip
    if reference := result.get("reference"):
        lines += [(f"paper's size ({reference[key]['name']})", reference["pixels"], reference, reference[key])
                  for key in ("torch", "runtime")]  # fmt: skip
    rows = [(stage, pixels, cost["params_m"], cost["gflop_per_frame"], speed["p50_ms"], speed["fps"],
             speed["fps"] / reference["torch"]["fps"] if reference and pixels else None)
            for stage, pixels, cost, speed in lines]  # fmt: skip
    return table(("stage", "pixels", "params, M", "GFLOP a frame", "ms", "frames/s", "ratio"), rows)


def tell(result: dict) -> None:
    """Print the figures as tables that a person reads."""
    print(json.dumps(result["machine"]))
    renderer = result["renderer"]
    print(speed_table(result))
    if "reference" in result:
        print(f"renderer, whole, over paper's size: {renderer['vs_paper_torch']} x torch, {renderer['vs_paper_runtime']} x "
              f"{result['reference']['runtime']['name']}")  # fmt: skip
    print(f"landmark stage, one core: {result['landmark']}")
    print(f"renderer ({renderer['runtime']}, {renderer['steps']} step, crop of {renderer['crop_px']} px): "
          f"{renderer['fps']} frames/s, p99 {renderer['p99_ms']} ms, {renderer['page_faults']} page faults a frame; "
          f"set_identity {renderer['set_identity_ms']} ms")  # fmt: skip
    for name, figures in renderer["stages"].items():
        print(f"  {name:8} {figures}")
    print(table(("renderer, whole, in turns", "frames/s", "p50 ms", "p99 ms"), [
        (name, row["fps"], row["p50_ms"], row["p99_ms"]) for name, row in result["precisions"].items()]))  # fmt: skip
    if "streams" in result:
        print(table(("avatars at once", "runtime", "frames/s", "of each", "p50 ms", "p99 ms", "network", "rest", "holds 25"), [
            [*list(row.values())[:-1], "yes" if row["holds"] else "no"] for row in result["streams"]]))  # fmt: skip
    print(f"start-up: {result['start']}")
    print(table(("what", "asked", "is", "met"), [(*list(row.values())[:3], "yes" if row["met"] else "no")
                                                 for row in result["asked"]]))  # fmt: skip
    for key in ("graph", "graph_with_viewer"):
        if key not in result:
            continue
        graph = result[key]
        print(f"{key}: {graph['frames']} frames in {graph['seconds']} s, {graph['dropped']} dropped after the first second")
        print(f"  display {graph['display']}")
        print(f"  latency {graph['latency']}")
        for node, figures in graph["nodes"].items():
            print(f"  {node:18} {figures}")
