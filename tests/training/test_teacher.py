"""A teacher's features: made once, beside the frames that they belong to, and guessed by the student."""
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_face.errors import UserError  # noqa: E402
from atl_face.topology import SPEECH_WEIGHTS  # noqa: E402
from atl_landmark_node.features import MELS  # noqa: E402
from atl_landmark_node.model import CURRENT, LOOKAHEAD, STYLES  # noqa: E402
from atl_training.landmarks import teacher  # noqa: E402
from atl_training.landmarks.data import Batches, load_shards  # noqa: E402
from atl_training.landmarks.encoders import load_encoder  # noqa: E402
from atl_training.landmarks.models import KflmTrainee, StreamTrainee  # noqa: E402

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "corpus_sample"
EAR = "logmel"  # the one that needs no package


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder, utterances = tmp_path_factory.mktemp("teacher"), [u for u in load_shards([SAMPLE]) if not u.held]
    teacher.keep(utterances, EAR, folder)
    (file,) = folder.iterdir()
    made = file.stat().st_mtime_ns
    teacher.keep(utterances, EAR, folder)
    assert list(folder.iterdir()) == [file] and file.stat().st_mtime_ns == made
    teacher.use(utterances, EAR, folder)
    with pytest.raises(FileNotFoundError):
        teacher.use(utterances[1:], EAR, folder)  # other clips: these features aren't theirs
    return utterances


def test_every_frame_has_what_the_teacher_made_of_it(taught):
    everything = np.concatenate([u.taught for u in taught]).astype(np.float32)
    assert np.abs(everything.mean(0)).max() < 0.02 and np.abs(everything.std(0) - 1).max() < 0.02
    for utterance in taught:
        heard = load_encoder(EAR)(utterance.sound.astype(np.float32) / 32768)[:len(utterance.weights)]
        assert utterance.taught.shape == heard.shape
        lively = np.flatnonzero(heard.std(0) > 0.01)
        assert all(np.corrcoef(utterance.taught[:, k].astype(float), heard[:, k])[0, 1] > 0.999 for k in lively)


def test_an_excerpt_has_its_own_frames_and_nobody_taught_what_is_no_speech(taught):
    *_, visemes, given = Batches(taught, 25, 16, seed=3, silent_share=0.5, real_share=0).draw()
    assert given.shape == (16, 25, taught[0].taught.shape[1])
    known = np.isfinite(given).all(-1)
    assert (known.any(-1)).any() and not known.any(-1).all(), "some excerpts are no speech"
    rows = {row.astype(np.float16).tobytes() for u in taught for row in u.taught}
    assert all(row.astype(np.float16).tobytes() in rows for row in given[known])
    assert (visemes[~known] == -1).all(), "outside a clip nobody knows either"


def test_the_student_is_drawn_to_its_teacher():
    torch.manual_seed(0)
    trainee, frames = StreamTrainee(LOOKAHEAD, 0, taught=7), 30
    features, style = torch.randn(2, frames * CURRENT + LOOKAHEAD, MELS), torch.eye(len(STYLES))
    quiet = torch.zeros(2, frames, len(SPEECH_WEIGHTS)), torch.zeros(2, frames), style, torch.full((2, frames), -1.0)
    told = features[:, :frames * CURRENT:CURRENT, :7]
    optimiser, costs = torch.optim.Adam(trainee.parameters(), 3e-3), []
    for _ in range(25):
        cost = trainee(features, *quiet, told, 0.0)["teacher"]
        optimiser.zero_grad(), cost.backward(), optimiser.step()
        costs.append(cost.item())
    assert costs[-1] < 0.7 * costs[0] and trainee.net.gru.weight_ih_l0.grad.abs().max() > 0
    nobody = trainee(features, *quiet, torch.full_like(told, torch.nan), 0.0)
    assert nobody["teacher"].item() == 0 and all(torch.isfinite(part) for part in nobody.values())
    assert "teacher" not in StreamTrainee(LOOKAHEAD, 0)(features, *quiet, told[..., :0], 0.0)


def test_kflm_has_no_teacher():
    with pytest.raises(UserError, match="--teacher"):
        KflmTrainee(LOOKAHEAD, taught=7)
