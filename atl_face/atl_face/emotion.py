"""Emotion labels and the expression that a face is asked for."""
from dataclasses import dataclass, replace

from atl_face.errors import UserError

# MEAD's eight (Wang et al., "MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face Generation", 2020)
LABELS = ("neutral", "angry", "contempt", "disgusted", "fear", "happy", "sad", "surprised")


@dataclass(frozen=True)
class Expression:
    """What the face shows besides speech.

    Attributes:
        label: one of `LABELS`.
        intensity: 0 (not at all) to 1 (fully).
        level: MEAD's 1 (weak), 2 (medium), 3 (strong); scales `intensity`.
        style: 0 (still; lips still speak, at half their motion) to 2 (lively): the amount of motion; 1 is as learnt.
        gaze_yaw, gaze_pitch: where the eyes rest, radians; + is the image's right, and up.
    """

    label: str = "neutral"
    intensity: float = 1.0
    level: int = 2
    style: float = 1.0
    gaze_yaw: float = 0.0
    gaze_pitch: float = 0.0

    def __post_init__(self):
        if self.label not in LABELS:
            raise UserError(f"There is no emotion {self.label!r}; choose one of {', '.join(LABELS)}.", "bad_emotion")
        for name, low, high in (("intensity", 0, 1), ("level", 1, 3), ("style", 0, 2),
                                ("gaze_yaw", -0.6, 0.6), ("gaze_pitch", -0.4, 0.4)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} of an expression must lie between {low} and {high}, not {value}.",
                                "bad_expression")  # fmt: skip

    @property
    def strength(self) -> float:
        """Intensity scaled by level: level 3 at intensity 1 is 1."""
        return self.intensity * self.level / 3.0


def asked_of(asked, own: Expression) -> Expression:
    """What is asked of a face whose own expression is `own`, by the fields of an Expression.msg; a level of 0 is the default.

    An empty label is the face's own expression in all but the gaze, which is asked for.

    Raises:
        UserError: a field is out of its range.
    """
    made = Expression(asked.label or own.label, asked.intensity, asked.level or 2, asked.style, asked.gaze_yaw, asked.gaze_pitch)
    return made if asked.label else replace(own, gaze_yaw=made.gaze_yaw, gaze_pitch=made.gaze_pitch)
