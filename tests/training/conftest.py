"""Data that several tests of the training share."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def words(monkeypatch):
    """A dictionary for sentences of random words: CMU's where pocketsphinx is, else one of made-up words."""
    from importlib.util import find_spec
    from itertools import product

    from atl_training.corpus import text

    if find_spec("pocketsphinx") is None:
        made_up = tuple("".join(parts) for parts in product("bdfgklmnprstvz", "aeiou", "mnprst", "aeiou", "lnrst"))
        monkeypatch.setattr(text, "_dictionary", lambda: made_up)


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> Path:
    """A folder as renderer.pack writes it: the shipped face, whose jaw falls, four times in training and once held out."""
    pytest.importorskip("torch")
    from atl_diffusion_node.paste import ROOM
    from atl_diffusion_node.portrait import default_portrait_path, load_portrait
    from atl_diffusion_node.runtime import FACE_SIZE
    from atl_face.topology import INNER_LIPS
    from atl_landmark_node.face_model import PortraitFace
    from atl_training.renderer.pack import FRAMES, segment, stack, warper

    portrait = load_portrait(default_portrait_path())
    wide, warp = ROOM.cut(portrait.transform, portrait.picture), warper()
    face, segments = PortraitFace(portrait.neutral), []
    for opening in (0.1, 0.2, 0.3, 0.4, 0.25):
        weights = np.zeros((FRAMES, 52))
        weights[:, 17] = opening * np.linspace(0.5, 1, FRAMES)
        points = np.stack([face.points(w) for w in weights])
        target = [warp.warped(wide, portrait.neutral, p, ROOM) for p in points]
        for picture, p in zip(target, points, strict=True):  # a red throat, which no warp of shut lips knows
            x, y = (p[INNER_LIPS, :2].mean(0) * FACE_SIZE).astype(int)
            picture[y - 4:y + 5, x - 8:x + 9] = (160, 20, 20)
        segments.append(segment(wide, portrait.neutral, points, target, warp))
    folder = tmp_path_factory.mktemp("pack")
    for split, chosen in (("train", segments[:4]), ("val", segments[4:])):
        (folder / split).mkdir()
        for name, array in stack(chosen).items():
            np.save(folder / split / f"{name}.npy", array)
    return folder
