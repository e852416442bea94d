"""Faces that share a runtime are drawn as if each were alone, and none waits for one that has stopped."""
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from atl_diffusion_node.batched import BatchedRuntime
from atl_diffusion_node.portrait import default_portrait_path, fit_portrait, load_portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import OpenVinoRuntime, TorchRuntime

FRAMES, GREY_LEVELS = 3, 1  # a batch of torch's sums in another order: less than rounding a pixel the other way


@pytest.fixture(scope="module")
def faces():
    """Two portraits, the second in other colours, and what each says: landmarks (FRAMES, 68, 3)."""
    one = load_portrait(default_portrait_path(), 192)
    points = one.neutral.copy()
    points[:, :2] = one.transform.to_portrait(points[:, :2])
    other = fit_portrait("other", np.ascontiguousarray(one.picture[..., ::-1]), points, one.picture.shape[:2])
    moved = np.zeros((2, FRAMES, 68, 3))
    moved[0, :, 60:68, 1], moved[1, :, 48:68, 0] = np.linspace(0, 0.03, FRAMES)[:, None], np.linspace(0, 0.02, FRAMES)[:, None]
    return [(portrait, portrait.neutral + by) for portrait, by in zip((one, other), moved, strict=True)]


def drawn(runtime, portrait, points) -> np.ndarray:
    renderer = FaceRenderer(runtime)
    renderer.set_identity(portrait)
    return np.stack([renderer.render(at) for at in points])


def together(runtime, faces) -> list[np.ndarray]:
    shared = BatchedRuntime(runtime, len(faces))
    with ThreadPoolExecutor(len(faces)) as pool:
        return [made.result(60) for made in [pool.submit(drawn, shared, *face) for face in faces]]


def test_what_cannot_batch_draws_one_after_the_other_the_same_to_the_bit(faces):
    runtime = OpenVinoRuntime(1, "f32")
    alone = [drawn(runtime, *face) for face in faces]
    assert all(np.array_equal(a, b) for a, b in zip(together(runtime, faces), alone, strict=True))
    assert np.abs(alone[0][0].astype(int) - alone[1][0]).max() > 20, "two faces"


def test_a_batch_of_torch_draws_each_as_if_alone(faces):
    pytest.importorskip("torch", reason="torch is not installed: the CPU runtime does not need it")
    pytest.importorskip("safetensors", reason="safetensors is not installed: the CPU runtime does not need it")
    runtime = TorchRuntime("cpu")
    counts, batch = [], runtime.step_batch
    runtime.step_batch = lambda streams: counts.append(len(streams)) or batch(streams)
    made = together(runtime, faces)
    assert set(counts) == {2}
    for a, face in zip(made, faces, strict=True):
        assert np.abs(a.astype(int) - drawn(TorchRuntime("cpu"), *face)).max() <= GREY_LEVELS


def test_a_stream_that_stops_holds_nobody(faces):
    shared = BatchedRuntime(OpenVinoRuntime(1, "f32"), 2)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(drawn, shared, *faces[0])
        until = time.monotonic() + 30
        while not any(view._together.n_waiting for view in list(shared._views.values())) and time.monotonic() < until:
            time.sleep(0.01)
        shared.abort()
        with pytest.raises(threading.BrokenBarrierError):
            waits.result(60)
