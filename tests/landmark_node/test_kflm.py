"""The paper's network on a portrait: pose and scale, silence, style, blinks; a stand-in answers in the network's place."""
from pathlib import Path

import numpy as np
import pytest

from atl_face.emotion import Expression
from atl_face.errors import UserError
from atl_face.topology import BROW_LEFT, INNER_LIPS, WEIGHT, eye_openness, lip_gap
from atl_landmark_node.face_model import RIGID, average_neutral, load_basis, rigid_fit, rotation_matrix
from atl_landmark_node.kflm import KflmModel, default_path, kflm_landmarks_of

SOUND = np.random.default_rng(0).normal(0, 0.1, 16000 + 100).astype(np.float32)
STILL = Expression(style=0.0)


class StandIn:
    """Lowers the lower lip by the loudness, and lifts the left brow by the expression's strength, in eye distances."""

    speech = 1.0

    def infer(self, mel, neutral, expression):
        self.neutral = neutral
        moved = np.zeros((len(mel), 68, 3))
        moved[:, 65:68, 1] = 0.2 * (mel.mean((1, 2)) > -1)[:, None]
        moved[:, BROW_LEFT, 1] = -0.1 * expression.strength * (expression.label != "neutral")
        return moved, np.full(len(mel), self.speech)


def still(frame):
    """A frame's points with the head's motion taken out by the rigid ones."""
    neutral = average_neutral()
    turn = rigid_fit(frame.points[RIGID], neutral[RIGID])
    return (frame.points - frame.points[RIGID].mean(0)) @ turn.T + neutral[RIGID].mean(0)


def test_every_40_ms_gives_a_frame_of_the_portrait_with_the_networks_motion():
    frames = kflm_landmarks_of(SOUND, average_neutral(), StandIn())
    assert [f.index for f in frames] == list(range(26)) and frames[10].speaking
    assert lip_gap(frames[10].points) == pytest.approx(0.2, abs=0.01)
    assert not kflm_landmarks_of(SOUND[:0], average_neutral(), StandIn())


def test_any_pose_and_scale_is_shown_to_the_network_as_the_average_pose_and_moves_in_its_own():
    turn, model = rotation_matrix(0.1, 0.2, -0.3), StandIn()
    upright = kflm_landmarks_of(SOUND, average_neutral(), model, expression=STILL)[10]
    turned = kflm_landmarks_of(SOUND, 300 * average_neutral() @ turn.T + 7, model, expression=STILL)[10]
    seen, average = model.neutral[RIGID], load_basis()[1][RIGID]
    assert np.allclose(rigid_fit(average, seen), np.eye(3), atol=1e-6)
    gap = [(f.points[66] - f.points[62]) for f in (upright, turned)]
    assert np.allclose(gap[1] @ turn / np.linalg.norm(gap[1]), gap[0] / np.linalg.norm(gap[0]), atol=0.02)


def test_silence_keeps_the_expression():
    model = StandIn()
    model.speech = 0.01
    happy = Expression("happy", level=3, style=0.0)
    frame, plain = (kflm_landmarks_of(0 * SOUND, average_neutral(), model, expression=e)[10] for e in (happy, STILL))
    assert not frame.speaking
    unit = np.linalg.norm(average_neutral()[45] - average_neutral()[36])
    assert (still(plain) - still(frame))[BROW_LEFT, 1] / unit == pytest.approx(0.1, abs=0.01)


def test_style_scales_speech_as_the_streams_does():
    gaps = [lip_gap(kflm_landmarks_of(SOUND, average_neutral(), StandIn(), expression=Expression(style=s))[10].points)
            for s in (0.0, 1.0, 2.0)]  # fmt: skip
    assert gaps == pytest.approx([0.1, 0.2, 0.3], abs=0.01)


def test_life_goes_on_and_a_blink_shuts_the_eyes_however_the_network_holds_them():
    class Narrow(StandIn):
        squint = -0.05  # lower lids go up

        def infer(self, mel, neutral, expression):
            moved = np.zeros((len(mel), 68, 3))
            moved[:, [40, 41, 46, 47], 1] = self.squint
            return moved, np.zeros(len(mel))

    silence, narrow, plain = np.zeros(16000 * 12, np.float32), Narrow(), Narrow()
    plain.squint = 0.0
    squinting, frames = (kflm_landmarks_of(silence, average_neutral(), model) for model in (narrow, plain))
    shut = np.array([f.weights[WEIGHT["eyeBlinkLeft"]] for f in frames]) == 1
    opens = np.array([[eye_openness(f.points)[0] for f in made] for made in (squinting, frames)])
    assert shut.any() and np.allclose(opens[0, shut], opens[1, shut]) and np.mean(opens[0] < 0.9 * opens[1]) > 0.8
    assert np.std([f.rotation for f in frames], axis=0).min() > 1e-4
    assert max(lip_gap(f.points) for f in frames) < 1e-6
    assert np.ptp([still(f)[INNER_LIPS] for f in frames], axis=0).max() < 0.01  # the mouth is still


def test_a_missing_network_is_told_in_a_sentence():
    with pytest.raises(UserError, match="--model kflm"):
        KflmModel(path=Path("/nowhere/kflm.onnx"))


def test_another_kind_of_network_is_told_in_a_sentence():
    shipped = default_path().with_name("speech_landmarks.onnx")
    with pytest.raises(UserError, match="not a network of `kflm`") as problem:
        KflmModel(path=shipped)
    assert str(shipped) in str(problem.value)
