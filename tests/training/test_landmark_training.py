"""Training of the landmark networks: it learns, it goes on after a kill as if nothing had been, and processes share it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_face.topology import MOUTH, SPEECH_WEIGHTS  # noqa: E402
from atl_landmark_node.features import MELS  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD  # noqa: E402
from atl_training.augment import other_throat  # noqa: E402
from atl_training.landmarks.critic import SyncCritic  # noqa: E402
from atl_training.landmarks.data import ECHOES, Batches, load_shards  # noqa: E402
from atl_training.landmarks.losses import MouthLoss  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"


def train(out: Path, *options: str, launcher: tuple[str, ...] = (sys.executable,)) -> Path:
    """The folder of a finished run on the committed sample."""
    subprocess.run([*launcher, "-m", "atl_training.landmarks.train", "--shards", SAMPLE, "--out", out, "--threads", "1",
                    *options], check=True, capture_output=True, timeout=280)  # fmt: skip
    return out


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


def test_a_run_learns_resumes_and_is_exported(tmp_path):
    whole = train(tmp_path / "run", "--steps", "12")
    figures = json.loads((whole / "metrics.json").read_text())
    assert figures["step"] == 12 and figures["rules"]["utterances"] >= 1 and figures["rules"]["net"]["m_lmd_percent"] > 0
    assert {"best.safetensors", "speech_landmarks.onnx", "last.pt"} <= {path.name for path in whole.iterdir()}
    state = torch.load(whole / "last.pt")
    assert state["told"]["step"] == 12
    train(whole, "--steps", "12")  # nothing is left to do
    assert torch.load(whole / "last.pt")["told"] == state["told"]


def test_two_processes_train_one_network(tmp_path):
    """Gloo, over the loopback: every process draws its own share and all end with the same weights."""
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29641")
    out = train(tmp_path / "two", "--steps", "4", launcher=torchrun)
    assert json.loads((out / "metrics.json").read_text())["processes"] == 2


def test_a_lookahead_between_frames_is_refused(tmp_path):
    asked = subprocess.run([sys.executable, "-m", "atl_training.landmarks.train", "--shards", SAMPLE, "--out", tmp_path / "x",
                            "--lookahead", "50"], capture_output=True, text=True, check=False)  # fmt: skip
    assert asked.returncode == 2 and "multiple of 20" in asked.stderr and "Traceback" not in asked.stderr
