"""Several looks at each stored frame: geometry of a look, their mean, and what becomes of clips."""
import cv2
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from atl_diffusion_node.portrait import default_portrait_path, load_portrait
from atl_face.errors import UserError
from atl_face.topology import lip_gap
from atl_landmark_node.face_model import average_neutral
from atl_training.loaders import looks
from atl_training.loaders.looks import LOOKS, MIRRORED, anew, looked_at
from atl_training.shards import Sample, encode_sound, encode_video, read_shards, write_shard

SIZE = 128


@pytest.mark.parametrize("look", LOOKS)
def test_what_is_seen_comes_back_to_where_it_was(look):
    frame = np.zeros((SIZE, SIZE, 3), np.uint8)
    cv2.circle(frame, (37, 81), 4, (255, 255, 255), -1)
    y, x = np.nonzero(look.show(frame)[..., 0] > 127)
    seen = np.tile([x.mean() + 0.5, y.mean() + 0.5, -9.0], (68, 1))
    assert look.back(seen, SIZE) == pytest.approx(np.tile([37.5, 81.5, -9 / look.scale], (68, 1)), abs=0.1)


def test_a_mirror_swaps_the_sides_of_a_face():
    face = average_neutral() - average_neutral().mean(axis=0)  # about its own mirror image
    distances = np.linalg.norm((face * (-1, 1, 1))[:, None] - face, axis=-1)
    assert np.array_equal(linear_sum_assignment(distances)[1], MIRRORED)


def test_the_looks_at_a_face_agree_with_one_look_and_lean_to_no_side():
    portrait = load_portrait(default_portrait_path(), 256)
    straight, mirrored = (looked_at([picture] * 2) for picture in (portrait.picture, portrait.picture[:, ::-1]))
    assert np.abs(straight[-1][:, :2] - portrait.transform.to_portrait(portrait.neutral)[:, :2]).mean() < 3
    back = mirrored[-1][MIRRORED] * (-1, 1, 1) + (256, 0, 0)
    assert np.abs(back - straight[-1])[:, :2].max() < 0.25


def clip(kind: str = "recorded") -> Sample:
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    arrays = {"landmarks": np.zeros((3, 68, 3), np.float32), "lip_gap": np.ones(3, np.float32)}
    facts = {"kind": kind, "split": "train", "speaker": "s", "frames": 3, "size": 64}
    return Sample("k", facts, arrays, encode_sound(np.zeros(3 * 640, np.float32)), encode_video(frames, 64))


def test_a_clip_gets_the_mean_and_its_lip_gap(monkeypatch):
    answers = iter((1.0, 2.0, 6.0))
    monkeypatch.setattr(looks, "track", lambda frames: np.full((len(list(frames)), 68, 3), next(answers)))
    monkeypatch.setattr(looks, "LOOKS", (LOOKS[0],) * 3)
    made = anew(clip())
    assert made.arrays["landmarks"].shape == (3, 68, 3) and made.arrays["landmarks"].dtype == np.float32
    assert np.all(made.arrays["landmarks"] == 3) and made.facts["looks"] == 3
    assert np.array_equal(made.arrays["lip_gap"], lip_gap(made.arrays["landmarks"]), equal_nan=True)


def test_a_clip_whose_face_is_lost_stays_as_it_was():
    assert anew(before := clip()) is before  # there is none in black frames


def test_shards_are_written_anew_and_rendered_ones_refused(tmp_path, monkeypatch, capsys):
    for name, kind in (("film", "recorded"), ("studio", "rendered")):
        (tmp_path / name).mkdir()
        write_shard(tmp_path / name / f"{name}-00000.tar", [clip(kind)])
    out = tmp_path / "out"
    monkeypatch.setattr("sys.argv", ["looks", "--shards", str(tmp_path / "film"), "--out", str(out), "--workers", "1"])
    looks.main()
    assert "clips: 1, looked at anew: 0" in capsys.readouterr().out
    assert [sample.key for sample in read_shards([out])] == ["k"]
    monkeypatch.setattr("sys.argv", ["looks", "--shards", str(tmp_path / "studio"), "--out", str(out)])
    with pytest.raises(UserError, match="rendered clips"):
        looks.main()
    monkeypatch.setattr("sys.argv", ["looks", "--shards", str(out), "--out", str(tmp_path / "film" / ".." / "out")])
    with pytest.raises(UserError, match="another folder"):
        looks.main()
