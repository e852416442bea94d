"""The `paper` preset: its mask, its process, that it learns, goes on and refuses, and how it is judged."""

import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")
pytest.importorskip("webdataset", reason="shards need requirements of training/README.md: webdataset")
pytest.importorskip("efficientnet_lite_pytorch", reason="the identity needs requirements/training.txt")

from safetensors.torch import load_file, save_file  # noqa: E402

from atl_diffusion_node.paper_unet import IDENTITY  # noqa: E402
from atl_diffusion_node.paste import ROOM  # noqa: E402
from atl_diffusion_node.portrait import default_portrait_path, load_portrait  # noqa: E402
from atl_diffusion_node.runtime import FACE_SIZE  # noqa: E402
from atl_diffusion_node.views import FACE, View  # noqa: E402
from atl_face.errors import UserError  # noqa: E402
from atl_landmark_node.face_model import PortraitFace  # noqa: E402
from atl_training.renderer import paper  # noqa: E402
from atl_training.renderer.pack import warper  # noqa: E402
from atl_training.renderer.paper import Paper, Settings, ddim, judge_paper, noised, train  # noqa: E402
from atl_training.renderer.paper_clips import Clips, clip_masks  # noqa: E402
from atl_training.shards import Sample, encode_sound, encode_video, write_shard  # noqa: E402

TINY = Settings(frames=8, levels=(8, 16, 24, 32))
SMALL = View("face", (32, 32), False)  # for training: a quarter of the paper's side
FRAMES = 10  # of a recording


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """The shipped face, whose jaw falls: once in training, once held out, once too short, once not ours to train on."""
    portrait = load_portrait(default_portrait_path())
    wide, warp, face = ROOM.cut(portrait.transform, portrait.picture), warper(), PortraitFace(portrait.neutral)
    weights = np.zeros((FRAMES, 52))
    weights[:, 17] = np.linspace(0, 0.5, FRAMES)
    points = np.stack([face.points(w) for w in weights])
    video = encode_video([warp.warped(wide, portrait.neutral, p, ROOM) for p in points], FACE_SIZE)
    sound = encode_sound(np.zeros(FRAMES * 640, np.float32))
    facts = {"size": FACE_SIZE, "frames": FRAMES, "emotion": "happy", "licences": [], "split": "train"}
    others = {"train": {}, "val": {"split": "val"}, "short": {"frames": 3},
              "alike": {"licences": [{"what": "film", "licence": "CC-BY-SA-3.0"}]}}  # fmt: skip
    path = tmp_path_factory.mktemp("shards") / "jaw.tar"
    arrays = {"landmarks": points * FACE_SIZE}
    write_shard(path, [Sample(key, facts | told, arrays, sound, video) for key, told in others.items()])
    return path


@pytest.fixture(scope="module")
def clip(shard):
    return Clips([shard], "train", TINY.frames).batch([0], FACE, None)


def test_the_mask_is_the_papers():
    points = np.full((2, 68, 2), 64.5 / 128)  # all landmarks in one pixel ...
    points[1, 0] = 20.5 / 128, 100.5 / 128
    points[1, 1:] = 1.5  # ... and in the second frame one alone, the rest outside
    mask = clip_masks(points, 128)
    assert mask.shape == (2, 128, 128) and mask.dtype == np.float32
    assert mask[0, 64, 64] == mask[1, 100, 20] == mask.max() == pytest.approx(1.1), "a pixel is set once"
    assert mask[0, 64, 64 + 13] == mask[1, 0, 0] == pytest.approx(0.1), "beyond half a kernel of 25"
    for away in (2, 4, 8):
        assert mask[0, 64 + away, 64] == pytest.approx(0.1 + np.exp(-(away**2) / (2 * 4.1**2)), abs=0.01)
    points[0, 1] = 65.5 / 128, 64.5 / 128  # two pixels side by side are nearly twice one, and the clip's maximum is theirs
    mask = clip_masks(points, 128)
    assert mask[0].max() == pytest.approx(1.1) and mask[1].max() == pytest.approx(0.1 + 0.507, abs=0.01)


def test_clips_are_cut_from_what_may_be_trained_on(shard, clip):
    clips = Clips([shard], "train", TINY.frames)
    assert len(clips) == len(Clips([shard], "val", TINY.frames)) == 1
    assert clip.target.shape == clip.warped.shape == (8, 3, 128, 128) and clip.mask.shape == (8, 1, 128, 128)
    assert clip.identity.shape == (1, IDENTITY) and clip.identity.abs().mean() > 0.1 and clip.emotion.item() == 5
    whole = Clips([shard], "train", FRAMES).batch([0], FACE, None)
    assert (whole.target[0] - whole.portrait[0]).abs().mean() < 0.01, "the portrait is the recording's first frame"
    errors = [(frame - whole.portrait[0]).abs().mean().item() for frame in whole.target]
    assert errors[-1] > 2 * errors[1] > 0
    assert torch.equal(clip.target, whole.target[1:9]), "from the middle"
    rng = np.random.default_rng(0)
    begins = [clips.batch([0], FACE, rng).target for _ in range(12)]
    assert {k for k in range(3) for t in begins if torch.equal(t, whole.target[k:k + 8])} == {0, 1, 2}, "from anywhere"
    with pytest.raises(UserError, match="no filmed clip of 11 frames"):
        Clips([shard], "train", 11)


