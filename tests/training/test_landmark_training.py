"""Training of the landmark networks: it learns, it goes on after a kill as if nothing had been, and processes share it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from safetensors.torch import load_file  # noqa: E402

from atl_face.topology import MOUTH, SPEECH_WEIGHTS  # noqa: E402
from atl_landmark_node.features import MELS  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD  # noqa: E402
from atl_training.augment import other_throat  # noqa: E402
from atl_training.landmarks.critic import SyncCritic  # noqa: E402
from atl_training.landmarks.data import ECHOES, Batches, load_shards  # noqa: E402
from atl_training.landmarks.losses import MouthLoss  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"


MODULE = "-m", "atl_training.landmarks.train"


def command(out: Path, *options: str, launcher: tuple = (), program: tuple = MODULE) -> list:
    """Training on the committed sample."""
    return [sys.executable, *launcher, *program, "--shards", SAMPLE, "--out", out, "--threads", "1", *options]


def train(out: Path, *options: str, **how) -> Path:
    """The folder of a finished run."""
    subprocess.run(command(out, *options, **how), check=True, capture_output=True, timeout=280)
    return out


def refusal(out: Path, *options: str) -> str:
    """What a run that a user's mistake ends says."""
    asked = subprocess.run(command(out, *options), capture_output=True, text=True, check=False, timeout=280)
    assert asked.returncode == 2 and "Traceback" not in asked.stderr
    return asked.stderr


def test_the_mouth_loss_sees_what_it_is_for():
    loss, speaking = MouthLoss(), torch.ones(1, 4)
    weights = torch.zeros(1, 4, len(SPEECH_WEIGHTS))
    opened = weights.clone()
    opened[..., SPEECH_WEIGHTS.index("jawOpen")] = 0.3
    said = torch.full((1, 4, 1), 0.999)
    right, wrong = (loss(torch.cat([made, said], 2), weights, speaking) for made in (weights, opened))
    assert sum(right.values()) < 0.01 < sum(wrong.values())
    assert right["closure"] == 0 < wrong["closure"] and wrong["velocity"] == 0  # open where shut; but steadily so
    assert loss(torch.cat([weights, said], 2), opened, speaking)["closure"] == 0  # shut where open: another part's business


def test_a_critic_that_knows_tells_the_moment():
    torch.manual_seed(0)
    critic, optimiser = SyncCritic(), None
    optimiser = torch.optim.Adam(critic.parameters(), 3e-3)
    shape = torch.randn(1, 4 * MELS), torch.randn(1, 68 * 3)
    first = None
    for _ in range(60):
        jaw = torch.randn(4, 20, 1)
        features = (jaw @ shape[0]).unflatten(2, (4, MELS)).flatten(1, 2)
        lips = 0.03 * (jaw @ shape[1]).unflatten(2, (68, 3))
        loss = critic(features, lips, torch.ones(4, 20))
        first = loss.item() if first is None else first
        optimiser.zero_grad(), loss.backward(), optimiser.step()
    shifted = critic(features, lips.roll(5, 1), torch.ones(4, 20))
    assert loss < 0.6 * first and shifted > 1.5 * loss
    still = torch.zeros_like(lips)
    lips[:, :, MOUTH] = still[:, :, MOUTH]  # it looks at nothing but the mouth
    assert torch.allclose(critic(features, lips, torch.ones(4, 20)), critic(features, still, torch.ones(4, 20)))


def test_another_throat_moves_the_bands_and_keeps_the_time():
    features = np.tile(np.exp(-((np.arange(MELS) - 30) ** 2) / 20).astype(np.float32), (5, 1))
    rng = np.random.default_rng(3)
    moved = [other_throat(rng, features) for _ in range(20)]
    peaks = {int(m[0].argmax()) for m in moved}
    assert 30 in peaks and min(peaks) < 29 and max(peaks) > 31 and all(m.shape == features.shape for m in moved)
    assert all(m.dtype == np.float32 for m in moved)


def test_batches_come_as_often_as_said_and_the_same_for_a_seed():
    utterances = [u for u in load_shards([SAMPLE]) if not u.held]
    runs = [Batches(utterances, 25, 2, seed=4, lookahead=LOOKAHEAD).ahead() for _ in range(2)]
    first, second = ([next(run) for _ in range(6)] for run in runs)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert first[0][0].shape == (2, 25 * CURRENT + LOOKAHEAD, MELS)
    assert len({batch[0].tobytes() for batch in first}) >= 6 / ECHOES


def test_a_run_goes_on_after_a_kill_and_is_exported(tmp_path):
    run, options = tmp_path / "run", ("--steps", "12", "--every", "6")
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
