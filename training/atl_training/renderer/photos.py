"""Pairs from single pictures of real people: the picture is the frame; the portrait is made of it by warping.

    python -m atl_training.renderer.photos --portraits DIR --out DIR

A corpus has moving faces of people who don't exist, a picture has the skin, lips and teeth of one who does, but doesn't
move. So the portrait moves: its landmarks get another head pose and another mouth, and the picture is warped there. What
a warp can't know is taken away from it: where the picture shows teeth, the portrait's mouth is shut and the slit between its
lips darkened, so the network has to draw real teeth; where the picture's mouth is shut, the portrait shows the teeth
of somebody else, and the network has to shut it over them. Pictures that are held out by name go to OUT/val.
"""
import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.paste import ROOM
from atl_diffusion_node.polygons import filled
from atl_diffusion_node.runtime import FACE_SIZE
from atl_diffusion_node.warp import FaceWarp, Room, apply_warp
from atl_face.align import CropTransform
from atl_face.detect import find_face
from atl_face.errors import UserError
from atl_face.media import read_picture
from atl_face.topology import INNER_LIPS, eye_distance, lip_gap, unit_weights
from atl_landmark_node.face_model import PortraitFace
from atl_training.renderer.pack import FRAMES, JITTER, pack, segment, stack, warper
from atl_training.splits import held_out
from atl_training.tool import run_tool

TOOTHY, SHUT = 0.06, 0.02  # lip gaps from which on, and up to which, a picture's mouth counts as such
SHUT_MORE = 3  # times as many segments of a picture with a shut mouth: officials smile, but renderers must shut mouths
WORK = Room.around(2 * FACE_SIZE)  # pixels that the portrait is warped at: two warps in a row would blur it otherwise
SLIT_DARKNESS = 0.35  # of the lips' brightness: the line between lips that touch
TURN_RAD = np.radians((4.0, 8.0, 3.0))  # standard deviation of the portrait's pitch, yaw, roll against the picture


@dataclass(frozen=True)
class Photo:
    """A picture with one face: its crop with what is around it (*WORK.shape, 3), RGB, and its landmarks (68, 3), crop
    coordinates."""

    name: str
    wide: np.ndarray
    points: np.ndarray

    @property
    def gap(self) -> float:
        return float(lip_gap(self.points))


@dataclass(frozen=True)
class Job:
    """A picture to make segments of, one for every donor of teeth."""

    photo: Photo
    donors: list[Photo]

    @property
    def segments(self) -> int:
        return len(self.donors)


def load_photo(path: Path) -> Photo:
    """Raises UserError where the picture shows no face."""
    picture = read_picture(path.read_bytes())
    points = find_face(picture)
    transform = CropTransform.from_landmarks(points)
    return Photo(path.stem, WORK.cut(transform, picture), transform.to_crop(points))


def plan(photos: list[Photo], segments: int, rng: np.random.Generator) -> list[Job]:
    """Jobs of `segments` segments a picture, more of those with a shut mouth; donors are drawn from the toothy ones."""
    toothy = [photo for photo in photos if photo.gap > TOOTHY]
    if not toothy:
        raise UserError("None of the pictures shows teeth, so there are none to lend: give more pictures, of people who smile.")
    counts = [segments * (SHUT_MORE if photo.gap < SHUT else 1) for photo in photos]
    return [Job(photo, [toothy[i] for i in rng.integers(len(toothy), size=count)])
            for photo, count in zip(photos, counts, strict=True)]  # fmt: skip


def _random_smile(rng: np.random.Generator) -> np.ndarray:
    """Weights (52,) of a smile that shows teeth; now and then only of a mouth ajar."""
    smile = rng.uniform(0.0, 0.6)
    return unit_weights({
        "mouthSmile": smile, "mouthUpperUp": rng.uniform(0.2, 0.9), "mouthLowerDown": rng.uniform(0.0, 0.6),
        "mouthStretch": rng.uniform(0.0, 0.4), "jawOpen": rng.uniform(0.03, 0.2), "cheekSquint": 0.5 * smile,
    })  # fmt: skip


def _random_rest(rng: np.random.Generator) -> np.ndarray:
    """Weights (52,) of a shut mouth near rest. Negative ones take back a part of the picture's own smile."""
    return unit_weights({
        "mouthSmile": rng.uniform(-0.35, 0.1), "mouthPucker": rng.uniform(0.0, 0.15), "eyeBlink": max(0.0, rng.normal(0, 0.15)),
    })  # fmt: skip


