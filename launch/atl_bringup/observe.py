"""Watch a running graph from outside: `python -m atl_bringup.observe SECONDS OUT.json SUPERVISOR_PID [START_S]`.

Subscribes to `audio`, `landmarks` and `image_raw`, samples CPU and memory of the supervisor's children, and writes what
`atl bench` and `atl replay` tell.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image

from atl_bringup.bench import SETTLE_S, percentiles
from atl_bringup.parameter_file import NAMESPACE
from atl_face.stream import FRAME_NS, FRAME_SAMPLES, SAMPLE_RATE
from atl_landmark_node.stream import LOOKAHEAD_SAMPLES
from atl_msgs.msg import AudioChunk, FaceLandmarks
from atl_node.qos import reliable
from atl_node.stamps import to_ns

START_S = 40.0  # until the first frame, unless it is given
EXIT_STOPPED = 143  # as by SIGTERM
PAUSE_S = 1.0  # without a message: between streams nobody counts on one


class Observer(Node):
    """Notes when each sample of sound, each frame's landmarks and each frame arrived."""

    def __init__(self):
        super().__init__("observer", namespace=NAMESPACE)
        self.audio: list[tuple[int, int, float]] = []  # media time (ns) of the first sample, samples, arrival (s)
        self.marks: dict[int, float] = {}  # stamp (ns) -> arrival (s) of landmarks
        self.frames: dict[int, float] = {}  # the same of frames
        self.skews: list[tuple[float, float]] = []  # s since the first frame, ms; the display's, once a second if it has new ones
        self.told: dict[str, dict[str, str]] = {}  # node -> its latest figures
        self.settled: dict[str, dict[str, str]] = {}  # node -> its first figures after SETTLE_S of frames
        self.create_subscription(AudioChunk, "audio", self._hear, reliable(100))
        self.create_subscription(FaceLandmarks, "landmarks", self._mark, reliable(50))
        self.create_subscription(Image, "image_raw", self._see, reliable(10))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._listen, reliable(50))

    def _hear(self, chunk: AudioChunk) -> None:
        self.audio.append((to_ns(chunk.header.stamp), len(chunk.samples), time.monotonic()))

    def _mark(self, message: FaceLandmarks) -> None:
        self.marks[to_ns(message.header.stamp)] = time.monotonic()

    def _see(self, image: Image) -> None:
        self.frames[to_ns(image.header.stamp)] = time.monotonic()

    def _listen(self, message: DiagnosticArray) -> None:
        since_s = time.monotonic() - next(iter(self.frames.values())) if self.frames else 0.0
        for status in message.status:
            name, figures = status.name.rsplit("/", 1)[-1], {v.key: v.value for v in status.values}
            if "skew_ms" in figures and figures["frames_shown"] != self.told.get(name, {}).get("frames_shown", "0"):
                self.skews.append((round(since_s, 3), float(figures["skew_ms"])))
            self.told[name] = figures
            if since_s >= SETTLE_S and "frames_shown" in figures:
                self.settled.setdefault(name, figures)


