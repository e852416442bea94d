"""The landmark stage's report: every figure has a known case."""
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from atl_face.emotion import LABELS
from atl_face.topology import SPEECH
from atl_landmark_node.face_model import PortraitFace, average_neutral
from atl_training.corpus.speech import LEVEL
from atl_training.figures import with_interval
from atl_training.landmarks.judge import energy_jaw, points_of
from atl_training.landmarks.report import on_draft, on_people, sounds
from atl_training.landmarks.report.baselines import names_at_frames, nearest_viseme
from atl_training.landmarks.report.clips import DraftClip, mean_face
from atl_training.landmarks.report.closures import closures
from atl_training.landmarks.report.figures import of_motion, signed_gap

SAID = np.array(["pau", "m", "m", "aa", "aa", "p", "iy"])
TRUE_GAPS = np.array([0.0, 0.01, 0.05, 0.2, 0.1, 0.0, 0.1])


def test_closures_count_the_frames_in_which_the_truth_is_closed():
    itself = closures([TRUE_GAPS], [TRUE_GAPS], [SAID])
    assert itself == {"closed": 100, "closed_strict": 100, "sounds": 100, "false": 0, "frames": 2}
    made = np.array([0.0, 0.02, 0.0, 0.0, 0.1, 0.2, 0.1])  # /m/ closed but not strictly, /p/ missed, one open frame closed
    figures = closures([TRUE_GAPS], [made], [SAID])
    assert figures == {"closed": 50, "closed_strict": 0, "sounds": 50, "false": 33.33, "frames": 2}


def test_the_nearest_viseme_shuts_lips_for_m_and_opens_them_for_a():
    weights = nearest_viseme(np.array(["PP", "aa", "sil"]))
    gaps = signed_gap(points_of(weights))
    assert gaps[0] < 0.015 and gaps[1] > 0.1 and abs(gaps[2]) < 0.01


def test_motion_against_itself_is_perfect_and_late_motion_is_told():
    weights = energy_jaw(np.random.default_rng(0).standard_normal(640 * 60).astype(np.float32) * np.repeat(
        np.random.default_rng(1).uniform(0, 0.3, 60), 640), 60)  # fmt: skip
    points = points_of(weights)
    same, late, early = of_motion(points, points), of_motion(points[1:], points[:-1]), of_motion(points[:-1], points[1:])
    assert same["gap_r"] == pytest.approx(1) and same["m_lmd"] == 0 and same["abs_lag"] == 0
    assert late["abs_lag"] == early["abs_lag"] == 1 and late["gap_r_near"] == pytest.approx(1) and late["gap_r"] < 0.5


def test_the_mean_face_forgets_where_the_head_is():
    neutral = 100 * points_of(np.zeros((1, 28)))[0]
    smile = neutral.copy()
    smile[[48, 54], 1] -= 5.0  # 5 % of the eye distance
    turned = smile @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]) * 2 + 30
    moved = mean_face(np.repeat(turned[None], 30, axis=0), neutral)
    assert moved[[48, 54], 1] == pytest.approx([-0.05, -0.05], abs=2e-3) and np.abs(moved[:48]).max() < 2e-3


def test_people_are_judged_on_their_own_faces_wherever_head_and_camera_are(monkeypatch):
    """A stage that answers the truth in another pose is perfect, one that keeps its mouth shut isn't; emotions have no say."""
    roll = np.radians(20)
    camera = 90 * np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    neutral = average_neutral() @ camera + 50
    visemes = np.array(["aa", "PP", "E", "aa", "sil", "O"] * 10)
    face, weights = PortraitFace(neutral), np.zeros((60, 52))
    weights[:, SPEECH] = nearest_viseme(visemes)
    rotations = 0.2 * np.sin(np.arange(180)).reshape(60, 3)
    landmarks = np.stack([face.points(w, turn, turn) for w, turn in zip(weights, rotations, strict=True)])
    clip = DraftClip("k", np.zeros(60 * 640, np.float32), weights[:, SPEECH], np.array(["pau", "p"] * 30), visemes, "rules", "en",
                     "piper/joe", "neutral", 0, landmarks, neutral, None)  # fmt: skip
    made = [SimpleNamespace(points=face.points(w, -turn)) for w, turn in zip(weights, rotations, strict=True)]
    monkeypatch.setattr(on_people, "landmarks_of", lambda *_: made)
    stage = SimpleNamespace(models={"rules": None, "real": None})
    told = on_people.on_people(stage, [clip, replace(clip, emotion="happy"), replace(clip, style="other")])
    assert list(told) == ["rules"] and told["rules"]["clips"] == 1
    rows = told["rules"]["rows"]
    assert rows["ours"]["gap_r"][0] == pytest.approx(1) and rows["ours"]["m_lmd"][0] == pytest.approx(0, abs=0.01)
    assert rows["ours"]["closures"]["closed"] == rows["nearest viseme"]["closures"]["closed"] == 100
    monkeypatch.setattr(on_people, "landmarks_of", lambda *_: [SimpleNamespace(points=neutral)] * 60)
    shut = on_people.on_people(stage, [clip])["rules"]["rows"]["ours"]
    assert shut["m_lmd"][0] > 2 and shut["closures"]["false"] == 100 and shut["closures"]["closed"] == 100