def _inside_lips(points: np.ndarray, blur_px: float) -> np.ndarray:
    """(*WORK.shape, 1) float32: 1 between the inner lips, with a soft edge."""
    return cv2.GaussianBlur(filled(in_pixels(points)[INNER_LIPS, :2], WORK.shape), (0, 0), blur_px)[..., None]


def _blend(base: np.ndarray, top: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.rint(base + mask * (top.astype(np.float32) - base)).astype(np.uint8)


def in_pixels(points: np.ndarray) -> np.ndarray:
    """Landmarks (68, 3) in crop coordinates as pixels of a `Photo.wide`."""
    return points * WORK.size + (*WORK.corner, 0)


def _level(wide: np.ndarray) -> float:
    """Brightness of the middle of the face."""
    third = WORK.size // 3
    return float(np.median(wide[WORK.crop][third:-third, third:-third])) + 1.0


def make_portrait(photo: Photo, donor: Photo, warp: FaceWarp, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A portrait (*WORK.shape, 3) of the picture's person in another state, and its landmarks (68, 3)."""
    shows_teeth = photo.gap < SHUT and rng.random() < 0.7
    weights = _random_smile(rng) if shows_teeth else _random_rest(rng)
    face = PortraitFace(photo.points)  # its neutral mouth is shut
    shift = np.append(rng.normal(0, 0.02, 2), 0.0)
    points = face.points(weights, rotation=rng.normal(0, TURN_RAD), translation=shift)
    portrait = apply_warp(photo.wide, warp.displacement(photo.points, points, WORK), WORK)
    if shows_teeth:
        mouth = apply_warp(donor.wide, warp.displacement(donor.points, points, WORK), WORK).astype(np.float32)
        mouth *= np.clip(_level(photo.wide) / _level(donor.wide), 0.5, 2.0)
        portrait = _blend(portrait, np.clip(mouth, 0, 255), _inside_lips(points, 1.2))
    elif photo.gap > SHUT:
        lips = portrait[_inside_lips(_widened(points), 1.0)[..., 0] > 0.5]
        dark = SLIT_DARKNESS * np.median(lips, axis=0) if len(lips) else 0.0
        portrait = _blend(portrait, np.broadcast_to(dark, portrait.shape), _inside_lips(_widened(points), 1.5))
    return portrait, points


def _widened(points: np.ndarray) -> np.ndarray:
    """Shut inner lips opened by what the warp holds them apart: where the squeezed inside of the mouth lies."""
    points = points.copy()
    opening = 0.02 * float(eye_distance(points))
    points[61:64, 1] -= opening
    points[65:68, 1] += opening
    return points


def cut(job: Job, seed: int) -> dict[str, np.ndarray]:
    """The arrays of a picture's segments, (n, ...) each; see `pack.ARRAYS`. All frames of a segment are alike."""
    cv2.setNumThreads(1)
    photo = job.photo
    rng = np.random.default_rng([seed, *photo.name.encode()])
    warp = warper()
    segments = []
    for donor in job.donors:
        portrait, points = make_portrait(photo, donor, warp, rng)
        transform = CropTransform.from_landmarks(in_pixels(points))
        target = transform.to_crop(in_pixels(photo.points))
        if rng.random() < 0.5:
            target[:, :2] += rng.normal(0, JITTER, (68, 2))
        segments.append(segment(
            ROOM.cut(transform, portrait), transform.to_crop(in_pixels(points)), np.stack([target] * FRAMES),
            [transform.extract(photo.wide, FACE_SIZE)] * FRAMES, warp,
        ))  # fmt: skip
    return stack(segments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--portraits", type=Path, required=True, help="folder of pictures, one face each")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--segments", type=int, default=3, help="of a picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    photos: dict[bool, list[Photo]] = {True: [], False: []}
    for path in tqdm(sorted(arguments.portraits.glob("*.jpg")), desc="faces"):
        try:
            photos[held_out(path.stem)].append(load_photo(path))
        except UserError as error:
            tqdm.write(f"{path.name}: {error}")
    for split, held in (("val", True), ("train", False)):
        jobs = plan(photos[held], arguments.segments, np.random.default_rng(arguments.seed))
        count = pack(jobs, partial(cut, seed=arguments.seed), arguments.out / split, arguments.workers)
        print(split, count, "segments")


if __name__ == "__main__":
    run_tool(main)
