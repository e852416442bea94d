"""`atl record`: what the live graph says and hears, as a rosbag2 (mcap, zstd) that evaluates and plays anywhere.

Sound, portrait, landmarks, expressions and diagnostics: what every frame can be made from again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from atl_bringup.arguments import face_namespace, positive
from atl_bringup.graph import environment
from atl_bringup.parameter_file import NAMESPACE
from atl_evaluation.bag import TYPES
from atl_evaluation.storage import own_types
from atl_face.errors import UserError
from atl_face.stream import FRAME_SAMPLES

IMAGES = "image_raw"
LATCHED = ("portrait", "audio_end")
FOR_EVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE
BAG_VERSION = 9  # of rosbag2's metadata: Jazzy's and later
WAIT_S = 30.0  # for the first message, where somebody counts on an end
END_TIMEOUT_S = 5.0  # after the end of the sound for its last frames' landmarks
EXIT_STOPPED = (0, 143)  # of the node: ended by itself or by Ctrl-C, by SIGTERM; both are how a recording ends


def add_parser(subparsers) -> None:
    """Adds `record` to the `atl` command."""
    parser = subparsers.add_parser("record", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the bag to write (default: atl_DATE_TIME here)")
    parser.add_argument("--seconds", type=positive, metavar="N", help="end N seconds after the first message")
    parser.add_argument("--until-end", action="store_true", help="end when the sound has ended and its frames are there; "
                        f"as with --seconds, {WAIT_S:g} s without any message are an end, too")  # fmt: skip
    parser.add_argument("--images", action="store_true", help="the frames too, lossless: about 1 GB a minute at 512 px")
    parser.add_argument("--namespace", type=face_namespace, default=NAMESPACE, help="of the face (%(default)s)")
    parser.set_defaults(main=main)


def main(chosen: argparse.Namespace) -> int:
    """Records until it is told to stop; prints one JSON line: the bag, seconds, MB, MB per minute, messages by topic.

    Raises UserError where the bag can't be written, or nothing came.
    """
    for name, value in environment().items():  # as the graph's own nodes
        os.environ.setdefault(name, value)
    try:
        from atl_bringup.recorder import record
    except ImportError as error:
        raise UserError(f"Recording needs ROS 2, which can't be loaded ({error}): run make setup.", "no_ros") from error

    path, namespace = chosen.out or Path(time.strftime("atl_%Y%m%d_%H%M%S")), chosen.namespace
    recording = Recording(path, namespace, [name for name in TYPES if chosen.images or name != IMAGES])
    ends = SoundEnd() if chosen.until_end else None
    print(f"Recording to {recording.path}; Ctrl-C ends it.", file=sys.stderr)
    try:
        code = record(recording, ends, chosen.seconds)
    finally:
        recording.close()
    if not sum(recording.counts.values()):
        shutil.rmtree(recording.path, ignore_errors=True)  # or the same command would find it in its way
        if code not in EXIT_STOPPED:
            return code
        if not recording.problem:
            raise UserError(f"No message came in {namespace}: is the graph running, with this ROS_DOMAIN_ID?", "no_graph")
    else:
        print(json.dumps(recording.told()))
    if recording.problem:
        raise UserError(recording.problem, "unwritable")
    if ends is not None and ends.gave_up:
        print("The sound ended, but landmarks for its last frames didn't come.", file=sys.stderr)
    return 0 if code in EXIT_STOPPED else code


class Recording:
    """A bag being written, in chunks of a few seconds: whatever is flushed survives a killed recorder.

    Args:
        path: the folder to make; `~` is expanded.
        names: of the topics, of atl_evaluation.bag.TYPES.

    Attributes:
        topics: full name -> message type.
        counts: full name -> messages written.
        problem: why nothing can be written any more, a sentence; empty while all is well.

    Raises:
        UserError: the bag is there already, or can't be made.
    """

    def __init__(self, path: Path, namespace: str, names: list[str]):
        self.namespace, self.problem = namespace, ""
        try:
            self.path = path = path.expanduser()
            if path.exists():
                raise UserError(f"{path} is there already: name a new bag.", "exists")
            self._writer = Writer(path, version=BAG_VERSION, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except (OSError, RuntimeError, ValueError) as error:  # no room, too long a name, no such ~user, a NUL in it
            raise UserError(f"The bag {path} can't be made ({str(error).rstrip('.')}).", "unwritable") from error
        self.topics = {name if name.startswith("/") else f"{namespace}/{name}": TYPES[name] for name in names}
        self._connections: dict[str, Connection] = {}
        self.counts = dict.fromkeys(self.topics, 0)
        self._first_ns, self._last_ns = 0, 0

    def connect(self, topic: str, offered: list[Qos]) -> None:
        """Begin a topic, whose publishers offer so much, before its first message."""
        self._connections[topic] = self._writer.add_connection(topic, self.topics[topic], typestore=own_types(),
                                                               offered_qos_profiles=offered)  # fmt: skip

    def is_connected(self, topic: str) -> bool:
        """Whether a topic has begun."""
        return topic in self._connections

    def write(self, topic: str, log_ns: int, data: bytes) -> None:
        """One serialized message."""
        if not self.is_connected(topic):
            self.connect(topic, [graphs_offer(topic)])
        self._attempt(lambda: self._writer.write(self._connections[topic], log_ns, data))
        self.counts[topic] += 1
        self._first_ns = min(self._first_ns or log_ns, log_ns)
        self._last_ns = max(self._last_ns, log_ns)

    def flush(self) -> None:
        """What was written so far is on its way to the disk as a whole chunk."""
        if self._writer.storage.chunk.msgs:
            self._attempt(self._writer.storage.close_chunk)
            self._attempt(self._writer.storage.bio.flush)

    def close(self) -> None:
        """Index, footer and metadata.yaml; topics on which nothing came are listed, too."""
        for topic in self.topics:
            if not self.is_connected(topic):
                self.connect(topic, [graphs_offer(topic)])
        self._attempt(self._writer.close)

    def told(self) -> dict[str, object]:
        """What was recorded, for the last line."""
        seconds = (self._last_ns - self._first_ns) / 1e9
        size = sum(file.stat().st_size for file in self.path.iterdir()) / 1e6
        return {"bag": str(self.path), "seconds": round(seconds, 2), "mb": round(size, 2),
                "mb_per_minute": round(60 * size / seconds, 2) if seconds else None, "messages": self.counts}  # fmt: skip

    def _attempt(self, work) -> None:
        if self.problem:
            return
        try:
            work()
        except OSError as error:
            self.problem = f"The bag {self.path} can't be written any further ({error.strerror}): it holds what came before."


class SoundEnd:
    """Whether the sound is over and landmarks have come for all of it.

    An end that is latched from before the recording counts as soon as sound of its stream is heard.
    """

    def __init__(self):
        self.gave_up = False
        self._heard: set[int] = set()  # streams
        self._ends: dict[int, int] = {}  # stream -> its last frame
        self._told_at: float | None = None
        self._marked: dict[int, int] = {}  # stream -> the last frame with landmarks

    def hear(self, stream_id: int) -> None:
        """A chunk of sound came."""
        self._heard.add(stream_id)

    def end(self, stream_id: int, samples: int) -> None:
        """`audio_end` came."""
        self._ends[stream_id] = -(-samples // FRAME_SAMPLES) - 1

    def mark(self, stream_id: int, index: int) -> None:
        """Landmarks came."""
        self._marked[stream_id] = max(index, self._marked.get(stream_id, 0))

    def is_over(self, now_s: float) -> bool:
        """True from when the last landmarks are there, or END_TIMEOUT_S after the end if they don't come (`gave_up`)."""
        ended = self._heard & set(self._ends)
        if any(self._marked.get(stream, -1) >= self._ends[stream] for stream in ended):
            return True
        if ended and self._told_at is None:
            self._told_at = now_s
        self.gave_up = self._told_at is not None and now_s - self._told_at > END_TIMEOUT_S
        return self.gave_up


def graphs_offer(topic: str) -> Qos:
    """What the graph's publishers offer (atl_node.qos), so that `ros2 bag play` publishes as they do; where nobody was asked."""
    latched = topic.rpartition("/")[2] in LATCHED
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 100, QosReliability.RELIABLE,
               QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
               FOR_EVER, FOR_EVER, QosLiveliness.AUTOMATIC, FOR_EVER, False)  # fmt: skip
