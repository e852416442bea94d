"""Training of the landmark networks: it learns, it goes on after a kill as if nothing had been, and processes share it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import get_ident

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from safetensors.torch import load_file  # noqa: E402

from atl_face.emotion import LABELS  # noqa: E402
from atl_face.stream import FRAME_SAMPLES  # noqa: E402
from atl_face.topology import SPEECH_WEIGHTS  # noqa: E402
from atl_landmark_node.features import MELS  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD  # noqa: E402
from atl_training import noises  # noqa: E402
from atl_training.augment import MASKED, lose_bands, other_throat  # noqa: E402
from atl_training.figures import spread  # noqa: E402
from atl_training.landmarks import data, no_speech  # noqa: E402
from atl_training.landmarks.arms import row_of  # noqa: E402
from atl_training.landmarks.data import ECHOES, UNKNOWN, Batches, Utterance, load_shards  # noqa: E402
from atl_training.landmarks.judge import judge  # noqa: E402
from atl_training.landmarks.models import StreamTrainee  # noqa: E402
from atl_training.landmarks.report.emotions import interval_of_ratio  # noqa: E402
from atl_training.landmarks.train import clip_gradients  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"


MODULE = "-m", "atl_training.landmarks.train"


def command(out: Path, *options: str, launcher: tuple = (), program: tuple = MODULE) -> list:
    """Training on the committed sample."""
    return [sys.executable, *launcher, *program, "--shards", SAMPLE, "--out", out, "--threads", "1", *options]


def folder(out: Path) -> Path:
    """A run's folder, in which the sounds that are no speech are noise: to make them takes 16 s."""
    if not out.exists():
        out.mkdir()
        np.save(out / no_speech.FILE, np.random.default_rng(0).standard_normal((noises.KEPT, 800), np.float32))
    return out


def train(out: Path, *options: str, **how) -> Path:
    """The folder of a finished run."""
    folder(out)
    subprocess.run(command(out, *options, **how), check=True, capture_output=True, timeout=280)
    return out


def refusal(out: Path, *options: str) -> str:
    """What a run that a user's mistake ends says."""
    asked = subprocess.run(command(out, *options), capture_output=True, text=True, check=False, timeout=280)
    assert asked.returncode == 2 and "Traceback" not in asked.stderr
    return asked.stderr


@pytest.mark.parametrize(("silent", "undisturbed", "most", "least"),
                         [(0, 0, 120, 120), (0, 0.5, 75, 45), (0, 1, 0, 0), (1, 1, 120, 120)])  # fmt: skip
def test_as_much_speech_stays_good_as_is_said(monkeypatch, silent, undisturbed, most, least):
    done = {name: 0 for name in ("degrade_sound", "lose_chunks", "lose_bands")}
    for name in done:
        monkeypatch.setattr(data, name, lambda rng, heard, name=name: done.update({name: done[name] + 1}) or heard)
    Batches([u for u in load_shards([SAMPLE]) if not u.held], 10, 120, 5, silent_share=silent, undisturbed=undisturbed).draw()
    assert least <= done["degrade_sound"] <= most and len(set(done.values())) == 1