def arrivals_of(audio: list[tuple[int, int, float]], times: np.ndarray) -> np.ndarray:
    """When the chunk came that holds the sound of each media time (n,) ns: (n,) s, NaN where no chunk does."""
    chunks = sorted((start + 1_000_000_000 * count // SAMPLE_RATE, start, at) for start, count, at in audio)
    ends, starts, arrivals = (np.array(column) for column in zip(*chunks, strict=True)) if chunks else np.zeros((3, 0))
    index = np.searchsorted(ends, times)
    known = index < len(ends)
    known[known] = starts[index[known]] <= times[known]
    found = np.full(len(times), np.nan)
    found[known] = arrivals[index[known]]
    return found


def latencies(audio: list[tuple[int, int, float]], frames: dict[int, float]) -> dict[int, float]:
    """Stamp (ns) -> milliseconds from the arrival of the last sample a frame needs to the frame's, or its landmarks', arrival.

    A frame at the end of a stream needs no sample of the next: it has none.
    """
    need_ns = (FRAME_SAMPLES + LOOKAHEAD_SAMPLES) * 1_000_000_000 // SAMPLE_RATE
    heard = arrivals_of(audio, np.array(list(frames), np.int64) + need_ns - 1_000_000)  # a millisecond of rounding in stamps
    return {stamp: 1e3 * (seen - at) for (stamp, seen), at in zip(frames.items(), heard.tolist(), strict=True) if at == at}


def stages(observer: Observer) -> dict[str, dict[str, float]]:
    """Latency of each stage: last sample needed to landmarks, landmarks to frame."""
    both = observer.marks.keys() & observer.frames.keys()
    drawing = [1e3 * (observer.frames[stamp] - observer.marks[stamp]) for stamp in both]
    return {"landmark": percentiles(list(latencies(observer.audio, observer.marks).values())), "diffusion": percentiles(drawing)}


def rate(arrivals: list[float]) -> float | None:
    """Messages a second, from the first to the last, pauses left out."""
    steps = np.diff(arrivals)
    steps = steps[steps < PAUSE_S]
    return round(len(steps) / float(steps.sum()), 2) if steps.sum() > 0 else None


def dropped(frames: dict[int, float], audio: list[tuple[int, int, float]]) -> int:
    """Frames that are missing between the first and the last, after SETTLE_S, where there was sound: in a pause none is due."""
    stamps = np.array(sorted(frames), np.int64)
    stamps = stamps[stamps >= stamps[0] + SETTLE_S * 1e9]
    steps = np.rint(np.diff(stamps) / FRAME_NS).astype(int)
    missing = [start + FRAME_NS * np.arange(1, count) for start, count in zip(stamps, steps, strict=False) if count > 1]
    # a quarter into the frame: the last one before the next stream may lie half a frame into it
    return int(np.isfinite(arrivals_of(audio, np.concatenate(missing) + FRAME_NS // 4)).sum()) if missing else 0


def counted(first: dict[str, str], last: dict[str, str]) -> dict[str, int | None]:
    """What the display did with the frames between two of its reports; None where one of them is missing."""
    names = ("frames_shown", "frames_late", "frames_dropped")
    return {name: int(last[name]) - int(first[name]) if name in first and name in last else None for name in names}


def node_processes(supervisor: int) -> dict[str, psutil.Process]:
    """Node name -> process, of the children that were started with `__node:=NAME`."""
    found = {}
    for process in psutil.Process(supervisor).children(recursive=True):
        for word in process.cmdline():
            if word.startswith("__node:="):
                found[word.removeprefix("__node:=")] = process
    return found


def main() -> None:
    seconds, out, supervisor = float(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    rclpy.init()
    observer, executor = Observer(), SingleThreadedExecutor()
    executor.add_node(observer)
    start_s = float(sys.argv[4]) if len(sys.argv) > 4 else START_S
    deadline = time.monotonic() + start_s
    while not observer.frames:
        executor.spin_once(timeout_sec=0.1)
        if time.monotonic() > deadline:
            sys.exit(f"No frame came within {start_s:g} s: run `atl run --display none` and read its messages.")
    processes = node_processes(supervisor)
    for process in processes.values():
        process.cpu_percent()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        executor.spin_once(timeout_sec=0.05)
    nodes = {}
    for name, process in processes.items():
        nodes[name] = {"cpu_percent": process.cpu_percent(), "rss_mb": round(process.memory_info().rss / 1e6)}
    for name, figures in observer.told.items():
        if name in nodes:
            told = ("frames", "late", "viewers")
            nodes[name]["figures"] = {k: v for k, v in figures.items() if "_ms_" in k or k.startswith(told)}
    latency_ms = latencies(observer.audio, observer.frames)
    out.write_text(json.dumps({
        "seconds": seconds, "frames": len(observer.frames), "dropped": dropped(observer.frames, observer.audio),
        "latency": percentiles(list(latency_ms.values())), "stages": stages(observer), "nodes": nodes,
        "rates_hz": {"audio": rate([at for *_, at in observer.audio]), "landmarks": rate(list(observer.marks.values())),
                     "image_raw": rate(list(observer.frames.values()))},
        "skew": percentiles([skew for _, skew in observer.skews]), "skews": observer.skews,
        "display": counted(observer.settled.get("display", {}), observer.told.get("display", {})),
        "latency_ms_by_stamp": latency_ms, "cpu_percent_all": round(sum(n["cpu_percent"] for n in nodes.values()), 1),
    }))  # fmt: skip
    executor.shutdown()
    rclpy.try_shutdown()


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, ExternalShutdownException):  # whoever started it ends it
        sys.exit(EXIT_STOPPED)
