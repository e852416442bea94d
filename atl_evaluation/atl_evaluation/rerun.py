"""A bag through the cores that the nodes run: every message does what it does in the live graph, without a clock.

Nothing is late and nothing is dropped. With the same seed, the frames are the same to the byte from run to run on a CPU.
From sound, landmarks equal the live node's where the bag holds the node's whole life (its blinks and its network's state
began with the node) and the messages in the order in which the node took them; at a swap of portraits or expressions one
frame may differ, and the first ones may, if the recorder had the portrait before the node. A recorded landmark frame draws
what the live renderer drew when it dropped none since the portrait came.
"""
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from atl_diffusion_node import parameters as diffusion
from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_diffusion_node.runtime import make_runtime
from atl_evaluation.bag import Bag
from atl_evaluation.events import Asked, Chunk, End, Event, Marks, Shown
from atl_evaluation.provenance import sha256_of
from atl_face.emotion import Expression, asked_of
from atl_face.errors import UserError
from atl_face.files import existing_file
from atl_face.pcm import to_float
from atl_face.stream import FRAME_NS, SAMPLE_RATE
from atl_landmark_node import parameters as landmark
from atl_landmark_node.follow import ChunkFollower
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkFrame, LandmarkStream

STAGES = ("landmarks", "warp", "guide", "network", "paste")


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame that was made again.

    Attributes:
        stamp_ns: its media time. index: k of its stream.
        landmarks: what moved the face; its points may be float64.
        portrait_id: whom the landmarks were made for; empty is the average face.
        picture: (H, W, 3) uint8 RGB; None where the frame isn't drawn, as when it is meant for another face.
        times_ms: of each of STAGES that was run.
    """

    stamp_ns: int
    stream_id: int
    index: int
    landmarks: LandmarkFrame
    portrait_id: str
    picture: np.ndarray | None
    times_ms: dict[str, float]


class Rerun:
    """The frames of a bag, made again.

    Args:
        bag: what was recorded.
        driven_by: `sound` runs both stages; `landmarks` draws the landmarks that were recorded.
        portrait: the face where the bag has none; recorded landmarks are then drawn with it, whomever they were made for.
        parameters: {"landmark": {name: value}, "diffusion": {...}}: the nodes' parameters that aren't their defaults, as in
            a parameter YAML; those that only say how the graph is run are passed over.
        draws: False makes landmarks alone.

    Attributes:
        networks: {"landmark/network": SHA-256} of the one that is asked for and run instead of the shipped.

    Raises:
        UserError: a parameter that isn't allowed, or its file isn't there; nothing to be driven by, or nobody to be drawn.
    """

    def __init__(self, bag: Bag, driven_by: str = "sound", portrait: Portrait | None = None,
                 parameters: Mapping[str, Mapping[str, object]] | None = None, draws: bool = True):  # fmt: skip
        parameters = parameters or {}
        self._landmark = _values("landmark", landmark.PARAMETERS, parameters)
        self._diffusion = _values("diffusion", diffusion.PARAMETERS, parameters)
        kind = {"sound": Chunk, "landmarks": Marks}[driven_by]
        unread = [line for line in bag.problems if "could not be read" in line]  # may say why something is missing
        if not bag.of(kind):
            raise UserError(" ".join([f"The bag {bag.path} holds no {driven_by} that its frames could be made from.", *unread]),
                            f"no_{driven_by}")  # fmt: skip
        self._events = _in_force_from_the_start(_as_spoken(bag.events))
        self._given = None if bag.of(Shown) else portrait
        if self._given is not None:
            self._events.insert(0, Shown(self._events[0].log_ns, self._events[0].stamp_ns, portrait))
        elif draws and not bag.of(Shown):
            raise UserError(" ".join([f"The bag {bag.path} holds no portrait: give the picture of the face.", *unread]),
                            "no_portrait")  # fmt: skip
        self._driven_by, self._draws = driven_by, draws
        own = self._landmark["network"] if driven_by == "sound" else ""
        self.networks = {"landmark/network": sha256_of(existing_file(own, "landmark network"))} if own else {}
        self.problems: Counter[str] = Counter()  # of the frames so far: what was passed over -> how often
        self.lost_samples = 0
        self.runtime = ""

    def __iter__(self) -> Iterator[Frame]:
        """All frames in the order of their making, from the start each time."""
        self.problems.clear()
        drawer = None
        if self._draws:
            runtime = make_runtime(*(self._diffusion[name] for name in ("device", "threads", "precision")))
            drawer = Drawer(FaceRenderer(runtime, self._diffusion["seed"], self._diffusion["steps"]))
            self.runtime = runtime.name
        marks = self._marks_of_sound() if self._driven_by == "sound" else self._recorded_marks()
        for stamp_ns, stream_id, portrait_id, portrait, frame, times_ms in marks:
            picture = None
            if drawer is not None:
                picture = drawer.draw(frame.points, portrait_id, portrait)
                if picture is None:
                    self.problems["frames were meant for another portrait: not drawn"] += 1
                else:
                    times_ms |= {name: getattr(drawer.renderer.times, name) for name in STAGES[1:]}
            yield Frame(stamp_ns, stream_id, frame.index, frame, portrait_id, picture, times_ms)

    def _marks_of_sound(self):
        """What the landmark node does with each message; (stamp, stream, portrait's id, newest portrait, frame, times)."""
        values = self._landmark
        own = Expression(values["emotion"], values["intensity"], style=values["style"])
        stream = LandmarkStream(SpeechModel(values["articulation"], values["network"]), values["seed"])
        stream.expression = own
        follower, portrait, start_ns = ChunkFollower(stream), None, 0
        for event in self._events:
            frames: Iterable[LandmarkFrame] = ()
            if isinstance(event, Shown):
                portrait = event.portrait
                stream.set_portrait(portrait.neutral)
            elif isinstance(event, Asked):
                try:
                    stream.expression = asked_of(event, own)
                except UserError:
                    self.problems["expressions were out of range: ignored"] += 1
            elif isinstance(event, Chunk) and event.sample_rate != SAMPLE_RATE:
                self.problems[f"chunks of sound aren't {SAMPLE_RATE} Hz: ignored"] += 1
            elif isinstance(event, Chunk):
                start_ns = event.start_ns
                frames = follower.push(event.stream_id, event.first_sample, to_float(event.samples))
            elif isinstance(event, End):
                frames = follower.end(event.stream_id, event.samples)
            before = time.perf_counter()
            for frame in frames:
                times_ms = {"landmarks": 1e3 * (time.perf_counter() - before)}
                portrait_id = portrait.id if portrait else ""
                yield start_ns + frame.index * FRAME_NS, follower.stream_id, portrait_id, portrait, frame, times_ms
                before = time.perf_counter()
            self.lost_samples = follower.lost_samples

    def _recorded_marks(self):
        """The recorded frames, as `_marks_of_sound`; a frame's portrait is known, whenever it was logged."""
        portraits = {event.portrait.id: event.portrait for event in self._events if isinstance(event, Shown)}
        for event in self._events:
            if not isinstance(event, Marks):
                continue
            portrait_id = self._given.id if self._given else event.portrait_id
            if portrait_id != event.portrait_id:
                self.problems["frames' landmarks were made for another picture than the portrait that was given"] += 1
            yield event.stamp_ns, event.stream_id, portrait_id, portraits.get(portrait_id), event.frame, {}


class Drawer:
    """What the diffusion node does with landmarks: the newest portrait is drawn as soon as some are meant for it."""

    def __init__(self, renderer: FaceRenderer):
        self.renderer = renderer

    def draw(self, points: np.ndarray, portrait_id: str, newest: Portrait | None) -> np.ndarray | None:
        """The frame (H, W, 3) uint8 for points (68, 3), rounded to a message's float32; None if they are for another face."""
        if newest is not None and portrait_id == newest.id and self.renderer.portrait is not newest:
            self.renderer.set_identity(newest)
        if self.renderer.portrait is None or portrait_id != self.renderer.portrait.id:
            return None
        return self.renderer.render(np.float32(points))


def _in_force_from_the_start(events: list[Event]) -> list[Event]:
    """The events, with a first portrait that came into force before the first sound or frame put before all others.

    A recorder that joins a running graph gets the latched portrait when it gets it, maybe after the first sound.
    """
    shown = next((event for event in events if isinstance(event, Shown)), None)
    stream = next((event for event in events if isinstance(event, Chunk | Marks)), None)
    if shown is None or stream is None or shown.stamp_ns > stream.stamp_ns:
        return list(events)
    return [shown, *(event for event in events if event is not shown)]


def _as_spoken(events: list[Event]) -> list[Event]:
    """The events, with every stream's chunks in the order of their sound, in the places that its chunks have.

    A recorder that is discovered while sound runs may be given the newest chunks first and the history after them.
    """
    streams: dict[int, list[Chunk]] = {}
    for event in events:
        if isinstance(event, Chunk):
            streams.setdefault(event.stream_id, []).append(event)
    ordered = {stream_id: iter(sorted(chunks, key=lambda c: c.first_sample)) for stream_id, chunks in streams.items()}
    return [next(ordered[event.stream_id]) if isinstance(event, Chunk) else event for event in events]


def _values(node: str, declared: list, given: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Values of a node's parameters. UserError: one that isn't allowed."""
    values = {parameter.name: given.get(node, {}).get(parameter.name, parameter.default) for parameter in declared}
    for parameter in declared:
        if problem := parameter.problem(values[parameter.name]):
            raise UserError(f"{node}: {problem}.", "bad_parameter")
    return values
