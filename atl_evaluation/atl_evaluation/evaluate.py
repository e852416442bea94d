"""A bag gets a verdict: its frames are made again by the cores, judged stretch by stretch, and told in a folder.

A stretch is up to STRETCH_FRAMES frames of one stream and one portrait: a long bag never lies in memory, and means over stretches
have intervals. What drove a frame is the truth for its motion ("driven"); a reference video, if one is given, is another.
"""
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation import provenance, run_folder, verdict
from atl_evaluation.bag import Bag, read_bag
from atl_evaluation.baselines import WarpOnly
from atl_evaluation.events import Shown
from atl_evaluation.judge import Judge, Truth
from atl_evaluation.metrics import motion
from atl_evaluation.metrics.catalogue import METRICS
from atl_evaluation.metrics.statistics import bootstrap_interval
from atl_evaluation.metrics.tracking import track
from atl_evaluation.reference import Reference
from atl_evaluation.report import write_report
from atl_evaluation.rerun import STAGES, Frame, Rerun
from atl_face.stream import FRAME_NS, FRAME_SAMPLES
from atl_face.topology import lip_gap

STRETCH_FRAMES = 250  # 10 s: 200 MB of frames at 512 px, and enough windows for the sync expert
LEAST_FRAMES = 8  # a shorter rest of a stream joins the figures of no stretch
SHEET, WORST = 12, 6  # pictures in the report, spread over the run, and of frames that follow worst
FLOOR_BLUR_PX = 1.0  # the detector's floor: what it sees in the same frames, blurred by so much


@dataclass
class Stretch:
    """Consecutive frames of one stream and portrait, and the sound from the first one on."""

    portrait: Portrait
    sound: np.ndarray
    frames: list[Frame]

    @property
    def pictures(self) -> np.ndarray:
        return np.stack([frame.picture for frame in self.frames])

    @property
    def driven(self) -> np.ndarray:
        """The landmarks (T, 68, 3) that drove them, px."""
        return np.stack([self.portrait.transform.to_portrait(frame.landmarks.points) for frame in self.frames])


@dataclass
class Run:
    """What evaluating a bag gathers."""

    latency_ms: dict[int, float]  # by stamp, ns; of frames that were seen live
    figures: dict[str, list[dict[str, float]]] = field(default_factory=dict)  # way -> figures of each stretch
    rows: list[dict] = field(default_factory=list)
    sheet: list[tuple[str, np.ndarray]] = field(default_factory=list)
    sheet_step: int = 1  # frames between pictures of the sheet; doubles as the run grows
    worst: list[tuple[float, str, np.ndarray]] = field(default_factory=list)
    digest: object = field(default_factory=hashlib.sha256)


def evaluate(path: Path, out: Path, conditions: Path, *, portrait: Portrait | None = None, reference: Path | None = None,
             driven_by: str = "sound", namespace: str = "", parameters: dict | None = None, with_identity: bool = False,
             live: dict | None = None, latency_ms: dict[int, float] | None = None,
             middleware: str | None = None) -> dict:  # fmt: skip
    """Make a bag's frames again, judge them and write the folder `out`; returns the summary (`run_folder`).

    Args:
        conditions: YAML of the conditions that the verdict is about.
        portrait: the face where the bag has none. reference: a video that shows what the first stream's sound truly looked like.
        driven_by: `sound` runs both stages, `landmarks` draws those that were recorded.
        parameters: those of the nodes that aren't their defaults, see `Rerun`.
        with_identity: embed faces; needs the extras.
        live: figures of a replay that recorded the bag, told along. latency_ms: its latency of frames by stamp, ns.

    Raises:
        UserError: the bag, the conditions or the reference can't be used; nothing can be made from the bag.
    """
    rules = verdict.read_conditions(conditions)  # before the work
    out = run_folder.folder_to_write(out)
    bag = read_bag(path, namespace)
    rerun = Rerun(bag, driven_by, portrait, parameters)
    truth = Reference.read(reference) if reference else None
    judge, run = Judge(with_identity), Run(latency_ms or {})
    for stretch in stretches(bag, rerun, portrait):
        _judge_stretch(run, judge, stretch, truth if stretch.frames[0].stream_id == _first_stream(bag) else None)
    problems = [{"what": line, "count": 1} for line in bag.problems]
    problems += [{"what": what, "count": count} for what, count in rerun.problems.items()]
    if missing := sum(not row["face_found"] for row in run.rows):
        problems.append({"what": "frames in which the detector sees no face: not in the figures of motion", "count": missing})
    configuration = {"driven_by": driven_by, "runtime": rerun.runtime, "parameters": parameters or {},
                     "reference": str(reference) if reference else None, "identity": with_identity,
                     "picture_px": " x ".join(map(str, run.sheet[0][1].shape[:2])) if run.sheet else None,
                     "boxes": "atl_face.topology.face_box, mouth_box"}  # fmt: skip
    summary = run_folder.new_summary(bag=told(bag), configuration=configuration, metrics=metrics_of(run.figures), rows=run.rows,
                                     problems=problems, live=live, middleware=middleware)  # fmt: skip
    summary["frames"] |= {"sha256": run.digest.hexdigest(), "lost_samples": rerun.lost_samples}
    summary["times_ms"] = times_of(run.rows)
    summary = verdict.judge(summary, rules)
    worst = [(why, picture) for _, why, picture in sorted(run.worst, key=lambda one: -one[0])[:WORST]]
    write_report(out / run_folder.REPORT, summary, run.rows, run.sheet[:SHEET], worst)
    run_folder.write_run(out, summary, run.rows)
    return summary


