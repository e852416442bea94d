"""A recorded bag as the face's events, in the order of their log times: sound, portraits, landmarks, expressions.

Free of ROS: `rosbags` reads mcap and sqlite3. What can't be read is counted in `Bag.problems`; the rest is still there.
"""
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.warp import FARTHEST
from atl_evaluation.events import Asked, Chunk, End, Event, Marks, Shown, Sound
from atl_evaluation.storage import BagFiles, unpacked
from atl_face.align import CropTransform
from atl_face.errors import UserError
from atl_face.media import read_picture
from atl_face.pcm import to_float
from atl_face.stream import SAMPLE_RATE
from atl_landmark_node.face_model import PortraitFace
from atl_landmark_node.stream import LandmarkFrame

NAMESPACE = "/robot_face"
DIAGNOSTICS = "/diagnostics"
TYPES = {
    "audio": "atl_msgs/msg/AudioChunk",
    "audio_end": "atl_msgs/msg/AudioChunk",
    "portrait": "atl_msgs/msg/Portrait",
    "landmarks": "atl_msgs/msg/FaceLandmarks",
    "expression": "atl_msgs/msg/Expression",
    "image_raw": "sensor_msgs/msg/Image",
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
}
"""The face's topics, relative to its namespace but for the last, and their types. Frames and diagnostics are no events."""
MISSED = {"audio": "there is no sound", "portrait": "whose face it is isn't known",
          "landmarks": "those that are made anew have nothing to be compared with"}  # fmt: skip
LONGEST_GAP = 3600 * SAMPLE_RATE  # samples; a longer jump within a stream is a damaged number, not lost sound
SMALLEST_CROP_PX, WIDEST_CROP = 8, 10  # px; times the picture's longer side


EventType = TypeVar("EventType", bound=Event)


@dataclass
class Bag:
    """What a bag holds of one face.

    Attributes:
        files: the storage files.
        topics: name -> (type, messages) of everything in the bag.
        events: the face's messages, by log time.
        problems: what could not be read or is missing, a line each.
    """

    path: Path
    namespace: str
    files: list[Path]
    topics: dict[str, tuple[str, int]]
    events: list[Event] = field(repr=False)
    problems: list[str]

    def of(self, kind: type[EventType]) -> list[EventType]:
        """The events of one kind: `bag.of(Marks)`."""
        return [event for event in self.events if type(event) is kind]

    def sounds(self) -> dict[int, Sound]:
        """Each stream's sound by stream id, in the order in which the streams began; 16 kHz chunks only."""
        chunks: dict[int, list[Chunk]] = {}
        for chunk in self.of(Chunk):
            if chunk.sample_rate == SAMPLE_RATE and len(chunk.samples):
                chunks.setdefault(chunk.stream_id, []).append(chunk)
        ends = {end.stream_id: end.samples for end in self.of(End)}
        return {stream: _joined(pieces, ends.get(stream)) for stream, pieces in chunks.items()}


def read_bag(path: str | Path, namespace: str = "") -> Bag:
    """Read a rosbag2: a folder, or one .mcap or .db3 file of it; mcap or sqlite3, compressed or not.

    Args:
        path: the bag.
        namespace: of the face; empty is /robot_face, or the only one in which the bag has a face's topics.

    Raises:
        UserError: no such file, no bag, an empty one, none of our topics in it, or several faces to choose from.
    """
    with BagFiles(path) as files:
        if not any(count for _, count in files.topics.values()):
            raise UserError(" ".join([f"The bag {files.path} holds no messages.", *files.problems]), "empty_bag")
        namespace = _namespace(files, namespace)
        names = {_full(namespace, name): name for name in TYPES}
        typed = {topic for topic, name in names.items() if files.topics.get(topic, ("", 0))[0] == TYPES[name]}
        wanted = {topic for topic in typed if names[topic] in _READERS}
        stores = files.types({TYPES[names[topic]] for topic in wanted})
        events, unread, reasons = [], Counter(), {}
        for topic, kind, log_ns, data in files.messages(wanted):
            try:
                message = stores[kind].deserialize_cdr(unpacked(data), kind)
                events += _READERS[names[topic]](log_ns, message)
            except Exception as error:  # damaged or of another version: counted, and the rest is still read
                unread[topic] += 1
                reasons.setdefault(topic, str(error))
        events.sort(key=lambda event: event.log_ns)
        problems = files.problems + [
            f"{count} messages of {topic} could not be read ({reasons[topic].rstrip('.')})." for topic, count in unread.items()
        ]  # fmt: skip
        if astray := _astray(events):
            problems.append(f"{len(astray)} chunks of sound were left out: their numbers leap away from their stream.")
            events = [event for event in events if event not in astray]
        for topic, name in names.items():
            kind, count = files.topics.get(topic, ("", 0))
            if topic not in typed and kind:
                problems.append(f"{count} messages of {topic} were left out: they are {kind}, not {TYPES[name]}.")
            elif not count and name in MISSED:
                problems.append(f"The bag has no messages on {topic}: {MISSED[name]}.")
        return Bag(files.path, namespace, files.files, files.topics, events, problems)


