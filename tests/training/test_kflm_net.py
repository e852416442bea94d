"""The paper's landmark network: its splines, its time, its emotion, its loss and its export."""
import numpy as np
import pytest

pytest.importorskip("torch", reason="the networks are trained with requirements/training.txt: torch")

import torch

from atl_face.emotion import LABELS, Expression
from atl_face.errors import UserError
from atl_landmark_node import kan
from atl_landmark_node.face_model import average_neutral
from atl_landmark_node.kan import Kan, KanLayer, basis
from atl_landmark_node.kflm import INPUTS, KflmModel, kflm_landmarks_of
from atl_landmark_node.kflm_net import REACH, KflmNet, LocalAttention, kflm_loss

SOUND = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return KflmNet(INPUTS).eval()


def example(batch=1, frames=30):
    emotion = torch.nn.functional.one_hot(torch.arange(batch) % len(LABELS), len(LABELS)) * 0.7
    return torch.randn(batch, frames, INPUTS), torch.randn(batch, 68, 3), emotion


def test_the_basis_is_the_cubic_b_spline_and_its_slope_is_right():
    x = torch.linspace(kan.LOW, kan.HIGH, 101, dtype=torch.float64)
    assert torch.allclose(basis(x).sum(-1), torch.ones(101, dtype=torch.float64))
    assert torch.allclose(basis(x[:1])[0, :4], torch.tensor([1, 4, 1, 0], dtype=torch.float64) / 6)  # at a knot
    assert basis(torch.tensor([3.0])).sum() == 0
    assert torch.autograd.gradcheck(basis, (2.4 * torch.rand(20, dtype=torch.float64) - 1.2).requires_grad_())


def test_a_layer_can_be_a_straight_line_and_can_learn_a_sine():
    layer = KanLayer(1, 1)
    step = (kan.HIGH - kan.LOW) / kan.GRID
    with torch.no_grad():
        layer.base.weight.zero_(), layer.base.bias.zero_()
        layer.spline.weight.copy_(kan.LOW + step * (torch.arange(kan.BASES) - 1.0))  # coefficients at the bases' centres
    x = torch.linspace(kan.LOW, kan.HIGH, 200)[:, None]
    assert torch.allclose(layer(x), x, atol=1e-6)
    wanted = torch.sin(torch.pi * x)
    layer.spline.weight.data = torch.linalg.lstsq(basis(x)[:, 0], wanted).solution.T
    assert (layer(x) - wanted).abs().max() < 0.01


def test_rows_of_a_kan_know_nothing_of_each_other():
    torch.manual_seed(0)
    net = Kan(6, 16, 6)
    x = torch.randn(kan.ROWS + 10, 2, 6)
    whole, parts = net(x), torch.cat([net(row[None]) for row in x])
    assert whole.shape == x.shape and torch.allclose(whole, parts, atol=1e-6)


def test_attention_reaches_a_second_to_either_side_and_no_further():
    torch.manual_seed(0)
    layer, x = LocalAttention(16), torch.randn(1, 4 * REACH + 7, 16)
    x.requires_grad_()
    at = 2 * REACH + 3
    layer(x)[0, at].sum().backward()
    heard = torch.nonzero(x.grad[0].abs().sum(-1))[:, 0]
    assert (heard.min(), heard.max()) == (at - REACH, at + REACH)


@pytest.mark.parametrize("frames", [1, REACH, 2 * REACH + 1])
def test_shapes_and_a_batch_of_one_is_as_a_batch_of_many(net, frames):
    inputs = example(3, frames)
    with torch.inference_mode():
        points, speaking = net(*inputs)
        single = net(*[i[1:2] for i in inputs])
    assert points.shape == (3, frames, 68, 3) and speaking.shape == (3, frames)
    assert torch.allclose(points[1:2], single[0], atol=1e-5) and torch.allclose(speaking[1:2], single[1], atol=1e-5)


