"""One clip: a person says something with some emotion before some camera -> picture, sound and ground truth."""
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from atl_face.stream import FRAME_RATE
from atl_face.topology import ARKIT_52, SPEECH, lip_gap
from atl_training.corpus import visemes
from atl_training.corpus.assets import LICENCES, UNITS
from atl_training.corpus.camera import Camera
from atl_training.corpus.cast import Cast, seed_of
from atl_training.corpus.head import UNIT, Head
from atl_training.corpus.look import Person, Scene, random_scene
from atl_training.corpus.motion import TURN, Mood, Performance, perform, random_mood
from atl_training.corpus.pose import pose_landmarks
from atl_training.corpus.rotation import mesh_rotation
from atl_training.corpus.script import Script, Sources, loudness, write_script
from atl_training.corpus.stills import pose_stills
from atl_training.corpus.text import LICENCE as TEXT_LICENCE
from atl_training.corpus.voices import VOICES, licences
from atl_training.shards import Sample, encode_sound, encode_video
from atl_training.splits import held_out

if TYPE_CHECKING:  # a draft needs no OpenGL
    from atl_training.corpus.renderer import Renderer

VERSION = 6
WIDEST_JAW, FRAME_MARGIN = 0.5, 0.05  # of speech; share of the frame that a turning head needs
PHONEME_LETTERS = "U4"  # of the longest name


def make_clip(cast: Cast, index: int, sources: Sources, renderer: "Renderer | None", *, seconds: float,
              size: int, turn: float = TURN) -> Sample:  # fmt: skip
    """The `index`-th clip of a person; it follows from their name, the index and the sources alone."""
    key = f"{cast.identity.name}_{index}"
    rng = np.random.default_rng(seed_of(key))
    validation = held_out(cast.identity.name)
    mood = random_mood(rng)
    script = write_script(rng, sources, seconds, cast.identity, mood, validation)
    level = loudness(script.samples)
    mumbler_or_actor = {"jaw_gain": rng.uniform(0.8, 1.5), "lip_gain": rng.uniform(0.8, 1.25)}
    mouth, shut, labels = visemes.mouth_track(script.segments, seconds, FRAME_RATE, loudness=level, **mumbler_or_actor)
    speaking = labels != "sil"
    play = perform(rng, cast.head, mouth, shut, speaking.astype(float), level, FRAME_RATE, mood, script.takes, turn)
    camera = draw_camera(rng, cast.head, size)
    scene = random_scene(rng)
    stills = pose_stills(rng, cast.head)
    arrays = _arrays(cast.head, play, camera, script)
    arrays |= {"viseme": labels, "speaking": speaking}
    facts = _facts(cast, script, mood, camera, scene, validation)
    video = still_video = None
    if renderer is not None:
        arrays["still_landmarks"] = pose_landmarks(cast.head, stills, camera)["landmarks"]
        renderer.set_scene(scene)
        video = encode_video(render_frames(renderer, cast.head, cast.person, play, camera), size)
        still_video = encode_video(render_frames(renderer, cast.head, cast.person, stills, camera), size)
    facts |= {"frames": len(labels), "size": size if video else 0, "frame_size": size}
    return Sample(key, facts, arrays, encode_sound(script.samples), video, still_video)


def draw_camera(rng: np.random.Generator, head: Head, size: int) -> Camera:
    """Fills the frame: outer eye corners 94-104 px apart in 288, less where the face wouldn't fit; hardly ever quite level."""
    camera = Camera(
        size=size,
        fov=float(np.radians(rng.uniform(9, 22))),
        target=head.eye_middle(),
        eye_distance=head.eye_distance(),
        eye_px=float(rng.uniform(94, 104)) * size / 288,
        eye_line=float(rng.uniform(0.375, 0.405)),
        eye_column=float(rng.uniform(0.48, 0.52)),
        yaw=float(np.radians(np.clip(rng.normal(0, 3), -7, 7))),
        pitch=float(np.radians(np.clip(rng.normal(0, 3), -7, 7))),
        roll=float(np.radians(np.clip(rng.normal(0, 2), -5, 5))),
    )
    gaping = np.zeros((2, len(UNITS)))
    gaping[1, UNIT["jawOpen"]] = WIDEST_JAW
    points = camera.project(head.landmarks(gaping))[..., :2] / size
    eyes = np.array([camera.eye_column, camera.eye_line])
    reach = np.where(points > eyes, 1 - FRAME_MARGIN - eyes, FRAME_MARGIN - eyes) / (points - eyes)
    return replace(camera, eye_px=camera.eye_px * min(1.0, float(reach.min())))