def pictures(bag: Bag) -> Iterator[tuple[int, np.ndarray]]:
    """(stamp in ns, frame (H, W, 3) uint8 RGB) of every `image_raw` of a bag, in the order of the file.

    Those that aren't rgb8 or bgr8 are left out.
    """
    topic, kind = _full(bag.namespace, "image_raw"), TYPES["image_raw"]
    with BagFiles(bag.path) as files:
        store = files.types({kind})[kind]
        for _, found, _, data in files.messages({topic}):
            message = store.deserialize_cdr(unpacked(data), kind) if found == kind else None
            if message is not None and message.encoding in ("rgb8", "bgr8"):
                rows = message.data.reshape(message.height, message.step)[:, : 3 * message.width]
                picture = rows.reshape(message.height, message.width, 3)
                yield _stamp(message), picture if message.encoding == "rgb8" else picture[..., ::-1]


def _full(namespace: str, name: str) -> str:
    """A topic's full name; /diagnostics is in no namespace."""
    return name if name.startswith("/") else f"{namespace}/{name}"


def _namespace(files: BagFiles, asked: str) -> str:
    """The namespace of the face in a bag."""
    ours = {space for topic, (kind, count) in files.topics.items() for space, _, name in [topic.rpartition("/")]
            if count and name in MISSED and kind == TYPES[name]}  # fmt: skip
    wanted = "/" + asked.strip("/") if asked.strip("/") else NAMESPACE if not ours or NAMESPACE in ours else ""
    if wanted in ours:
        return wanted
    if not wanted and len(ours) == 1:
        return ours.pop()
    if ours:
        what = "several faces" if not wanted else f"no face in {wanted}"
        raise UserError(f"The bag {files.path} has {what}: choose a namespace of {', '.join(sorted(ours))}.", "namespace")
    has = ", ".join(f"{topic} ({kind}, {count})" for topic, (kind, count) in sorted(files.topics.items()))
    raise UserError(f"The bag {files.path} has none of a face's topics ({wanted}/audio, .../landmarks, .../portrait); it has "
                    f"{has}.", "no_face_topics")  # fmt: skip


def _astray(events: list[Event]) -> set[Event]:
    """Chunks whose first sample lies more than LONGEST_GAP beyond both neighbours' in the log: one damaged number would make
    all sound that follows look old."""
    streams: dict[int, list[Chunk]] = {}
    for event in events:
        if isinstance(event, Chunk):
            streams.setdefault(event.stream_id, []).append(event)
    found = set()
    for chunks in streams.values():
        firsts = [chunk.first_sample for chunk in chunks]
        for k, chunk in enumerate(chunks):
            beside = firsts[max(0, k - 1): k] + firsts[k + 1: k + 2]
            if beside and firsts[k] - max(beside) > LONGEST_GAP:
                found.add(chunk)
    return found