def test_an_excerpt_of_a_long_utterance_is_as_it_is_within_the_whole(net):
    """Attention (three to four layers of REACH) is exact there; the LSTMs' memory of what was left out fades away."""
    features, neutral, emotion = example(1, 1000)  # 40 s
    begin, end, context = 400, 600, 4 * REACH + 2
    with torch.inference_mode():
        whole = net(features, neutral, emotion)[0]
        part = net(features[:, begin - context:end + context], neutral, emotion)[0]
    assert torch.isfinite(whole).all()
    assert (whole[:, begin:end] - part[:, context:-context]).abs().max() < 1e-4


def test_the_portrait_is_where_it_is_put(net):
    features, neutral, emotion = example()
    with torch.inference_mode():
        here, there = net(features, neutral, emotion)[0], net(features, neutral + 5, emotion)[0]
    assert torch.allclose(here + 5, there, atol=1e-4)


def test_emotion_acts_at_batch_one_and_more_at_full_strength(net):
    features, neutral, _ = example()
    labels = torch.eye(len(LABELS))[:, None]
    with torch.inference_mode():
        full, half, none = ([net(features, neutral, strength * label)[0] for label in labels] for strength in (1, 0.5, 0))
    for label in range(len(LABELS)):
        assert (full[label] - none[label]).abs().max() > (half[label] - none[label]).abs().max() > 1e-4
        assert all((full[label] - full[other]).abs().max() > 1e-4 for other in range(label))


def test_the_loss_is_the_papers():
    true = torch.zeros(1, 2, 68, 3)
    points = true.clone()
    points[:, :, 0] = 0.1  # a point of the jaw: 1 of 68
    points[:, :, 50] = 0.2  # one of the mouth: 1 of 68, and 1 of 20
    loss, parts = kflm_loss(points, true, torch.full((1, 2), 0.25), torch.ones(1, 2))
    assert parts["points"].item() == pytest.approx(100 * (0.2 * (0.01 + 0.04) / 68 + 0.8 * 0.04 / 20))
    assert parts["speaking"].item() == pytest.approx(0.02 * np.log(4))
    assert loss.item() == pytest.approx(sum(parts.values()).item())


def test_the_network_learns():
    """Thirty steps on one batch: lips that follow a feature are followed better than by a still face."""
    torch.manual_seed(0)
    net = KflmNet(8, width=32, dropout=0.0)
    sound, neutral, emotion = torch.randn(4, 20, 8), torch.randn(4, 68, 3), example(4)[2]
    true = neutral[:, None] + 0.1 * sound[..., :1, None]
    speaking = (sound[..., 0] > 0).float()
    still = kflm_loss(neutral[:, None].expand_as(true), true, torch.full_like(speaking, 0.5), speaking)[0]
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(30):
        points, speaks = net(sound, neutral, emotion)
        loss, _ = kflm_loss(points, true, speaks, speaking)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.8 * still


def test_the_exported_graph_runs_as_the_stage_does(net, tmp_path):
    pytest.importorskip("onnx", reason="export needs requirements/training.txt: onnx")
    from atl_training.landmarks.kflm_export import export_kflm

    export_kflm(net, tmp_path / "kflm.onnx")  # compares 40 and 200 frames with torch
    model = KflmModel(path=tmp_path / "kflm.onnx")
    frames = kflm_landmarks_of(SOUND, average_neutral(), model, expression=Expression("happy"))
    assert len(frames) == 25 and np.isfinite([f.points for f in frames]).all()


def test_a_network_of_another_encoder_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx", reason="requirements/training.txt: onnx")
    features = onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, (1, "frames", 288))
    points = onnx.helper.make_tensor_value_info("points", onnx.TensorProto.FLOAT, (1, "frames", 288))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["features"], ["points"])], "other", [features], [points])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), tmp_path / "a.onnx")
    with pytest.raises(UserError, match="hears 288 features"):
        KflmModel(path=tmp_path / "a.onnx")
