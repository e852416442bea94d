"""The face between and under the words: blinks, gaze, breathing and small head motion, from a seed.

A frame at a time, so that a stream and a whole file give the same life.
"""
from dataclasses import dataclass

import numpy as np

from atl_face.emotion import Expression
from atl_face.stream import FRAME_RATE
from atl_face.topology import WEIGHT

# Blinks: one every 4 s at rest (Bentivoglio et al., "Analysis of blink rate patterns in normal subjects", 1997: 17 a
# minute), at least 0.7 s apart; lids close in 80 ms, stay 40 ms, open in 160 ms (Stern, Walrath, Goldstein, 1984).
BLINK_MEAN_S, BLINK_REST_S = 3.0, 0.9
BLINK_SHAPE = (0.45, 0.95, 1.0, 0.7, 0.35, 0.12)  # weight of the blink's frames, 40 ms each
# Fixations of 0.3-2.5 s around the camera; small saccades, as people make towards whom they talk to
FIXATION_S = (0.4, 2.5)
SACCADE_RAD = (0.06, 0.035)  # standard deviation of yaw, pitch
BREATH_S = 4.2  # 14 breaths a minute, at rest
BREATH_LIFT = 0.008  # eye distances (0.7 mm): the head rises with the chest
LOOK_FULL_RAD = 0.5  # the eyes' turn at weight 1 of an eyeLook unit
# Head sway: Ornstein-Uhlenbeck processes; speech makes it livelier (Hadar et al., 1983)
SWAY_RAD = np.radians((1.1, 1.5, 0.8))  # standard deviation of pitch, yaw, roll in silence at style 1
SWAY_SPEECH = 1.8
SWAY_SHIFT = (0.006, 0.004, 0.0)  # eye distances
SWAY_TIME_S = 1.1
NOD_RAD = np.radians(1.6)  # pitch with loudness: heads dip on stressed syllables
_SMOOTH_S = 0.25  # a second filter takes the corners off the sway


@dataclass
class LifeFrame:
    """What life adds to a frame: weights (52,), rotation (pitch, yaw, roll) rad, translation (eye distances), gaze rad."""

    weights: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    gaze: tuple[float, float]


class Life:
    """A seeded source of life; call `step` once a frame.

    Args:
        seed: the same seed and calls give the same life.
    """

    def __init__(self, seed: int = 0):
        self._rng = np.random.default_rng(seed)
        self._frame = 0
        self._next_blink = self._blink_gap()
        self._blink_at: int | None = None
        self._fixation_end = 0
        self._gaze = np.zeros(2)
        self._sway = np.zeros(6)
        self._smooth = np.zeros(6)
        self._loud = 0.0
        self._liveliness = 1.0
        self._brow = 0.0

    def _blink_gap(self) -> int:
        return self._frame + round(FRAME_RATE * (BLINK_REST_S + self._rng.exponential(BLINK_MEAN_S)))

    def step(self, speaking: bool, loudness: float, expression: Expression) -> LifeFrame:
        """The next frame's life.

        Args:
            speaking: whether there is speech in this frame.
            loudness: 0 (silence) to 1 (loud speech).
            expression: its style scales all motion but blinks; its gaze is where the eyes rest.
        """
        weights = np.zeros(52)
        blink = self._blink()
        weights[WEIGHT["eyeBlinkLeft"]] = weights[WEIGHT["eyeBlinkRight"]] = blink
        gaze = self._look(weights, expression)
        self._loud += 0.3 * (loudness - self._loud)
        self._brow += 0.15 * (max(0.0, self._loud - 0.5) * expression.style - self._brow)
        weights[WEIGHT["browInnerUp"]] = 0.35 * self._brow
        for side in ("Left", "Right"):
            weights[WEIGHT["browOuterUp" + side]] = 0.25 * self._brow
        rotation, translation = self._move(speaking, expression.style)
        self._frame += 1
        return LifeFrame(weights, rotation, translation, gaze)

    def _blink(self) -> float:
        if self._blink_at is None and self._frame >= self._next_blink:
            self._blink_at = self._frame
        if self._blink_at is None:
            return 0.0
        phase = self._frame - self._blink_at
        if phase >= len(BLINK_SHAPE):
            self._blink_at, self._next_blink = None, self._blink_gap()
            return 0.0
        return BLINK_SHAPE[phase]

    def _look(self, weights: np.ndarray, expression: Expression) -> tuple[float, float]:
        if self._frame >= self._fixation_end:
            self._fixation_end = self._frame + round(FRAME_RATE * self._rng.uniform(*FIXATION_S))
            self._gaze = self._rng.normal(0, SACCADE_RAD) * expression.style
        yaw, pitch = self._gaze + (expression.gaze_yaw, expression.gaze_pitch)
        x, y = np.clip((yaw / LOOK_FULL_RAD, pitch / LOOK_FULL_RAD), -1, 1)
        weights[WEIGHT["eyeLookOutLeft"]] = weights[WEIGHT["eyeLookInRight"]] = max(x, 0.0)
        weights[WEIGHT["eyeLookInLeft"]] = weights[WEIGHT["eyeLookOutRight"]] = max(-x, 0.0)
        for side in ("Left", "Right"):
            weights[WEIGHT["eyeLookUp" + side]] = max(y, 0.0)
            weights[WEIGHT["eyeLookDown" + side]] = max(-y, 0.0)
        return float(yaw), float(pitch)

    def _move(self, speaking: bool, style: float) -> tuple[np.ndarray, np.ndarray]:
        dt = 1.0 / FRAME_RATE
        keep = np.exp(-dt / SWAY_TIME_S)
        self._sway = keep * self._sway + np.sqrt(1 - keep**2) * self._rng.standard_normal(6)
        self._smooth += (1 - np.exp(-dt / _SMOOTH_S)) * (self._sway - self._smooth)
        self._liveliness += 0.05 * ((SWAY_SPEECH if speaking else 1.0) - self._liveliness)
        amount = style * self._liveliness
        rotation = amount * SWAY_RAD * self._smooth[:3]
        rotation[0] += style * NOD_RAD * max(0.0, self._loud - 0.3)
        breath = np.sin(2 * np.pi * self._frame / (FRAME_RATE * BREATH_S))
        translation = amount * np.asarray(SWAY_SHIFT) * self._smooth[3:]
        translation[1] -= BREATH_LIFT * breath
        return rotation, translation
