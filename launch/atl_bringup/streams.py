"""Several avatars at once on one machine, for `atl bench --streams`: how many of them hold their 25 frames a second."""
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from threading import BrokenBarrierError

import numpy as np

from atl_diffusion_node.batched import BatchedRuntime
from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import Runtime
from atl_face.stream import FRAME_RATE

WARM_UP, FRAMES = 10, 100  # of each avatar: before it is timed, and timed
APART = 17  # frames: so far one avatar is ahead of the next in the speech that all of them say


def bench_streams(runtime: Runtime, portrait: Portrait, driving: Iterator[np.ndarray], counts: list[int]) -> list[dict]:
    """For each number of avatars: frames a second of all and of each, ms a frame (p50, p99; all draw at one pace), what of it is
    the network (waiting for the others' frames included) and what the rest, and whether each has its 25 a second."""
    return [_measured(runtime, portrait, driving, count) for count in counts]


def _measured(runtime: Runtime, portrait: Portrait, driving: Iterator[np.ndarray], count: int) -> dict:
    shared = BatchedRuntime(runtime, count) if count > 1 else runtime
    points = list(islice(driving, WARM_UP + FRAMES + APART * count))
    renderers = [FaceRenderer(shared) for _ in range(count)]
    for renderer in renderers:
        renderer.set_identity(portrait)

    def draw(which: int) -> list[tuple[float, float, float]]:
        """When each frame was done, its ms, and those of its network."""
        rows, renderer = [], renderers[which]
        try:
            for at in points[APART * which:][:WARM_UP + FRAMES]:
                begun = time.perf_counter()
                renderer.render(at)
                done = time.perf_counter()
                rows.append((done, 1e3 * (done - begun), renderer.times.network))
        except BaseException:
            if count > 1:
                shared.abort()  # the others would wait for its frames
            raise
        return rows

    with ThreadPoolExecutor(count) as pool:
        drawing = [pool.submit(draw, which) for which in range(count)]
    failures = [error for one in drawing if (error := one.exception())]
    for error in sorted(failures, key=lambda error: isinstance(error, BrokenBarrierError)):
        raise error  # the one that stopped the others, if there is one
    seen = [one.result() for one in drawing]
    begun, ended = max(rows[WARM_UP - 1][0] for rows in seen), max(rows[-1][0] for rows in seen)
    each = round(FRAMES / (ended - begun), 1)
    times, network = (np.array([row[k] for rows in seen for row in rows[WARM_UP:]]) for k in (1, 2))
    p50, p99 = np.percentile(times, (50, 99))
    return {"streams": count, "runtime": shared.name, "fps_all": round(count * each, 1), "fps_each": each,
            "p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2), "network_ms": round(float(network.mean()), 2),
            "rest_ms": round(float((times - network).mean()), 2), "holds": each >= FRAME_RATE}  # fmt: skip
