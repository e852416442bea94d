"""Training of the sync expert: it goes on with the settings that it was begun with, and with no others."""
import json
import sys

import numpy as np
import pytest

pytest.importorskip("scipy", reason="augmentation needs scipy")
pytest.importorskip("webdataset", reason="shards need requirements of training/README.md: webdataset")
torch = pytest.importorskip("torch", reason="torch isn't installed: the training environment has it (make training)")

from atl_face.stream import FRAME_SAMPLES  # noqa: E402
from atl_training.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from atl_training.sync import train  # noqa: E402
from atl_training.sync.data import WIDE, Clip  # noqa: E402
from atl_training.tool import exit_status  # noqa: E402


def clips() -> list[Clip]:
    rng = np.random.default_rng(0)
    return [Clip(str(k), rng.integers(0, 255, (14, WIDE, WIDE), np.uint8), rng.integers(-999, 999, 14 * FRAME_SAMPLES, np.int16),
                 k > 3, real) for k in range(6) for real in (False, True)]  # fmt: skip


def test_it_goes_on_and_refuses_other_settings(tmp_path, monkeypatch, capsys):
    seeds, out = [], tmp_path / "out"

    class Batches(train.Batches):
        def __init__(self, clips, frames, batch, seed, real_share):
            seeds.append(seed)
            super().__init__(clips, frames, batch, seed, real_share)

    monkeypatch.setattr(train, "load", lambda folders: clips())
    for name, small in {"Batches": Batches, "FRAMES": 12, "BATCH": 3, "OFFSETS": 2, "measure": lambda net, held: {},
                        "export": lambda net, path: path.touch()}.items():  # fmt: skip
        monkeypatch.setattr(train, name, small)

    def run(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train", "--out", str(out), "--data", "crops", *options])
        return exit_status(train.main)

    assert run("--steps", "2") == 0 and load_checkpoint(out / "last.pt")["step"] == 2
    assert json.loads((out / "metrics.json").read_text())["steps"] == 2
    capsys.readouterr()
    for other, told in ((("--steps", "3"), "steps 2"), (("--steps", "2", "--seed", "1"), "seed 0"),
                        (("--steps", "2", "--real-share", ".2"), "real_share 0.5"),
                        (("--steps", "2", "--data", "others"), "data ['crops']")):  # fmt: skip
        assert run(*other) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1 and "other settings" in said and told in said
    assert load_checkpoint(out / "last.pt")["step"] == 2
    state = load_checkpoint(out / "last.pt")
    save_checkpoint(state | {"step": 1, "schedule": state["schedule"] | {"last_epoch": 1}}, out / "last.pt")  # stopped there
    assert run("--steps", "2") == 0 and seeds[0] == [0, 0] and seeds[-1] == [0, 1], "a resumed run draws anew"
    state = load_checkpoint(out / "last.pt")
    save_checkpoint({name: part for name, part in state.items() if name != "arguments"}, out / "last.pt")
    assert run("--steps", "2") == 2 and "steps not told" in capsys.readouterr().err