def stretches(bag: Bag, frames: Iterable[Frame], given: Portrait | None = None) -> Iterator[Stretch]:
    """The frames that were drawn, cut where a stream or a portrait ends, and after STRETCH_FRAMES."""
    portraits = {shown.portrait.id: shown.portrait for shown in bag.of(Shown)}
    if given is not None and not portraits:
        portraits[given.id] = given
    sounds, held = bag.sounds(), []
    for frame in frames:
        if frame.picture is None:
            continue
        if held and (len(held) == STRETCH_FRAMES or not _follows(held[-1], frame)):
            yield _stretch(held, portraits, sounds)
            held = []
        held.append(frame)
    if held:
        yield _stretch(held, portraits, sounds)


def _follows(last: Frame, frame: Frame) -> bool:
    return (last.stream_id, last.portrait_id, last.index + 1) == (frame.stream_id, frame.portrait_id, frame.index)


def _stretch(frames: list[Frame], portraits: dict[str, Portrait], sounds: dict) -> Stretch:
    heard = sounds.get(frames[0].stream_id)
    sound = np.zeros(0, np.float32)
    if heard is not None:
        start = frames[0].index * FRAME_SAMPLES - heard.first_sample
        sound = np.pad(heard.samples[max(0, start):][: len(frames) * FRAME_SAMPLES], (max(0, -start), 0))
    return Stretch(portraits[frames[0].portrait_id], sound, frames)


def _first_stream(bag: Bag) -> int | None:
    return next(iter(bag.sounds()), None)


def _judge_stretch(run: Run, judge: Judge, stretch: Stretch, reference: Reference | None) -> None:
    pictures, driven, portrait = stretch.pictures, stretch.driven, stretch.portrait
    seen = track(pictures)
    for picture in pictures:
        run.digest.update(picture.tobytes())
    real = reference.at([frame.index for frame in stretch.frames]) if reference else None
    _rows(run, stretch, driven, seen, real)
    if len(pictures) < LEAST_FRAMES:
        return
    still = np.repeat(portrait.picture[None], len(pictures), axis=0)
    warp_only = FaceRenderer(WarpOnly(), covers_teeth=False)
    warp_only.set_identity(portrait)
    warped = np.stack([warp_only.render(frame.landmarks.points) for frame in stretch.frames])
    ways = {"": (pictures, seen), "warp only": (warped, track(warped)), "still portrait": (still, _still(portrait, len(still)))}
    for way, (made, marks) in ways.items():
        figures = judge(made, stretch.sound, portrait.picture, _same_grid(real, made), marks)
        figures |= motion.compare(driven, marks)
        if real is not None:
            figures |= {f"real_{name}": value for name, value in motion.compare(real.landmarks, marks).items()}
        run.figures.setdefault(way, []).append(figures)
    blurred = track(cv2.GaussianBlur(picture, (0, 0), FLOOR_BLUR_PX) for picture in pictures)
    run.figures.setdefault("detector floor", []).append(motion.compare(seen, blurred))
    if real is not None:
        figures = judge(real.frames, stretch.sound, real.frames[0], None, real.landmarks)
        run.figures.setdefault("ground truth", []).append(figures)