def _arrays(head: Head, play: Performance, camera: Camera, script: Script) -> dict[str, np.ndarray]:
    """Ground truth per frame."""
    posed = pose_landmarks(head, play, camera)
    posed["landmarks_3d"] = posed["landmarks_3d"].astype(np.float16)
    middles = (np.arange(len(play.weights)) + 0.5) / FRAME_RATE
    starts, ends, names = zip(*script.segments, strict=True)
    rows = np.clip(np.searchsorted(starts, middles, side="right") - 1, 0, None)
    return posed | {
        "neutral": camera.project(head.landmarks(np.zeros(len(UNITS)))).astype(np.float32),
        "lip_gap": lip_gap(posed["landmarks"]).astype(np.float32),
        "weights": play.weights[:, : len(ARKIT_52)].astype(np.float16),
        "tongue_up": play.weights[:, UNIT["tongueUp"]].astype(np.float16),
        "speech_weights": play.spoken[:, SPEECH].astype(np.float16),
        "rotation": play.rotation.astype(np.float32),
        "gaze": play.gaze.astype(np.float16),
        "closure": play.shut.astype(np.float16),
        "emotion_intensity": play.felt.astype(np.float16),
        "camera": camera.matrix().astype(np.float32),
        "phoneme": np.array(names, PHONEME_LETTERS)[rows],
        "phoneme_start": np.array(starts, np.float32),
        "phoneme_end": np.array(ends, np.float32),
        "phoneme_name": np.array(names, PHONEME_LETTERS),
    }


def _facts(cast: Cast, script: Script, mood: Mood, camera: Camera, scene: Scene, validation: bool) -> dict:
    """Ground truth per clip, and where every ingredient is from."""
    identity, person = cast.identity, cast.person
    voice = VOICES[script.manner.voice] if script.manner else None
    ingredients = [*LICENCES, *(licences(voice.name) if voice else [])]
    if voice and voice.engine != "real":
        ingredients.append(TEXT_LICENCE)
    if script.takes:
        ingredients.append(licences(voice.name)[0] | {"what": f"facial motion of {voice.speaker}"})
    return {
        "kind": "synthetic", "version": VERSION, "split": "val" if validation else "train", "speaker": identity.name,
        "emotion": mood.emotion, "level": mood.level, "intensity": round(mood.intensity, 3),
        "text": " ".join(script.sentences), "sentences": script.sentences, "language": script.language,
        "voice": voice.name if voice else "", "voice_speaker": voice.speaker if voice else "",
        "manner": asdict(script.manner) if script.manner else {}, "motion": "real" if script.takes else "rules",
        "male": round(identity.male, 3), "age": round(identity.age, 1), "weight": round(identity.weight, 3),
        "muscle": round(identity.muscle, 3), "ancestry": [round(float(v), 3) for v in identity.ancestry],
        "sliders": {name: round(value, 3) for name, value in identity.sliders.items() if value},
        **_looks(person),
        "camera": {name: round(getattr(camera, name), 4) for name in ("fov", "yaw", "pitch", "roll", "eye_px", "eye_line")},
        "light": {name: _rounded(getattr(scene, name)) for name in (
            "key_direction", "key_colour", "fill_colour", "rim_direction", "rim_colour", "softness", "shadow", "exposure")},
        "licences": ingredients,
    }  # fmt: skip


def _looks(person: Person) -> dict:
    return {
        "hair": person.hair or "", "brow": person.brow, "lashes": person.lashes, "wrinkle_seed": person.wrinkle_seed,
        "glasses": asdict(person.glasses) if person.glasses else None,
        "skin": "/".join(str(person.skin).split("/")[-3:]), "teeth": person.teeth, "dentition": asdict(person.dentition),
        **{name: _rounded(getattr(person, name)) for name in (
            "skin_tone", "freckles", "stubble", "buzz", "blush", "eye_shadow", "lip_tint", "lip_gloss", "hair_colour",
            "teeth_tint", "tongue_tint", "mouth_dark", "shine", "wrinkles")},
    }  # fmt: skip


def _rounded(value) -> float | list[float]:
    return np.round(value, 3).tolist()


def mouth_opening(weights: np.ndarray) -> float:
    """How much light falls into the mouth, 0..1, for weights (53,)."""
    return float(np.clip(2 * (weights[UNIT["jawOpen"]] - weights[UNIT["mouthClose"]]) + 0.15, 0, 1))


def wrinkle_depths(person: Person, weights: np.ndarray) -> tuple[float, float, float, float]:
    """Depth of brow, frown, eye and smile wrinkles, 0..1, for weights (53,): what age left, and what the face does now."""
    def both(name: str) -> float:
        return float(weights[UNIT[f"{name}Left"]] + weights[UNIT[f"{name}Right"]]) / 2

    raised = weights[UNIT["browInnerUp"]] * 0.6 + both("browOuterUp") * 0.6
    squint = both("eyeSquint") + 0.6 * both("cheekSquint") + 0.5 * both("mouthSmile")
    smile = both("mouthSmile") + 0.5 * both("mouthUpperUp") + both("noseSneer") * 0.6
    now = np.clip([raised, both("browDown"), squint, smile], 0, 1)
    return tuple((0.45 * person.wrinkles + now * (0.25 + 0.6 * person.wrinkles)).tolist())


def render_frames(renderer: "Renderer", head: Head, person: Person, play: Performance, camera: Camera) -> Iterator[np.ndarray]:
    """Yield RGB frames of a performance."""
    turns = mesh_rotation(play.rotation)
    for weights, turn, shift in zip(play.weights, turns, play.shift, strict=True):
        yield renderer.draw(
            head.vertices(weights), camera, rotation=turn, shift=tuple(shift), mouth_open=mouth_opening(weights),
            wrinkles=wrinkle_depths(person, weights),
        )  # fmt: skip