def _joined(chunks: list[Chunk], total: int | None) -> Sound:
    """One stream's sound from its chunks, which may come twice, out of order or with gaps."""
    chunks = sorted(chunks, key=lambda chunk: chunk.first_sample)
    first = end = chunks[0].first_sample
    pieces, lost = [], 0
    for chunk in chunks:
        gap = chunk.first_sample - end
        if gap > LONGEST_GAP:
            break
        if gap > 0:
            pieces.append(np.zeros(gap, np.int16))
            lost += gap
        pieces.append(chunk.samples[max(0, -gap):])
        end = max(end, chunk.first_sample + len(chunk.samples))
    samples = np.concatenate(pieces)[: None if total is None else max(0, total - first)]
    return Sound(chunks[0].stream_id, chunks[0].start_ns, first, to_float(samples), lost, total is not None)


# Messages as rosbags deserializes them to events. Whatever is wrong with one raises.


def _stamp(message) -> int:
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def _read_audio(log_ns: int, message) -> list[Event]:
    return [Chunk(log_ns, _stamp(message), message.stream_id, message.first_sample, message.sample_rate,
                  np.array(message.samples, np.int16))]  # fmt: skip


def _read_end(log_ns: int, message) -> list[Event]:
    return [End(log_ns, _stamp(message), message.stream_id, message.first_sample)]


def _read_portrait(log_ns: int, message) -> list[Event]:
    picture, neutral = read_picture(bytes(message.data)), np.array(message.neutral, np.float64).reshape(68, 3)
    if picture.shape[:2] != (message.height, message.width):
        raise ValueError("a picture isn't of the size that is told")
    portrait = Portrait(message.id, picture, CropTransform.from_list(message.crop), neutral)
    _check_face(portrait)
    return [Shown(log_ns, _stamp(message), portrait)]


def _check_face(portrait: Portrait) -> None:
    """Raises ValueError where crop or neutral landmarks are damaged: nothing could be drawn."""
    crop, neutral = portrait.transform, portrait.neutral
    if not (np.isfinite(crop.matrix).all() and crop.scale > 0
            and SMALLEST_CROP_PX <= crop.side_px <= WIDEST_CROP * max(portrait.picture.shape[:2])
            and all(span.start < span.stop for span in portrait.region)):  # fmt: skip
        raise ValueError("a portrait's crop isn't near its picture")
    if not (_is_near(neutral) and _moves(neutral)):
        raise ValueError("a portrait's neutral landmarks are no face")


def _is_near(points: np.ndarray) -> bool:
    """Whether landmarks are finite and somewhere about the crop."""
    return bool(np.isfinite(points).all() and np.abs(points).max() < FARTHEST)


def _moves(neutral: np.ndarray) -> bool:
    """Whether the linear face model can be put onto neutral landmarks (68, 3)."""
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            return bool(np.isfinite(PortraitFace(neutral).basis).all())
    except np.linalg.LinAlgError:
        return False


def _read_expression(log_ns: int, message) -> list[Event]:
    return [_asked(log_ns, message)]


def _asked(log_ns: int, message) -> Asked:
    return Asked(log_ns, log_ns, message.label, message.intensity, message.level, message.style,
                 message.gaze_yaw, message.gaze_pitch)  # fmt: skip


def _read_landmarks(log_ns: int, message) -> list[Event]:
    points = np.array(message.points, np.float32)
    if message.topology != "ibug68" or points.size != 204 or not _is_near(points):
        raise ValueError("not 68 x 3 points of the topology ibug68 in or near the crop")
    turn, shift = message.head_rotation, message.head_translation
    frame = LandmarkFrame(
        message.frame_index, points.reshape(68, 3), np.array(message.weights, np.float32),
        np.array([turn.x, turn.y, turn.z]), np.array([shift.x, shift.y, shift.z]),
        (message.eye_open_left, message.eye_open_right), (message.gaze_yaw, message.gaze_pitch), message.speaking,
    )  # fmt: skip
    return [Marks(log_ns, _stamp(message), message.stream_id, message.portrait_id, frame, _asked(log_ns, message.expression))]


_READERS: dict[str, Callable[[int, object], list[Event]]] = {
    "audio": _read_audio,
    "audio_end": _read_end,
    "portrait": _read_portrait,
    "landmarks": _read_landmarks,
    "expression": _read_expression,
}
