"""Messages to what the core takes, and back."""


import numpy as np
from geometry_msgs.msg import Vector3

from atl_face import emotion
from atl_face.pcm import to_float
from atl_face.stream import FRAME_NS, SAMPLE_RATE
from atl_landmark_node.stream import LandmarkFrame
from atl_msgs.msg import AudioChunk, Expression, FaceLandmarks, Portrait
from atl_node import arrays
from atl_node.stamps import to_ns, to_time


def stream_start_ns(chunk: AudioChunk) -> int:
    """Media time of the first sample of a chunk's stream, ns on the ROS clock."""
    return to_ns(chunk.header.stamp) - chunk.first_sample * 1_000_000_000 // SAMPLE_RATE


def samples_of(chunk: AudioChunk) -> np.ndarray:
    """Samples (n,) float32 in [-1, 1]."""
    return to_float(arrays.samples_of(chunk.samples))


def neutral_of(portrait: Portrait) -> np.ndarray:
    """Landmarks (68, 3), crop coordinates."""
    return np.asarray(portrait.neutral, np.float64).reshape(68, 3)


def expression_message(expression: emotion.Expression) -> Expression:
    return Expression(label=expression.label, intensity=float(expression.intensity), level=expression.level,
                      style=float(expression.style), gaze_yaw=float(expression.gaze_yaw),
                      gaze_pitch=float(expression.gaze_pitch))  # fmt: skip


def landmarks_message(frame: LandmarkFrame, start_ns: int, stream_id: int, portrait_id: str,
                      expression: emotion.Expression) -> FaceLandmarks:  # fmt: skip
    """A frame of a stream that began at `start_ns`, as a message."""
    message = FaceLandmarks(stream_id=stream_id, frame_index=frame.index, portrait_id=portrait_id, topology="ibug68")
    message.header.stamp = to_time(start_ns + frame.index * FRAME_NS)
    message.header.frame_id = "robot_face"
    message.points = arrays.to_array(np.float32(frame.points))
    message.weights = arrays.to_array(np.float32(frame.weights))
    message.head_rotation = Vector3(x=frame.rotation[0], y=frame.rotation[1], z=frame.rotation[2])
    message.head_translation = Vector3(x=frame.translation[0], y=frame.translation[1], z=frame.translation[2])
    message.eye_open_left, message.eye_open_right = (min(1.0, max(0.0, v)) for v in frame.eyes_open)
    message.gaze_yaw, message.gaze_pitch = frame.gaze
    message.speaking = frame.speaking
    message.expression = expression_message(expression)
    return message
