"""Look at a shard: pictures with their landmarks, sound with its phonemes, the lip gap.

    atl-corpus inspect SHARD --out sheet.png
"""
import argparse
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE, SAMPLE_RATE
from atl_face.topology import INNER_LIPS, lip_gap
from atl_training.shards import Sample, read_shards

CELL_PX = 256  # side of a picture on the sheet: eight of them fill a wide screen
DPI = 100
JPEG_QUALITY = 85  # of plain sheets, which go into documents
DRAFT_MARGIN = 0.1  # black around a draft's landmarks, as a share of their extent over the clip
GREEN, YELLOW = (0, 255, 0), (255, 255, 0)
SUFFIXES = (".png", ".jpg", ".jpeg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `atl-corpus inspect`."""
    parser.add_argument("shard", type=Path, help="a shard, or a folder of shards")
    parser.add_argument("--out", type=Path, required=True, help="picture to write (.png or .jpg)")
    parser.add_argument("--clips", type=int, default=6, help="rows: the first clips of the shard (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every so-manyth clip only (%(default)s)")
    parser.add_argument("--columns", type=int, default=8, help="frames of each clip, evenly spread (%(default)s)")
    parser.add_argument("--plain", action="store_true", help="pictures only, no landmarks, sound or titles; drafts are left out")
    parser.add_argument("--width", type=int, help=f"of a plain sheet, px; without, a frame is {CELL_PX} px wide")


def run(options: argparse.Namespace) -> None:
    """Write the sheet. Raises UserError for a bad shard, a shard without anything to show, or an unknown suffix."""
    if options.out.suffix.lower() not in SUFFIXES:
        raise UserError(f"{options.out} must end in {', '.join(SUFFIXES)}.")
    if min(options.clips, options.columns, options.every, options.width or 1) < 1:
        raise UserError("--clips, --columns, --every and --width must be 1 or more.")
    samples = (s for s in read_shards([options.shard]) if s.video is not None or not options.plain)
    chosen = list(islice(samples, 0, options.clips * options.every, options.every))
    if not chosen:
        raise UserError(f"{options.shard} holds no {'pictures' if options.plain else 'clips'} to show.")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if options.plain:
        plain_sheet(chosen, options.columns, options.out, options.width)
    else:
        sheet(chosen, options.columns, options.out)
    print(f"{options.out}: {len(chosen)} clips")


def plain_sheet(samples: list[Sample], columns: int, out: Path, width: int | None = None) -> None:
    """One row of bare frames per clip, without gaps, `width` px wide."""
    picture = np.concatenate([strip(sample, picked(sample, columns), landmarks=False) for sample in samples])
    if width:
        picture = cv2.resize(picture, (width, round(width * len(picture) / picture.shape[1])), interpolation=cv2.INTER_AREA)
    if not cv2.imwrite(str(out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise UserError(f"{out} can't be written; give --out another folder.")


def sheet(samples: list[Sample], columns: int, out: Path) -> None:
    """Per clip: title, frames with landmarks, and below them waveform, phonemes and lip gap."""
    size = (columns * CELL_PX / DPI, len(samples) * 1.75 * CELL_PX / DPI)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.subplots(2 * len(samples), 1, squeeze=False, height_ratios=[2, 1] * len(samples))[:, 0]
    for sample, above, below in zip(samples, axes[::2], axes[1::2], strict=True):
        numbers = picked(sample, columns)
        above.imshow(strip(sample, numbers))
        above.set_title(title(sample.facts, sample.key), fontsize=10, loc="left")
        above.axis("off")
        draw_sound(below, sample, numbers)
    figure.savefig(out)


def title(facts: dict, key: str) -> str:
    """Key, emotion and level, voice and split of a clip; what isn't known is left out."""
    parts = [key, f"{facts['emotion']} {facts['level'] or ''}", facts.get("voice"), facts["split"], facts["text"]]
    return " · ".join(part.strip() for part in parts if part)


def picked(sample: Sample, columns: int) -> np.ndarray:
    """Numbers of `columns` frames, evenly spread from the first to the last."""
    return np.linspace(0, len(sample.arrays["landmarks"]) - 1, columns).round().astype(int)


def strip(sample: Sample, numbers: np.ndarray, landmarks: bool = True) -> np.ndarray:
    """The frames of these numbers side by side (CELL_PX, n * CELL_PX, 3), landmarks drawn; a draft's on black."""
    points = sample.arrays["landmarks"][..., :2]
    frames = sample.frames()
    if frames:
        frames = [frames[min(k, len(frames) - 1)] for k in numbers]  # a recorded video may lack its last frame
        corner, side = np.zeros(2), max(frames[0].shape[:2])
    else:
        frames = [np.zeros((1, 1, 3), np.uint8)] * len(numbers)
        low, high = points.min((0, 1)), points.max((0, 1))
        side = float(max(high - low)) * (1 + 2 * DRAFT_MARGIN)
        corner = (low + high - side) / 2
    cells = [_cell(frame) for frame in frames]
    if landmarks:
        for cell, face in zip(cells, (points[numbers] - corner) * (CELL_PX / side), strict=True):
            _dot(cell, face)
    return np.concatenate(cells, axis=1)


def _cell(frame: np.ndarray) -> np.ndarray:
    """The frame shrunk or grown into the top left corner of a black square."""
    scale = CELL_PX / max(frame.shape[:2])
    small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.copyMakeBorder(small, 0, CELL_PX - len(small), 0, CELL_PX - small.shape[1], cv2.BORDER_CONSTANT)


def _dot(cell: np.ndarray, points: np.ndarray) -> None:
    inner = range(68)[INNER_LIPS]
    for k, (x, y) in enumerate(points):
        cv2.circle(cell, (round(float(x)), round(float(y))), 1, YELLOW if k in inner else GREEN, -1, cv2.LINE_AA)


def draw_sound(axis, sample: Sample, numbers: np.ndarray) -> None:
    """Waveform with the shown frames' times marked, phonemes under it where they are known, lip gap over it."""
    sound, arrays = sample.audio, sample.arrays
    gap = arrays.get("lip_gap", lip_gap(arrays["landmarks"]))
    seconds = len(gap) / FRAME_RATE
    axis.plot(np.arange(len(sound)) / SAMPLE_RATE, sound, color="0.6", linewidth=0.4)
    for k in numbers:
        axis.axvline((k + 0.5) / FRAME_RATE, color="tab:blue", linewidth=1, linestyle=":")
    loudest = max(float(np.abs(sound).max(initial=0)), 1e-3)
    axis.set(xlim=(0, seconds), ylim=(-1.5 * loudest, loudest), yticks=[])
    for start, end, name in zip(*(arrays.get(f"phoneme_{part}", ()) for part in ("start", "end", "name")), strict=True):
        if name != "pau":
            axis.text((start + end) / 2, -1.3 * loudest, name, ha="center", va="center", fontsize=7, clip_on=True)
    curve = axis.twinx()
    curve.plot((np.arange(len(gap)) + 0.5) / FRAME_RATE, gap, color="tab:red", linewidth=1)
    curve.set_ylim(-0.1, 0.4)  # eye distances: 0 is shut, 0.3 wide open; room for the phonemes below
    curve.set_yticks([0, 0.2, 0.4])
    curve.tick_params(colors="tab:red", labelsize=7)
    axis.tick_params(labelsize=7)
