"""One clip: a person says something with some emotion before some camera -> picture, sound and ground truth.

Ground truth axes: x to the image's right, y down, z away from the viewer (right-handed). `rotation` (pitch, yaw, roll)
is R = Rz(roll) Ry(yaw) Rx(pitch) about these axes, relative to the neutral face: + pitch nods down, + yaw turns the
nose to the image's left, + roll turns clockwise in the image. `translation` is how far the middle of the outer eye
corners moved from its neutral place, in eye distances. So a landmark is close to
c + R (neutral + units - c) + eye_distance * translation with c the neutral middle of the eyes (up to perspective).
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from atl_face.stream import FRAME_RATE, SAMPLE_RATE
from atl_face.topology import ARKIT_52, LIP_PAIRS
from atl_training.corpus import speech as speech_module
from atl_training.corpus.assets import LICENCE, UNITS, Assets
from atl_training.corpus.camera import Camera
from atl_training.corpus.head import IMAGE_AXES, NECK_PIVOT, UNIT, Head, HeadKit
from atl_training.corpus.identity import Identity, random_identity
from atl_training.corpus.look import Person, random_person, random_scene
from atl_training.corpus.motion import Performance, perform
from atl_training.corpus.speech import Manner, Speaker
from atl_training.corpus.stills import pose_stills
from atl_training.corpus.text import random_sentence
from atl_training.corpus.visemes import mouth_track
from atl_training.splits import held_out

if TYPE_CHECKING:  # a draft needs no OpenGL
    from atl_training.corpus.renderer import Renderer

VERSION = 2


@dataclass
class Cast:
    """An identity with its appearance and mesh."""

    identity: Identity
    person: Person
    head: Head


@dataclass
class Script:
    """What is said in a clip: sound (samples,) and its phonemes, padded to a whole number of frames."""

    samples: np.ndarray
    segments: list[tuple[float, float, str]]
    sentences: list[str]
    manner: Manner


def identity_name(seed: int, index: int) -> str:
    return f"s{seed}i{index:04d}"


def make_cast(assets: Assets, kit: HeadKit, name: str, **given) -> Cast:
    """The person of this name: everything about them follows from the name. given: see random_identity."""
    rng = np.random.default_rng(_seed_of(name))
    identity = random_identity(assets, rng, name, **given)
    person = random_person(assets, rng, identity)
    head = Head(
        kit, identity, hair=person.hair, brow=person.brow, lashes=person.lashes, teeth=person.teeth,
        rest_brow=float(rng.uniform(0.15, 0.28)),
    )  # fmt: skip
    return Cast(identity, person, head)


def _seed_of(text: str) -> list[int]:
    return list(text.encode())


def write_script(rng: np.random.Generator, speaker: Speaker, seconds: float, male: bool, validation: bool) -> Script:
    """Fill about four fifths of the clip with sentences; silence of .3 s or more before and .2 s after."""
    manner = speech_module.random_manner(rng, male, validation)
    total = round(seconds * FRAME_RATE) * SAMPLE_RATE // FRAME_RATE
    samples = np.zeros(total, np.float32)
    segments, sentences = [], []
    at, latest = rng.uniform(0.3, 0.6), seconds - 0.2
    for _ in range(12):
        sentence = random_sentence(rng, validation)
        spoken = speaker.say(sentence, manner)
        if at + spoken.duration_s <= latest:
            start = int(at * SAMPLE_RATE)
            samples[start : start + len(spoken.samples)] = spoken.samples
            segments += [(a + at, b + at, name) for a, b, name in spoken.segments]
            sentences.append(sentence)
            at += spoken.duration_s + rng.uniform(0.05, 0.5)
        if at > 0.8 * seconds:
            break
    samples *= float(rng.uniform(0.35, 1.0))
    return Script(samples, _with_pauses(segments, seconds), sentences, manner)


def _with_pauses(segments: list, seconds: float) -> list:
    out, at = [], 0.0
    for start, end, name in segments:
        if start > at + 1e-3:
            out.append((at, start, "pau"))
        out.append((start, end, name))
        at = end
    return [*out, (at, max(seconds, at + 0.01), "pau")]


def loudness(samples: np.ndarray) -> np.ndarray:
    """RMS per frame, smoothed over 5 frames, about 1 on average while speaking: (T,)."""
    frames = samples[: len(samples) // 640 * 640].reshape(-1, SAMPLE_RATE // FRAME_RATE)
    level = np.convolve(np.sqrt((frames**2).mean(1)), np.ones(5) / 5, "same")
    heard = level[level > 0.1 * max(level.max(), 1e-6)]
    return level / (heard.mean() if len(heard) else 1.0)


def draw_camera(rng: np.random.Generator, head: Head, size: int) -> Camera:
    """Fills the frame: outer eye corners 98-104 px apart in 288, room for a dropped jaw below."""
    return Camera(
        size=size,
        fov=float(np.radians(rng.uniform(10, 16))),
        target=head.eye_middle(),
        eye_distance=head.eye_distance(),
        eye_px=float(rng.uniform(98, 104)) * size / 288,
        eye_line=float(rng.uniform(0.375, 0.405)),
        eye_column=float(rng.uniform(0.48, 0.52)),
        yaw=float(np.radians(np.clip(rng.normal(0, 2.5), -6, 6))),
        pitch=float(np.radians(np.clip(rng.normal(0, 2.5), -6, 6))),
    )


def rotation_matrix(angles: np.ndarray) -> np.ndarray:
    """Rz(roll) Ry(yaw) Rx(pitch) for angles (..., 3) = pitch, yaw, roll: (..., 3, 3)."""
    (cx, cy, cz), (sx, sy, sz) = np.moveaxis(np.cos(angles), -1, 0), np.moveaxis(np.sin(angles), -1, 0)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def mesh_rotation(angles: np.ndarray) -> np.ndarray:
    """The same turn in mesh axes."""
    flip = np.diag(IMAGE_AXES)
    return flip @ rotation_matrix(angles) @ flip


def posed_landmarks(head: Head, play: Performance, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (T, 68, 3) px of a performance, and the translation (T, 3) of the middle of the eyes."""
    points = head.landmarks(play.weights)
    turn = mesh_rotation(play.rotation)
    turned = np.einsum("tij,tpj->tpi", turn, points - NECK_PIVOT) + NECK_PIVOT + play.shift[:, None]
    follow = head.follow[head.landmark_rows][:, None]
    middle = head.eye_middle()
    moved = turn @ (middle - NECK_PIVOT) + NECK_PIVOT + play.shift - middle
    landmarks = camera.project(points + follow * (turned - points))
    for upper, lower in LIP_PAIRS:  # perspective and tilt may cross what touches
        overlap = np.maximum(landmarks[..., upper, 1] - landmarks[..., lower, 1], 0) / 2
        landmarks[..., upper, 1] -= overlap
        landmarks[..., lower, 1] += overlap
    return landmarks, moved * IMAGE_AXES / camera.eye_distance


