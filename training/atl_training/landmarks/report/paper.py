"""The paper's network (`kflm.onnx`) beside ours, as `atl render` runs it: it hears the whole utterance."""
from pathlib import Path

import numpy as np

from atl_landmark_node.face_model import close_lips
from atl_landmark_node.kflm import KflmModel, kflm_landmarks_of
from atl_landmark_node.model import STYLES
from atl_training.landmarks.fit import level_to


class Paper:
    """What `on_draft.Driver` asks for.

    Raises:
        UserError: there is no such network.
    """

    def __init__(self, path: Path):
        self._models = {style: KflmModel(style, path) for style in STYLES}

    def __call__(self, sound: np.ndarray, style: str, neutral: np.ndarray) -> np.ndarray:
        """Landmarks (T, 68, 3) on a portrait (68, 3) in its unit; life's head motion is taken out again."""
        closed = close_lips(neutral)
        return np.stack([level_to(closed, frame.points) for frame in kflm_landmarks_of(sound, neutral, self._models[style])])