def test_ddim_with_a_perfect_predictor_restores_the_frames(clip):
    x_0, portrait, mask = (paper.volume(t) for t in (clip.target, clip.portrait, clip.mask))
    n = mask * torch.randn(x_0.shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(noised(x_0, portrait, n, 1.0)[0], portrait + n, atol=1e-6), "x_T = I + M eps"
    assert torch.allclose(noised(x_0, portrait, n, 0.0)[0], x_0, atol=1e-6)
    for steps in (1, 2, 8):
        seen = []

        def predict(x_t, t, seen=seen):
            seen.append(t)
            x_true, v = noised(x_0, portrait, n, t)
            assert torch.allclose(x_t, x_true, atol=1e-4), "a perfect predictor stays on the process's path"
            return v

        assert torch.allclose(ddim(predict, portrait + n, portrait, steps), x_0, atol=1e-4)
        assert seen == pytest.approx([1 - k / steps for k in range(steps)])


def test_a_few_steps_lower_the_loss(clip):
    torch.manual_seed(0)
    net = Paper(TINY)
    small = {name: getattr(clip, name)[..., 64:80, 56:72] for name in ("target", "portrait", "mask")}  # around the mouth
    clip = paper.Clip(**vars(clip) | small)

    def loss():
        with torch.no_grad():
            return sum(net.loss(clip, torch.Generator().manual_seed(seed)).item() for seed in range(8)) / 8

    before, generator = loss(), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(net.unet.parameters(), 4e-3)
    for _ in range(30):
        optimiser.zero_grad(), net.loss(clip, generator).backward(), optimiser.step()
    assert loss() < 0.8 * before


def test_it_goes_on_and_refuses_other_settings_and_is_judged(shard, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "FACE", SMALL)
    run = tmp_path / "run"
    train([shard], run, TINY, steps=2)
    first, early = load_file(run / "paper.safetensors"), torch.load(run / "last.pt")
    train([shard], run, TINY, steps=2)
    assert all(torch.equal(value, first[name]) for name, value in load_file(run / "paper.safetensors").items()), "budget spent"
    train([shard], run, TINY, steps=3)
    late, told = torch.load(run / "last.pt"), json.loads((run / "metrics.json").read_text())
    assert late["optimiser"]["state"][0]["step"] == late["step"] == told["step"] == 3 and told["frames"] == 24
    assert late["losses"][:2] == early["losses"] and late["losses"][2] != early["losses"][0]
    assert told["core_hours"] > early["core_hours"] > 0
    step = max((late["net"][name] - early["net"][name]).abs().max() for name in first)
    assert 0 < step < 2 * paper.RATE, "one step of Adam from where it was"
    for other in (Settings(8, bf16=True, levels=TINY.levels), Settings(8, levels=TINY.levels, seed=1)):
        with pytest.raises(UserError, match="other settings"):
            train([shard], run, other, steps=4)
    train([shard], tmp_path / "short", TINY, minutes=1e-6)
    assert json.loads((tmp_path / "short" / "metrics.json").read_text())["step"] == 1

    figures = judge_paper(run, [shard], 1, 8)
    assert {f"{who}_{what}" for who in ("still", "warp", "net") for what in ("db", "mouth_db", "sharpness")} < set(figures)
    assert (figures["steps_trained"], figures["frames_trained"], figures["hours"]) == (3, 24, told["hours"])
    assert figures["warp_mouth_db"] > figures["still_mouth_db"] and figures["ms_per_frame"] > 0
    save_file(Paper(TINY).unet.state_dict(), run / "paper.safetensors")
    one = judge_paper(run, [shard], 1, 1)
    assert one["net_db"] == pytest.approx(one["still_db"], abs=0.01), "untrained, one evaluation draws the portrait"
    assert one["net_db"] > judge_paper(run, [shard], 1, 8)["net_db"] + 3, "and eight leave most of the noise"
    assert one["ms_per_frame"] < figures["ms_per_frame"]
    with pytest.raises(UserError, match="no run of renderer.paper"):
        judge_paper(tmp_path, [shard], 1, 8)


@pytest.mark.parametrize("options", [("--steps", "1", "--frames", "12"), ("--minutes", "0")])
def test_the_command_tells_mistakes(options, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["paper", "--shards", "none", "--out", str(tmp_path), *options])
    with pytest.raises(UserError, match=options[-2].lstrip("-")):
        paper.main()
