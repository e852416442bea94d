"""The runtimes draw the same: of OpenVINO, ONNX Runtime and torch, in every precision, in both views, alone and in batches."""
import os
import platform
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from atl_diffusion_node import runtime as runtime_module
from atl_diffusion_node.bridge import start_state
from atl_diffusion_node.paste import ROOM
from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_diffusion_node.renderer import reference_landmarks
from atl_diffusion_node.runtime import (
    DATA,
    WINDOWS,
    OnnxRuntime,
    OpenVinoRuntime,
    TorchRuntime,
    make_runtime,
    memory_shapes,
)
from atl_diffusion_node.views import VIEWS, to_network
from atl_diffusion_node.warp import FaceWarp
from atl_face.errors import UserError
from atl_face.inference import load_openvino


@pytest.fixture(scope="module")
def openvino():
    return OpenVinoRuntime(1, "f32")


@pytest.fixture
def onnx_runtime():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the default runtime does not need it")
    return OnnxRuntime(1, "f32")


@pytest.fixture
def torch_runtime():
    pytest.importorskip("torch", reason="torch is not installed: the CPU runtime does not need it")
    pytest.importorskip("safetensors", reason="safetensors is not installed: the CPU runtime does not need it")
    return TorchRuntime("cpu")


def smooth(rng, shape, low=-1.0):
    """Random arrays whose pixels are like their neighbours, in [low, 1]."""
    coarse = rng.uniform(low, 1, (*shape[:-2], shape[-2] // 8, shape[-1] // 8))
    return coarse.repeat(8, -2).repeat(8, -1).astype(np.float32)


def stream(seed, view="face", frames=3):
    """A portrait's two pictures, and the pictures of its frames."""
    rng, window = np.random.default_rng(seed), WINDOWS[view]
    half = [side // 2 for side in window]
    identity = smooth(rng, (1, 3, *window)), smooth(rng, (1, 3, *half), 0.0)
    return identity, [(smooth(rng, (1, 3, *window)), smooth(rng, (1, 3, *window)), smooth(rng, (1, 5, *half), 0.0))
                      for _ in range(frames)]  # fmt: skip


def drawn(runtime, identity, frames):
    """What the network changes in each frame, as one array: the change, and beside it the flow, enlarged to its size."""
    features, memory, changes = runtime.identity(*identity), None, []
    for frame in frames:
        change, flow, memory = runtime.step(*frame, features, memory)
        changes.append(beside(change, flow))
    return np.concatenate(changes)


def beside(change, flow):
    return np.concatenate([change, flow.repeat(4, 2).repeat(4, 3)], 1)


def off(made, expected):
    """RMS of the difference, as a share of the network's whole change."""
    return float(np.sqrt(np.mean((made - expected) ** 2) / np.mean(expected**2)))


@pytest.mark.parametrize("view", WINDOWS)
def test_torch_and_openvino_agree(openvino, torch_runtime, view):
    seen = stream(0, view)
    theirs = drawn(torch_runtime.of(view), *seen)
    assert np.sqrt(np.mean(theirs**2)) > 0.01, "the network changes the picture"
    assert off(drawn(openvino.of(view), *seen), theirs) < 1e-3


@pytest.mark.parametrize("view", WINDOWS)
def test_onnx_runtime_and_openvino_agree(openvino, onnx_runtime, view):
    seen = stream(1, view)
    assert off(drawn(onnx_runtime.of(view), *seen), drawn(openvino.of(view), *seen)) < 1e-3


def test_a_view_has_features_and_memory_of_its_size(openvino):
    mouth, (identity, frames) = openvino.of("mouth"), stream(2, "mouth")
    assert openvino.of("face") is openvino and mouth.of("mouth") is mouth
    assert (openvino.window, mouth.window) == tuple(WINDOWS.values())
    height, width = mouth.window
    features = mouth.identity(*identity)
    assert [f.shape[2:] for f in features] == [(height >> k, width >> k) for k in (1, 2, 3, 4)]
    change, flow, memory = mouth.step(*frames[0], features, None)
    assert change.shape == (1, 3, height, width) and flow.shape == (1, 2, height // 4, width // 4)
    assert [m.shape[1:] for m in memory] == memory_shapes(*mouth.window)


def test_frames_remember_the_ones_before(openvino):
    identity, (frame, other, _) = stream(3)
    again, after = drawn(openvino, identity, [frame, frame]), drawn(openvino, identity, [other, frame])
    assert off(again[1:], again[:1]) > 1e-4 and off(after[1:], again[1:]) > 1e-4


def test_streams_in_a_batch_are_drawn_as_if_alone(torch_runtime):
    seen = [stream(seed) for seed in (4, 5, 6)]
    alone = [drawn(torch_runtime, *s) for s in seen]
    features, memory = [torch_runtime.identity(*identity) for identity, _ in seen], [None] * len(seen)
    for k in range(3):  # the last stream begins one frame after the others
        count = len(seen) if k else len(seen) - 1
        frames = [seen[i][1][k if i < 2 else k - 1] for i in range(count)]
        made = torch_runtime.step_batch([(*frames[i], features[i], memory[i]) for i in range(count)])
        for i, (change, flow, memory[i]) in enumerate(made):  # noqa: B020 (each stream's own)
            assert off(beside(change, flow), alone[i][k if i < 2 else k - 1][None]) < 1e-4


def test_compiled_torch_draws_the_same(torch_runtime):
    if not shutil.which("g++"):
        pytest.skip("torch.compile needs a C++ compiler")
    seen = stream(7, "mouth", 2)
    made = drawn(TorchRuntime("cpu", compiled=True, view="mouth"), *seen)
    assert off(made, drawn(torch_runtime.of("mouth"), *seen)) < 1e-4


def test_bfloat16_is_a_little_coarser(openvino):
    seen = stream(8)
    assert off(drawn(OpenVinoRuntime(1, "bf16"), *seen), drawn(openvino, *seen)) < 0.05


def constants(graph):
    """(element type, shape, bytes) of an exported graph's constants."""
    return {(op.get_element_type().get_type_name(), tuple(op.get_output_shape(0)), op.get_data().tobytes())
            for op in load_openvino().Core().read_model(str(DATA / graph)).get_ops()
            if op.get_type_name() == "Constant"}  # fmt: skip


KEPT, KEPT_SHAPES = 10, 7
"""Convolutions left in float (`renderer.quantise.EXACT`: change, flow, the first, and at the two coarse levels four of the
encoder, one on the way up, two of the decoder), and how many shapes those of 3 x 3 have."""


@pytest.mark.parametrize("view", WINDOWS)
def test_the_int8_graph_is_of_the_weights_that_are_shipped(view):
    exact, coarse = constants(f"{view}/unet.onnx"), constants(f"{view}/unet_int8.onnx")
    kept = {shape for kind, shape, _ in coarse if kind == "f32" and len(shape) == 4 and shape[2:] == (3, 3)}
    assert len(kept) == KEPT_SHAPES, "first and last convolutions and the coarse levels stay in floating point"
    assert {c for c in exact if c[1] in kept} <= coarse, "other weights: run atl_training.renderer.quantise again"
    assert {"i8", "u8"} <= {kind for kind, *_ in coarse}


def test_the_views_have_weights_of_their_own():
    assert constants("face/unet.onnx") != constants("mouth/unet.onnx")


@pytest.mark.parametrize("view", WINDOWS)
def test_openvino_computes_the_int8_graphs_convolutions_in_int8(view):
    compiled = load_openvino().Core().compile_model(str(DATA / view / "unet_int8.onnx"), "CPU")
    told = [op.get_rt_info() for op in compiled.get_runtime_model().get_ops()]
    kinds = [t["primitiveType"].astype(str).rsplit("_", 1)[1] for t in told if t["layerType"].astype(str) == "Convolution"]
    assert (len(kinds), kinds.count("I8")) == (19, 19 - KEPT), "all but first, last, and coarse ones"


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_int8_draws_a_face_almost_as_float_does(view):
    portrait, warp = load_portrait(default_portrait_path(), 256), FaceWarp(reference_landmarks())
    wide, noise = ROOM.cut(portrait.transform, portrait.picture), np.random.default_rng(0).standard_normal(view.shape)
    frames, changes = [], {}
    for opening in (0.0, 0.02, 0.04):
        points = portrait.neutral.copy()
        points[65:68, 1] += opening
        warped = view.picture(warp.warped(wide, portrait.neutral, points, ROOM), points)
        mask, lines = view.mask(points), view.lines(points)
        half = [cv2.resize(mask, lines.shape[1::-1], interpolation=cv2.INTER_AREA), np.ones(lines.shape[:2])]
        pictures = start_state(warped, mask[..., None], noise[..., None]), warped, np.dstack([lines, *half])
        frames.append(tuple(to_network(p).astype(np.float32) for p in pictures))
    identity = to_network(view.picture(wide[ROOM.crop], portrait.neutral)), to_network(view.lines(portrait.neutral))
    for precision in ("f32", "int8"):
        changes[precision] = drawn(OpenVinoRuntime(1, precision, view=view.name), identity, frames)
    off_by = np.sqrt(np.mean((changes["int8"] - changes["f32"]) ** 2, axis=(0, 2, 3)))
    assert 1e-3 < 127.5 * off_by[:3].max() < 1.0, "grey levels"
    assert off_by[3:].max() < 0.1, "pixels of flow"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="what is kept from AVX-512 is an x86-64 processor")
def test_a_processor_without_avx_512_draws_in_int8_as_well():
    """Without VNNI sums of products are kept in 16 bits: they could overflow, and the picture would tell."""
    here = [f"{__file__}::{test.__name__}" for test in (test_int8_draws_a_face_almost_as_float_does, test_auto_is_int8)]
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *here], env=environment,
                         capture_output=True, text=True, timeout=120)  # fmt: skip
    assert ran.returncode == 0 and ran.stdout.startswith("..."), ran.stdout  # three passed, none was skipped


@pytest.mark.skipif(os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2", reason="run by the test above")
def test_auto_is_int8():
    assert OpenVinoRuntime(1).name == make_runtime("cpu", 1).name == "openvino-int8"


@pytest.mark.parametrize(("machine", "best"), [("x86_64", "int8"), ("AMD64", "int8"), ("aarch64", "f32")])
def test_the_best_precision_is_the_processors(monkeypatch, machine, best):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert runtime_module.best_precision() == best


def test_without_an_int8_graph_auto_draws_in_floats(monkeypatch, tmp_path):
    """As a fresh export is, before it is quantised."""
    monkeypatch.setattr(runtime_module, "prefers_bf16", lambda: False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    shutil.copytree(DATA / "face", tmp_path / "face", ignore=shutil.ignore_patterns("*int8*"))
    assert OpenVinoRuntime(1, folder=tmp_path).name == "openvino-f32"


def test_onnx_runtime_draws_the_int8_graph_as_openvino_does(onnx_runtime):
    seen = stream(10)
    # each rounds in its own way: .052 with the weights of commit 0e58126
    assert off(drawn(OnnxRuntime(1, "int8"), *seen), drawn(OpenVinoRuntime(1, "int8"), *seen)) < 0.08


def test_what_is_missing_is_told(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="quantise"):
        OpenVinoRuntime(1, "int8", tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="pip install onnxruntime"):
        make_runtime("onnxruntime")


def test_what_onnx_runtime_lacks_is_told(onnx_runtime):
    with pytest.raises(UserError, match="bf16"):
        OnnxRuntime(1, "bf16")


def test_a_device_and_a_precision_choose_the_runtime(onnx_runtime):
    assert make_runtime("onnxruntime", 1, "int8").name == "onnxruntime-cpu-int8"
    assert make_runtime("cpu", 1, "int8").name == "openvino-int8"


def test_the_nodes_parameters_name_every_runtime():
    pytest.importorskip("atl_node.params", reason="the node's own packages are not in the environment of training")
    from atl_diffusion_node.parameters import PARAMETERS

    choices = {p.name: p.choices for p in PARAMETERS}
    assert choices["device"] == ("auto", "cpu", "onnxruntime", "cuda", "cuda-graphs")
    assert choices["precision"] == ("auto", "f32", "bf16", "int8")


def test_cuda_refuses_what_it_cant_compute_and_auto_goes_where_it_can_be(monkeypatch):
    monkeypatch.setattr(runtime_module, "has_cuda", lambda: True)
    monkeypatch.setattr(runtime_module, "TorchRuntime", lambda *_, **__: "on a GPU")
    assert make_runtime("auto") == make_runtime("cuda", 0, "bf16") == "on a GPU"
    assert make_runtime("auto", 1, "f32").name == "openvino-f32"
    with pytest.raises(UserError, match="bf16"):
        make_runtime("cuda", 0, "f32")


GONE = """
import os, signal, time
from atl_diffusion_node.runtime import OpenVinoRuntime
from atl_landmark_node.model import SpeechModel
OpenVinoRuntime(1), SpeechModel(), OpenVinoRuntime(1)  # and gone again
signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.1)
"""


def test_a_signal_is_heard_after_runtimes_are_gone():
    done = subprocess.run([sys.executable, "-c", GONE], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