def _same_grid(real: Truth | None, made: np.ndarray) -> Truth | None:
    """The truth where its pixels are those of the made frames: elsewhere pictures can't be compared."""
    return real if real is not None and real.frames.shape == made.shape else None


def _still(portrait: Portrait, count: int) -> np.ndarray:
    return np.repeat(track([portrait.picture]), count, axis=0)


def _rows(run: Run, stretch: Stretch, driven: np.ndarray, seen: np.ndarray, real: Truth | None) -> None:
    """A row a frame, pictures for the sheet, and the frames that follow worst."""
    gaps = [lip_gap(points) for points in (driven, seen)]
    gap_real = lip_gap(real.landmarks) if real is not None else np.full(len(driven), np.nan)
    for k, frame in enumerate(stretch.frames):
        stamp_s, found = frame.stamp_ns / 1e9, bool(np.isfinite(seen[k]).all())
        row = {"index": len(run.rows), "stamp_s": stamp_s, "stream": frame.stream_id, "frame": frame.index, "face_found": found,
               "gap_driven": gaps[0][k], "gap_seen": gaps[1][k], "gap_real": gap_real[k],
               "render_ms": sum(frame.times_ms.get(name, 0.0) for name in STAGES[1:])}  # fmt: skip
        if frame.stamp_ns in run.latency_ms:
            row["latency_ms"] = run.latency_ms[frame.stamp_ns]
        if "landmarks" in frame.times_ms:
            row["landmark_ms"] = frame.times_ms["landmarks"]
        run.rows.append(row)
        off = abs(gaps[0][k] - gaps[1][k]) if found else np.inf
        what = f"lip gap {gaps[1][k]:.3f} instead of {gaps[0][k]:.3f}" if found else "no face is seen"
        why = f"frame {row['index']}: {what}"
        run.worst = sorted([*run.worst, (off, why, frame.picture)], key=lambda one: -one[0])[:WORST]
        if row["index"] % run.sheet_step == 0:
            run.sheet.append((f"{frame.index * FRAME_NS / 1e9:.2f} s", frame.picture))
            if len(run.sheet) == 2 * SHEET:
                run.sheet, run.sheet_step = run.sheet[::2], 2 * run.sheet_step


def metrics_of(figures: dict[str, list[dict[str, float]]]) -> dict[str, dict]:
    """The summary's metrics: means over stretches, with baselines beside the method."""
    found = {}
    for name in dict.fromkeys(name for row in figures.get("", []) for name in row):
        kind = METRICS.get(name.removeprefix("real_"))
        if kind is None:
            continue
        values = [row[name] for row in figures[""] if name in row]
        low, high = bootstrap_interval(values)
        against = "against the reference video" if name.startswith("real_") else None
        found[name] = {
            "value": motion.mean_of(values), "unit": kind.unit, "better": kind.better, "definition": kind.definition,
            "source": kind.source, "interval": [low, high] if np.isfinite(low) else None, "note": against,
            "baselines": {way: motion.mean_of([row[name] for row in rows if name in row])
                          for way, rows in figures.items() if way and any(name in row for row in rows)},
        }  # fmt: skip
    return found


def times_of(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Percentiles of the stages' times, ms a frame."""
    found = {}
    for name in ("landmark_ms", "render_ms"):
        values = [row[name] for row in rows if name in row]
        if values:
            found[name] = dict(zip(("p50", "p95", "p99", "max"), np.percentile(values, (50, 95, 99, 100)).round(2), strict=True))
    return found


def told(bag: Bag) -> dict:
    """The summary's section about the bag."""
    digest = hashlib.sha256()
    for file in bag.files:
        digest.update(bytes.fromhex(provenance.sha256_of(file)))
    logged = [event.log_ns for event in bag.events]
    return {"path": str(bag.path), "sha256": digest.hexdigest(), "storage": sorted({file.suffix for file in bag.files}),
            "messages": {topic: count for topic, (_, count) in bag.topics.items()},
            "seconds": round((max(logged) - min(logged)) / 1e9, 3) if logged else 0.0}  # fmt: skip
