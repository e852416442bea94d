"""The average of several trainings' weights of the renderer."""
import pytest

torch = pytest.importorskip("torch", reason="training needs requirements/training.txt")

from safetensors.torch import load_file, save_file  # noqa: E402

from atl_face.errors import UserError  # noqa: E402
from atl_training.renderer import average  # noqa: E402


@pytest.fixture
def runs(tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for path, value in zip(paths, (1.0, 2.0, 6.0), strict=True):
        save_file({"unet.w": torch.full((2, 3), value), "identity.b": torch.tensor([value, -value])}, path)
    return paths


def test_every_weight_is_the_mean(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["average", "--runs", *map(str, runs), "--out", str(tmp_path / "out")])
    average.main()
    made = load_file(tmp_path / "out" / "renderer.safetensors")
    assert made["unet.w"].tolist() == [[3.0] * 3] * 2 and made["identity.b"].tolist() == [3.0, -3.0]


def test_what_is_no_average_is_refused(runs, tmp_path):
    with pytest.raises(UserError, match="two runs"):
        average.average(runs[:1])
    save_file({"unet.w": torch.zeros(2, 4), "identity.b": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="other.safetensors holds another network"):
        average.average([runs[0], tmp_path / "other.safetensors"])
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="file of weights"):
        average.average([runs[0], tmp_path / "text.safetensors"])