def test_voices_that_none_heard_are_drawn_whole_in_their_intervals():
    """Of one engine's held-out voices and of readers; the stage answers the truth, then the truth of one voice alone."""
    visemes = np.array(["aa", "PP", "E", "aa", "sil", "O"] * 10)
    weights = nearest_viseme(visemes)
    clips = [DraftClip(f"{voice}{k}", np.zeros(60 * 640, np.float32), weights, np.array(["pau", "p"] * 30), visemes, "rules",
                       "en", voice, "neutral", 0, None, None, None)
             for voice in ("kokoro/jf_alpha", "flite/rms", "piper/joe", "real/librispeech_test") for k in range(3)]  # fmt: skip
    answers = iter([weights * (1 if "flite" in clip.voice else 0.5) for clip in clips])
    told = on_draft.on_draft(SimpleNamespace(spoken=lambda *_: next(answers)), clips, None, {})["rules"]
    assert told["clips"] == 12 and told["unseen"]["clips"] == 6 and told["unseen"]["speakers"] == 2
    assert told["read"]["clips"] == 3 and "speakers" not in told["read"]
    near, far = (told["by_voice"][voice]["m_lmd"][0] for voice in ("flite/rms", "kokoro/jf_alpha"))
    mean, *ends = told["unseen"]["rows"]["ours"]["m_lmd"]
    assert near < far and mean == pytest.approx((near + far) / 2, abs=1e-4) and ends == [near, far]


def test_names_lie_at_the_frames_middles():
    assert names_at_frames([(0.05, 0.11, "m"), (0.11, 0.2, "aa")], 5).tolist() == ["pau", "m", "m", "aa", "aa"]


def test_intervals_weigh_clips():
    assert with_interval([50, 100], [3, 1])[0] == 62.5
    assert with_interval([float("nan")]) == [None, None, None]


def test_sounds_that_are_no_speech_are_as_loud_as_speech_and_repeat(monkeypatch):
    monkeypatch.setattr(sounds, "SECONDS", 2.0)
    voices = [np.random.default_rng(i).standard_normal(16000).astype(np.float32) for i in range(7)]
    made, again = (sounds.no_speech(np.random.default_rng(0), voices) for _ in range(2))
    for name, takes in made.items():
        assert all(np.array_equal(a, b) for a, b in zip(takes, again[name], strict=True)), name
    for name in ("music", "babble", "white noise", "hum"):
        assert np.sqrt(np.mean(made[name][0] ** 2)) == pytest.approx(LEVEL, rel=1e-3)


def test_speech_through_a_file_of_another_rate_stays_in_step():
    time = np.arange(16000) / 16000
    sound = (0.1 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    for rate in sounds.RATES:
        back = sounds.through_file(sound, rate)
        assert len(back) == len(sound) and np.abs(back - sound)[800:-800].max() < 2e-3


def test_the_classifier_learns_what_is_told_apart_and_balances_emotions():
    pytest.importorskip("torch")
    from atl_training.landmarks.report.emotions import Classifier

    rng = np.random.default_rng(0)
    places = {label: rng.standard_normal((68, 2)) for label in LABELS}
    cases = [(label, places[label] + 0.3 * rng.standard_normal((68, 2))) for label in LABELS for _ in range(12)]
    answers = Classifier(cases)([places[label] for label in LABELS])
    assert answers == list(LABELS)