def make_clip(cast: Cast, index: int, out: Path, speaker: Speaker, renderer: "Renderer | None", *, seconds: float,
              size: int) -> None:  # fmt: skip
    """Write <out>/<identity>_<index>.npz, .flac and (with a renderer) .mp4 and .stills.mp4; the .npz comes last and
    marks success."""
    stem = f"{cast.identity.name}_{index}"
    rng = np.random.default_rng(_seed_of(stem))
    validation = held_out(cast.identity.name)
    script = write_script(rng, speaker, seconds, cast.identity.is_male, validation)
    head = cast.head
    level = loudness(script.samples)
    jaw_gain, lip_gain = rng.uniform(0.8, 1.5), rng.uniform(0.8, 1.25)  # mumblers and actors
    mouth, shut, labels = mouth_track(
        script.segments, seconds, FRAME_RATE, jaw_gain=jaw_gain, lip_gain=lip_gain, loudness=level
    )
    speaking = labels != "sil"
    play = perform(rng, head, mouth, shut, speaking.astype(float), level, FRAME_RATE)
    camera = draw_camera(rng, head, size)
    scene = random_scene(rng)
    landmarks, translation = posed_landmarks(head, play, camera)
    neutral = camera.project(head.landmarks(np.zeros(len(UNITS))))
    truth = {
        "landmarks": landmarks.astype(np.float32),
        "neutral": neutral.astype(np.float32),
        "weights": play.weights[:, : len(ARKIT_52)].astype(np.float32),
        "tongue_up": play.weights[:, UNIT["tongueUp"]].astype(np.float32),
        "rotation": play.rotation.astype(np.float32),
        "translation": translation.astype(np.float32),
        "gaze": play.gaze.astype(np.float32),
        "viseme": labels,
        "speaking": speaking,
        "closure": shut.astype(np.float32),
        "phoneme_start": np.array([segment[0] for segment in script.segments], np.float32),
        "phoneme_end": np.array([segment[1] for segment in script.segments], np.float32),
        "phoneme": np.array([segment[2] for segment in script.segments]),
        "emotion": play.emotion,
        "emotion_intensity": play.intensity,
        "identity": cast.identity.name,
        "male": cast.identity.male,
        "age": cast.identity.age,
        "weight": cast.identity.weight,
        "ancestry": cast.identity.ancestry,
        "sliders": np.array(list(cast.identity.sliders.values()), np.float32),
        "hair": str(cast.person.hair),
        "voice": script.manner.voice,
        "manner": str(script.manner),
        "text": " ".join(script.sentences),
        "sentences": np.array(script.sentences),
        "validation": validation,
        "seed": stem,
        "fov": camera.fov,
        "licence": f"{LICENCE}; voice: {speech_module.licence_of(script.manner.voice)}",
        "version": VERSION,
    }
    stills = pose_stills(np.random.default_rng(_seed_of(f"{stem}/stills")), head)
    truth["still_landmarks"] = posed_landmarks(head, stills, camera)[0].astype(np.float32)
    if renderer is not None:
        renderer.set_scene(scene)
        write_video(out / f"{stem}.mp4", render_frames(renderer, head, play, camera), size)
        write_video(out / f"{stem}.stills.mp4", render_frames(renderer, head, stills, camera), size)
    sound = out / f"{stem}.part.flac"
    soundfile.write(sound, script.samples, SAMPLE_RATE, subtype="PCM_16")
    sound.replace(out / f"{stem}.flac")
    partial = out / f"{stem}.part.npz"
    np.savez_compressed(partial, **truth)
    partial.replace(out / f"{stem}.npz")


