"""The average of several trainings' weights: `stream`'s networks that began together."""
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from safetensors.torch import load_file, save_file  # noqa: E402

from atl_face.errors import UserError  # noqa: E402
from atl_training.landmarks.average import average  # noqa: E402
from atl_training.landmarks.models import StreamTrainee, load_trainee  # noqa: E402
from atl_training.landmarks.train import save_net  # noqa: E402


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Three files of weights that differ."""
    folder, paths = tmp_path_factory.mktemp("runs"), []
    for seed in range(3):
        torch.manual_seed(seed)
        paths.append(folder / f"{seed}.safetensors")
        save_net(StreamTrainee(lookahead=8, sync=0), paths[-1])
    return paths


def test_every_weight_is_the_mean_of_all_runs(runs):
    made = average(runs).net.state_dict()
    for name, value in made.items():
        expected = np.mean([load_file(path)[name].numpy().astype(np.float64) for path in runs], axis=0)
        np.testing.assert_allclose(value.numpy(), expected, atol=1e-6)


def test_what_is_written_is_that_network(runs, tmp_path):
    trainee = average(runs[:2])
    save_net(trainee, tmp_path / "best.safetensors")
    again = load_trainee(tmp_path / "best.safetensors").net.state_dict()
    assert all(torch.equal(again[name], value) for name, value in trainee.net.state_dict().items())


def test_one_run_or_another_network_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match="two runs or more"):
        average(runs[:1])
    other = tmp_path / "other.safetensors"
    save_net(StreamTrainee(lookahead=0, sync=0), other)
    with pytest.raises(UserError, match="another network"):
        average([runs[0], other])
    alien = tmp_path / "alien.safetensors"
    save_file({"weight": torch.zeros(2)}, alien)
    with pytest.raises(UserError, match="another network"):
        average([runs[0], alien])
