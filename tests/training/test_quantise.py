"""The exported graphs: checked against torch; the int8 one is made, judged, and told about."""

import json
import shutil
import sys

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: requirements/training.txt has it")

import torch  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from atl_diffusion_node.paste import ROOM  # noqa: E402
from atl_diffusion_node.portrait import default_portrait_path, load_portrait  # noqa: E402
from atl_diffusion_node.runtime import DATA, WINDOWS, OpenVinoRuntime  # noqa: E402
from atl_diffusion_node.views import VIEWS  # noqa: E402
from atl_training.renderer import export, quantise  # noqa: E402
from atl_training.renderer.net import Renderer  # noqa: E402
from atl_training.renderer.pack import ARRAYS, FRAMES, segment, stack, warper  # noqa: E402

GRAPHS = ("identity.onnx", "unet.onnx", "renderer.safetensors")


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """A packed folder: the shipped portrait, brighter or darker, opens its mouth."""
    portrait = load_portrait(default_portrait_path(), 512)
    wide = ROOM.cut(portrait.transform, portrait.picture)
    folder, rng = tmp_path_factory.mktemp("pack"), np.random.default_rng(0)
    for split in ("train", "val"):
        segments = []
        for _ in range(3):
            points = np.repeat(portrait.neutral[None], FRAMES, 0)
            points[:, 65:68, 1] += np.linspace(0, 0.04, FRAMES)[:, None] * rng.uniform(0.5, 1)
            picture = cv2.convertScaleAbs(wide, alpha=rng.uniform(0.7, 1.2))
            segments.append(segment(picture, portrait.neutral, points, [picture[ROOM.crop]] * FRAMES, warper()))
        (folder / split).mkdir()
        for name, values in stack(segments).items():
            assert name in ARRAYS
            np.save(folder / split / f"{name}.npy", values)
    return folder


@pytest.fixture
def shipped(tmp_path):
    """A folder with the shipped graphs and weights."""
    for view in WINDOWS:
        (tmp_path / view).mkdir()
        for name in GRAPHS:
            shutil.copy(str(DATA / view / name), tmp_path / view)
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["quantise", *map(str, arguments)])
    monkeypatch.setattr(quantise, "CALIBRATION", 2)
    monkeypatch.setattr(quantise, "JUDGED", 2)
    monkeypatch.setattr(quantise, "TIMED", 1)
    quantise.main()


def test_one_command_makes_the_int8_graph_and_tells_its_loss(monkeypatch, shipped, pack):
    out = shipped / "out"
    run(monkeypatch, "--folder", shipped, "--data", pack, "--out", out)
    assert {path.name for path in out.iterdir()} == {*WINDOWS, "quantise.json"}
    for view in WINDOWS:
        assert {path.name for path in (out / view).iterdir()} == {*GRAPHS, "unet_int8.onnx"}
        assert (out / view / "unet_int8.onnx").stat().st_size < 0.9 * (out / view / "unet.onnx").stat().st_size
    told = json.loads((out / "quantise.json").read_text())
    assert set(told["views"]) == set(VIEWS)
    for view, by in told["views"].items():
        exact, coarse = by["openvino-f32"], by["openvino-int8"]
        assert exact["torch_db"] > coarse["torch_db"] > 40
        assert told["loss_of_int8"][view]["truth_db"] == pytest.approx(exact["truth_db"] - coarse["truth_db"], abs=2e-3)
        assert all(figures["cpu_ms"] > 0 for name, figures in by.items() if name != "torch-cpu")
    assert OpenVinoRuntime(1, "int8", out, "mouth").window == WINDOWS["mouth"]


def test_a_bad_int8_graph_is_not_let_out(monkeypatch, shipped, pack):
    monkeypatch.setitem(quantise.LEAST_DB, "int8", 100.0)
    with pytest.raises(AssertionError, match="int8 is off"):
        run(monkeypatch, "--folder", shipped, "--data", pack)
    assert not list(shipped.rglob("unet_int8.onnx"))


def test_export_refuses_graphs_of_other_weights(tmp_path):
    torch.manual_seed(0)
    net = Renderer()
    torch.nn.init.normal_(net.unet.out.weight, 0, 0.1)  # an untrained network changes nothing
    export.export(net, tmp_path, "face")
    weights = load_file(str(DATA / "face" / "renderer.safetensors"))
    other = Renderer().eval()
    other.load_state_dict(weights)
    modules = export._Identity(other.identity), export._Step(other.unet)
    with pytest.raises(AssertionError, match="is off"), torch.inference_mode():
        export.check(OpenVinoRuntime(1, "f32", tmp_path), modules, export.LEAST_DB["f32"])
