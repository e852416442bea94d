"""Bags made by rosbags, as recorders leave them: the face's messages in any storage and compression."""

import cv2
import numpy as np
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from atl_evaluation.bag import TYPES
from atl_evaluation.storage import own_types

START_NS = 1_700_000_000_000_000_000
CHUNK = 320  # samples
TYPES_BY_TOPIC = {name if name.startswith("/") else f"/robot_face/{name}": kind for name, kind in TYPES.items()}
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def made(kind: str, **fields):
    """A message of a type of ours or ROS's."""
    return own_types().types[kind](**fields)


def header(stamp_ns: int):
    seconds, rest = divmod(stamp_ns, 1_000_000_000)
    return made("std_msgs/msg/Header", stamp=made("builtin_interfaces/msg/Time", sec=seconds, nanosec=rest), frame_id="")


def chunk(stream: int, first: int, samples: np.ndarray, rate: int = 16000, start_ns: int = START_NS):
    return made("atl_msgs/msg/AudioChunk", header=header(start_ns + first * 62500), stream_id=stream, first_sample=first,
                sample_rate=rate, samples=np.asarray(samples, np.int16))  # fmt: skip


def chunks(sound: np.ndarray, stream: int = 1, start_ns: int = START_NS) -> list[tuple[str, int, object]]:
    """A whole stream of int16 sound in chunks of 20 ms and its end, each logged 1 ms after its last sample."""
    out = [("/robot_face/audio", start_ns + (at + CHUNK) * 62500 + 10**6,
            chunk(stream, at, sound[at:at + CHUNK], start_ns=start_ns)) for at in range(0, len(sound), CHUNK)]  # fmt: skip
    return [*out, ("/robot_face/audio_end", out[-1][1] + 10**6, chunk(stream, len(sound), [], start_ns=start_ns))]


def portrait(core, stamp_ns: int = START_NS - 10**9):
    """The message of a core's Portrait, as the diffusion node makes it."""
    data = cv2.imencode(".png", cv2.cvtColor(core.picture, cv2.COLOR_RGB2BGR))[1]
    height, width = core.picture.shape[:2]
    return made("atl_msgs/msg/Portrait", header=header(stamp_ns), id=core.id, width=width, height=height, format="png",
                data=data.ravel(), crop=core.transform.matrix.ravel(), neutral=np.float32(core.neutral).ravel())  # fmt: skip


def expression(label: str = "", intensity: float = 1.0, level: int = 0, style: float = 1.0):
    return made("atl_msgs/msg/Expression", label=label, intensity=intensity, level=level, style=style, gaze_yaw=0.0,
                gaze_pitch=0.0)  # fmt: skip


def landmarks(stream: int, index: int, points: np.ndarray, portrait_id: str, start_ns: int = START_NS):
    zero = made("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
    return made("atl_msgs/msg/FaceLandmarks", header=header(start_ns + index * 40_000_000), stream_id=stream,
                frame_index=index, portrait_id=portrait_id, topology="ibug68", points=np.float32(points).ravel(),
                weights=np.zeros(52, np.float32), head_rotation=zero, head_translation=zero, eye_open_left=1.0,
                eye_open_right=1.0, gaze_yaw=0.0, gaze_pitch=0.0, speaking=True, expression=expression())  # fmt: skip


def diagnostics(node: str, stamp_ns: int = START_NS, **figures):
    pairs = [made("diagnostic_msgs/msg/KeyValue", key=key, value=str(value)) for key, value in figures.items()]
    status = made("diagnostic_msgs/msg/DiagnosticStatus", level=0, name=node, message="running", hardware_id="", values=pairs)
    return made("diagnostic_msgs/msg/DiagnosticArray", header=header(stamp_ns), status=[status])


def image(picture: np.ndarray, stamp_ns: int = START_NS):
    height, width = picture.shape[:2]
    return made("sensor_msgs/msg/Image", header=header(stamp_ns), height=height, width=width, encoding="rgb8",
                is_bigendian=0, step=3 * width, data=picture.ravel())  # fmt: skip


def clock(stamp_ns: int):
    return made("rosgraph_msgs/msg/Clock", clock=header(stamp_ns).stamp)


def write(path, messages, storage: str = "mcap", compression: CompressionMode = CompressionMode.STORAGE, types=None):
    """Write [(topic, log time, message or bytes)], in the order given; returns the bag's folder."""
    kinds = {**TYPES_BY_TOPIC, "/clock": "rosgraph_msgs/msg/Clock", **(types or {})}
    writer = Writer(path, version=9, storage_plugin=STORAGES[storage])
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, log_ns, message in messages:
            kind = kinds[topic]
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=own_types())
            data = message if isinstance(message, bytes) else own_types().serialize_cdr(message, kind)
            writer.write(connections[topic], log_ns, data)
    return path
