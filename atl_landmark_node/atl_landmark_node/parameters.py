"""Parameters of the landmark node."""

from atl_face.emotion import LABELS
from atl_landmark_node.model import STYLES
from atl_node.params import Parameter

PARAMETERS = [
    Parameter("seed", 0, "Seed of the face's own life: blinks, gaze, head motion.", minimum=0, read_only=True),
    Parameter("articulation", "real", "Whose way of moving the lips: a real speaker's, or the corpus's rules.",
              choices=STYLES, read_only=True),
    Parameter("network", "", "Landmark network (speech_landmarks.onnx) of your own training; empty takes the shipped one.",
              read_only=True),
    Parameter("emotion", "neutral", "Expression until the topic `expression` gives another.", choices=LABELS,
              read_only=True),
    Parameter("intensity", 1.0, "How much of that expression is shown.", minimum=0.0, maximum=1.0,
              read_only=True),
    Parameter("style", 1.0, "Amount of motion: 0 is still, 1 as learnt, 2 lively.", minimum=0.0, maximum=2.0,
              read_only=True),
]  # fmt: skip