@pytest.mark.parametrize("tempo", [0.87, 1.0, 1.15])
def test_a_mouth_keeps_up_with_its_sound_at_any_tempo(monkeypatch, tempo):
    """Clicks in the middle of frames in which the jaw is open, and the viseme another."""
    frames, sound = np.arange(10, 200, 25), np.zeros(225 * FRAME_SAMPLES, np.int16)
    for frame in frames:
        sound[frame * FRAME_SAMPLES + FRAME_SAMPLES // 2 + np.arange(-20, 20)] = 20000
    weights, visemes = np.zeros((225, len(SPEECH_WEIGHTS)), np.float32), np.zeros(225, int)
    weights[frames], visemes[frames] = 1, 3
    monkeypatch.setattr(data, "TEMPI", (tempo, tempo))
    batches, heard = Batches([Utterance("clicks", sound, weights, np.ones(225, bool), 0, False, visemes)], 75, 12, 3,
                             silent_share=0, babble_share=0), []  # fmt: skip
    monkeypatch.setattr(batches, "_heard", lambda sound, good: heard.append(sound) or np.zeros((1, 1)))
    _, moved, _, _, named, _ = batches.draw()
    spaces = set()
    for excerpt, mouth, viseme in zip(heard, moved[..., 0], named, strict=True):
        loud = np.square(excerpt[: 75 * FRAME_SAMPLES]).reshape(75, -1).sum(1)
        clicks = np.flatnonzero(loud > 0.5 * loud.max())
        assert len(clicks) and (mouth[clicks] > 0.4).all() and (viseme[clicks[mouth[clicks] > 0.6]] == 3).all()
        assert mouth.sum() < 1.3 * (len(clicks) + 1) / tempo, "and nowhere else"
        spaces |= set(np.diff(clicks))
    assert {25, round(25 / tempo)} <= spaces, "half of them are at their own tempo"


def test_excerpts_without_speech_hold_a_babble_too():
    voices = [Utterance(f"{k}", np.full(48000, 100 * (k + 1), np.int16) * (np.arange(48000) % 2 * 2 - 1).astype(np.int16),
                        np.ones((75, len(SPEECH_WEIGHTS)), np.float32), np.ones(75, bool), 1, False) for k in range(9)]
    silent = Batches(voices, 25, 8, seed=1, silent_share=1.0, crowd_share=1.0)
    features, weights, speaking, _, visemes, _ = silent.draw()
    assert not weights.any() and not speaking.any() and (visemes == UNKNOWN).all() and np.isfinite(features).all()
    heard = Batches(voices, 25, 8, seed=1, silent_share=0.0).draw()
    assert heard[1].any() and heard[2].any()


def test_one_mans_style_meets_crowds_of_others_too():
    one, other = (Utterance(name, np.resize(np.array(wave, np.int16), 48000), np.zeros((75, len(SPEECH_WEIGHTS)), np.float32),
                            np.ones(75, bool), style, False) for name, wave, style in (("he", [900, 900, -900, -900], 1),
                                                                                       ("she", [900, -900], 0)))  # fmt: skip
    batches = Batches([one, other], 25, 8, seed=1)
    crowds = [batches._voices([one], 6, 16000) for _ in range(60)]
    with_her = np.mean([np.abs(np.sum(crowd * np.resize([1, -1], 16000))) > 1000 for crowd in crowds])
    assert 0.3 < with_her < 0.7


def test_another_throat_moves_the_bands_and_keeps_the_time():
    features = np.tile(np.exp(-((np.arange(MELS) - 30) ** 2) / 20).astype(np.float32), (5, 1))
    rng = np.random.default_rng(3)
    moved = [other_throat(rng, features) for _ in range(20)]
    peaks = {int(m[0].argmax()) for m in moved}
    assert 30 in peaks and min(peaks) < 29 and max(peaks) > 31 and all(m.shape == features.shape for m in moved)
    assert all(m.dtype == np.float32 for m in moved)


def test_bands_of_the_sound_are_lost_in_half_of_the_excerpts_and_for_all_of_their_time():
    features = np.random.default_rng(0).standard_normal((7, MELS)).astype(np.float32)
    rng = np.random.default_rng(5)
    lost = [(lose_bands(rng, features) != features) for _ in range(200)]
    assert 0.35 < np.mean([mask.any() for mask in lost]) < 0.65
    assert all((mask == mask[:1]).all() and mask[0].sum() <= 2 * MASKED * MELS for mask in lost)


def test_batches_come_as_often_as_said_and_the_same_for_a_seed():
    utterances = [u for u in load_shards([SAMPLE]) if not u.held]
    runs = [Batches(utterances, 25, 2, seed=4, lookahead=LOOKAHEAD).ahead() for _ in range(2)]
    first, second = ([next(run) for _ in range(6)] for run in runs)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert first[0][0].shape == (2, 25 * CURRENT + LOOKAHEAD, MELS)
    assert len({batch[0].tobytes() for batch in first}) >= 6 / ECHOES


def test_sounds_that_are_no_speech_are_made_once_and_stay_the_same(tmp_path, monkeypatch):
    made = []  # threads that asked: those of other tests' batches may still run
    monkeypatch.setattr(noises, "_given", None)
    monkeypatch.setattr(noises, "made", lambda: made.append(get_ident()) or [np.arange(5, dtype=np.float32)] * noises.KEPT)
    before = noises.a_stretch(np.random.default_rng(1), 8)
    no_speech.keep(tmp_path)
    no_speech.keep(tmp_path)
    assert made.count(get_ident()) == 2 and [path.name for path in tmp_path.iterdir()] == [no_speech.FILE]
    no_speech.use(tmp_path)
    assert np.array_equal(noises.a_stretch(np.random.default_rng(1), 8), before) and made.count(get_ident()) == 2


def test_a_critics_gradient_doesnt_shorten_the_networks():
    trainee = StreamTrainee(LOOKAHEAD)
    for value in trainee.net.parameters():
        value.grad = torch.full_like(value, 1e-5)
    for value in trainee.critic.parameters():
        value.grad = torch.full_like(value, 10.0)
    clip_gradients(trainee)
    assert all((value.grad == 1e-5).all() for value in trainee.net.parameters())
    norm = torch.stack([value.grad.norm() for value in trainee.critic.parameters()]).norm()
    assert norm == pytest.approx(1, rel=1e-3)


def test_what_is_judged_is_spread_over_all_that_is_held_out():
    assert spread(list(range(10)), 4) == [0, 3, 6, 9] and spread([1, 2], 4) == spread([1, 2], 0) == [1, 2]
    jaw = np.zeros((40, len(SPEECH_WEIGHTS)), np.float32)
    jaw[:, SPEECH_WEIGHTS.index("jawOpen")] = np.sin(np.arange(40)) ** 2
    silent = Utterance("silent", np.zeros(25600, np.int16), jaw, np.zeros(40, bool), 1, True)
    held = [Utterance(f"{k}", np.zeros(25600, np.int16), jaw, np.ones(40, bool), 1, True) for k in range(9)] + [silent]
    seen = []
    figures = judge(lambda u: seen.append(u.name) or np.zeros((40, 68, 3)), held, most=3)
    assert seen == ["0", "4", "8"] and figures["real"]["utterances"] == 3


def test_the_interval_of_a_ratio_tells_how_few_the_clips_are():
    def cases(clips: int, wrong: int) -> list:
        """So many clips with every emotion; in the first ones of them all are taken for neutral."""
        return [(label, "neutral" if clip < wrong else label) for clip in range(clips) for label in LABELS]

    assert interval_of_ratio(cases(6, 0), cases(16, 0)) == [100, 100]
    few, many = interval_of_ratio(cases(6, 0), cases(8, 2)), interval_of_ratio(cases(6, 0), cases(80, 20))
    ratio = 100 * (0.75 + 0.25 / len(LABELS))
    assert few[0] < many[0] < ratio < many[1] < few[1] and few[1] - few[0] > 2 * (many[1] - many[0])
    assert interval_of_ratio(cases(6, 2), cases(80, 20))[1] > 100  # an unsure truth makes the ratio unsure
    assert interval_of_ratio([("happy", "sad"), ("sad", "sad")], cases(4, 0)) == [200, 200]  # emotions count alike


def test_an_arm_without_the_sync_critic_is_told_apart(tmp_path):
    run = train(tmp_path / "alone", "--steps", "2", "--sync", "0")
    row = row_of(run)
    assert row["sync"] == 0 and row["model"] == "stream" and row["steps"] == 2 and row["rules"]["m_lmd_percent"] > 0
    assert not any(name.startswith("critic") for name in torch.load(run / "last.pt")["trainee"])

    state = torch.load(run / "last.pt")
    torch.save({name: value for name, value in state.items() if name != "arguments"}, run / "last.pt")
    assert "steps not told" in refusal(run, "--steps", "2", "--sync", "0")  # of before runs told them


def test_a_run_goes_on_after_a_kill_and_is_exported(tmp_path):
    run, options = folder(tmp_path / "run"), ("--steps", "12", "--every", "6")
    last = run / "last.pt"
    with subprocess.Popen(command(run, *options), stderr=subprocess.DEVNULL) as process:
        while not last.exists() and process.poll() is None:
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL and not (run / "speech_landmarks.onnx").exists()
    halfway = torch.load(last)
    assert halfway["told"]["step"] == 6
    assert "steps 12" in refusal(run, "--steps", "13")

    train(run, *options)
    state = torch.load(last)
    assert state["told"]["step"] == state["schedule"]["last_epoch"] == 12
    assert all(not torch.equal(halfway["trainee"][name], state["trainee"][name])
               for name in halfway["trainee"] if name.endswith("weight"))  # fmt: skip
    figures = json.loads((run / "metrics.json").read_text())
    assert figures["rules"]["utterances"] >= 1 and figures["rules"]["net"]["m_lmd_percent"] > 0
    best = load_file(run / "best.safetensors")  # of the step that metrics.json tells
    then = {6: halfway, 12: state}[figures["step"]]["trainee"]
    assert all(torch.equal(value, then[f"net.{name}"]) for name, value in best.items())

    (run / "speech_landmarks.onnx").unlink()
    train(run, *options)  # nothing is left to do but the export
    assert (run / "speech_landmarks.onnx").exists() and torch.load(last)["told"] == state["told"]


def test_two_processes_train_one_network(tmp_path):
    """Gloo, over the loopback: every process draws its own share and all end with the same weights."""
    script = tmp_path / "worker.py"
    script.write_text("""
import os
import torch
from atl_training.landmarks import train

made, stream = [], train.MODELS["stream"]

def keep(*options):
    made.append(stream(*options))
    return made[0]

train.MODELS["stream"] = keep
train.main()
torch.save({"weights": made[0].state_dict(), "seed": torch.initial_seed()}, __file__ + os.environ["RANK"])
""")
    torchrun = "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"
    out = train(tmp_path / "two", "--steps", "4", launcher=torchrun, program=(script,))
    assert json.loads((out / "metrics.json").read_text())["processes"] == 2
    first, second = (torch.load(f"{script}{rank}") for rank in range(2))
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
    assert first["seed"] != second["seed"]


def test_what_cant_be_trained_is_told_before_the_clips_are_read(tmp_path):
    assert "multiple of 20" in refusal(tmp_path / "x", "--lookahead", "50")
    told = refusal(tmp_path / "x", "--model", "kflm", "--lookahead", "40")
    assert "are for stream" in told and "utterances" not in told  # the bar of the clips