def mouth_opening(weights: np.ndarray) -> float:
    """How much light falls into the mouth, 0..1, for weights (53,)."""
    return float(np.clip(2 * (weights[UNIT["jawOpen"]] - weights[UNIT["mouthClose"]]) + 0.15, 0, 1))


def render_frames(renderer: "Renderer", head: Head, play: Performance, camera: Camera):
    """Yield RGB frames of a performance."""
    turns = mesh_rotation(play.rotation)
    for weights, turn, shift in zip(play.weights, turns, play.shift, strict=True):
        yield renderer.draw(
            head.vertices(weights), camera, rotation=turn, shift=tuple(shift), mouth_open=mouth_opening(weights)
        )


def write_video(path: Path, frames, size: int) -> None:
    """H.264 crf 17 at 25 frames a second without sound, through the ffmpeg program."""
    partial = path.with_suffix(f".{os.getpid()}.part.mp4")
    command = [
        "ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size}x{size}",
        "-r", str(FRAME_RATE), "-i", "-", "-an", "-c:v", "libx264", "-crf", "17", "-preset", "veryfast",
        "-threads", "1", "-pix_fmt", "yuv420p", str(partial),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        for frame in frames:
            encoder.stdin.write(frame.tobytes())
        encoder.stdin.close()
        if encoder.wait() != 0:
            raise RuntimeError(f"ffmpeg could not write {path}")
    partial.replace(path)
