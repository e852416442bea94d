"""What the landmark stage costs: time on one thread, start-up, state, weights."""
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from atl_face.stream import FRAME_RATE, FRAME_SAMPLES
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkStream

WARM_UP = 25  # steps
STEP_MS = 1000 / FRAME_RATE
# Begins where Python and numpy are loaded, as they are in any node; OpenVINO's own import counts.
START = """
import sys, time
import numpy as np
before = time.perf_counter()
from pathlib import Path
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkStream
imported = time.perf_counter()
stream = LandmarkStream(SpeechModel(path=Path(sys.argv[1])))
made = time.perf_counter()
next(stream.push(np.zeros(4000, np.float32)))
print(imported - before, made - imported, time.perf_counter() - made)
"""


def speed(path: Path, sounds: list[np.ndarray]) -> dict:
    """`real_time_factor`, `p50_ms`, `p99_ms` of steps of 40 ms; `start_s` with its parts; `state_bytes`, `weights_bytes`;
    `load_before`.

    A step is everything that the node computes for 40 ms of sound: features, network, life, landmarks.
    """
    load = round(os.getloadavg()[0], 2)  # other work on the machine: it shows in every time
    stream = LandmarkStream(SpeechModel(path=path))
    times = []
    for sound in sounds:
        for at in range(0, len(sound) - FRAME_SAMPLES, FRAME_SAMPLES):
            before = time.perf_counter()
            list(stream.push(sound[at: at + FRAME_SAMPLES]))
            times.append(1e3 * (time.perf_counter() - before))
    times = np.array(times[WARM_UP:])
    parts = _start(path)
    return {"steps": len(times), "real_time_factor": round(float(times.mean()) / STEP_MS, 4),
            "p50_ms": round(float(np.percentile(times, 50)), 3), "p99_ms": round(float(np.percentile(times, 99)), 3),
            "start_s": round(sum(parts.values()), 3), "start_parts_s": {k: round(v, 3) for k, v in parts.items()},
            "state_bytes": _bytes_of({k: v for k, v in vars(stream).items() if k not in ("_model", "_face")}, set()),
            "weights_bytes": path.stat().st_size, "load_before": load}  # fmt: skip


def _start(path: Path, times: int = 3) -> dict[str, float]:
    """Seconds until the first frame in a fresh process, the median of some."""
    runs = [subprocess.run([sys.executable, "-c", START, str(path)], capture_output=True, text=True, check=True).stdout.split()
            for _ in range(times)]  # fmt: skip
    chosen = sorted(runs, key=lambda run: sum(map(float, run)))[times // 2]
    return dict(zip(("imports", "construction", "first frame"), map(float, chosen), strict=True))


def _bytes_of(thing, seen: set[int]) -> int:
    """Bytes of all arrays that an object holds; what is reached twice counts once."""
    if id(thing) in seen:
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        base = thing if thing.base is None or not isinstance(thing.base, np.ndarray) else thing.base
        if base is not thing:
            return _bytes_of(base, seen)  # a view keeps all of it alive
        return thing.nbytes
    if isinstance(thing, dict):
        return sum(_bytes_of(value, seen) for value in thing.values())
    if isinstance(thing, (list, tuple)):
        return sum(_bytes_of(value, seen) for value in thing)
    return _bytes_of(vars(thing), seen) if hasattr(thing, "__dict__") and not isinstance(thing, type) else 0
