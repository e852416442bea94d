"""What an emotion adds to the face, as ARKit weights: a documented rule, until a model has learnt better.

After Ekman and Friesen's action units of the basic emotions (Investigator's Guide to FACS, 2002), mapped unit by unit to
ARKit: AU1 browInnerUp, AU2 browOuterUp, AU4 browDown, AU5 eyeWide, AU6 cheekSquint, AU7 eyeSquint, AU9 noseSneer, AU12
mouthSmile, AU14 mouthDimple, AU15 mouthFrown, AU17 mouthShrugLower, AU20 mouthStretch.
"""
import numpy as np

from atl_face.emotion import Expression
from atl_face.topology import unit_weights

_UNITS: dict[str, dict[str, float]] = {
    "neutral": {},
    "angry": {"browDown": 0.9, "eyeSquint": 0.4, "noseSneer": 0.35, "mouthFrown": 0.25, "mouthPress": 0.15},
    "contempt": {"mouthDimpleLeft": 0.7, "mouthSmileLeft": 0.35, "eyeSquint": 0.25, "browDownRight": 0.3},
    "disgusted": {"noseSneer": 0.8, "browDown": 0.5, "mouthUpperUp": 0.2, "mouthFrown": 0.4, "cheekSquint": 0.3},
    "fear": {"browInnerUp": 0.9, "browOuterUp": 0.4, "eyeWide": 0.8, "mouthStretch": 0.35},
    "happy": {"mouthSmile": 0.65, "cheekSquint": 0.6, "eyeSquint": 0.25, "browOuterUp": 0.1},
    "sad": {"browInnerUp": 0.9, "mouthFrown": 0.6, "mouthShrugLower": 0.2, "eyeSquint": 0.15},
    "surprised": {"browInnerUp": 0.8, "browOuterUp": 0.9, "eyeWide": 0.8},
}


def expression_weights(expression: Expression) -> np.ndarray:
    """The weights (52,) that an expression adds, scaled by its strength."""
    return expression.strength * unit_weights(_UNITS[expression.label])
