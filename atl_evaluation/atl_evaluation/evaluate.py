"""A bag gets a verdict: its frames are made again by the cores, judged stretch by stretch, and told in a folder.

What drove a frame is the truth for its motion ("driven"); a reference video, if one is given, is another.
"""
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from atl_diffusion_node.portrait import Portrait
from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation import run_folder, verdict
from atl_evaluation.bag import Bag
from atl_evaluation.baselines import WarpOnly
from atl_evaluation.events import Marks, Shown
from atl_evaluation.judge import Judge, Truth, against
from atl_evaluation.metrics import motion
from atl_evaluation.metrics.identity import FLOOR_BLUR_PX
from atl_evaluation.metrics.tracking import track
from atl_evaluation.reference import Reference
from atl_evaluation.report import write_report
from atl_evaluation.rerun import STAGES, Rerun
from atl_evaluation.stretches import Stretch, cut
from atl_evaluation.summary import REAL, Figures, metrics_of, times_of, told
from atl_face.stream import FRAME_NS
from atl_face.topology import lip_gap

LEAST_FRAMES = 8  # a shorter rest of a stream joins the figures of no stretch
SHEET, WORST = 12, 6  # pictures in the report, spread over the run, and of frames that follow worst


@dataclass
class Run:
    """What evaluating a bag gathers."""

    latency_ms: dict[int, float]  # by stamp, ns; of frames that were seen live
    recorded: dict[tuple[int, int], Marks]  # by stream and frame: the landmarks that those made anew are held against
    figures: Figures = field(default_factory=dict)
    rows: list[dict] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)  # of landmarks from the recorded ones, crop sides
    problems: Counter[str] = field(default_factory=Counter)
    sheet: list[tuple[str, np.ndarray]] = field(default_factory=list)
    sheet_step: int = 1  # frames between pictures of the sheet; doubles as the run grows
    worst: list[tuple[float, str, np.ndarray]] = field(default_factory=list)
    digest: object = field(default_factory=hashlib.sha256)

    def add(self, way: str, frames: int, figures: dict[str, float]) -> None:
        """A stretch's figures of one way."""
        self.figures.setdefault(way, []).append((frames, figures))


def evaluate(bag: Bag, out: Path, conditions: list[verdict.Condition], *, judge: Judge | None = None,
             portrait: Portrait | None = None, reference: Reference | None = None, driven_by: str = "sound",
             parameters: dict | None = None, live: dict | None = None, latency_ms: dict[int, float] | None = None,
             skews: list[tuple[float, float]] = (), middleware: str | None = None) -> dict:  # fmt: skip
    """Make a bag's frames again, judge them and write the folder `out`; returns the summary (`run_folder`). What an older run
    left in `out` is there until the bag turns out to be of use.

    Args:
        conditions: what the verdict is about.
        judge: with or without identity; None: without.
        portrait: the face where the bag has none. reference: a video that shows what the first stream's sound truly looked like.
        driven_by: `sound` runs both stages, `landmarks` draws those that were recorded.
        parameters: those of the nodes that aren't their defaults, see `Rerun`.
        live: figures of a replay that recorded the bag, told along. latency_ms: its latency of frames by stamp, ns.
        skews: s since its first frame, and sound-to-picture skew then, ms.

    Raises:
        UserError: nothing can be made from the bag, or `out` can't be written.
    """
    rerun = Rerun(bag, driven_by, portrait, parameters)
    out = run_folder.begin_run(out)
    judge = judge or Judge(with_identity=False)
    recorded = {(marks.stream_id, marks.frame.index): marks for marks in bag.of(Marks)} if driven_by == "sound" else {}
    run = Run(latency_ms or {}, recorded)
    portraits, sounds = {shown.portrait.id: shown.portrait for shown in bag.of(Shown)}, bag.sounds()
    if portrait is not None and not portraits:
        portraits[portrait.id] = portrait
    elif portrait is not None:
        run.problems["portrait was given, but the bag has its own: that was drawn"] += 1
    filmed = next(iter(sounds), None)  # the stream that the reference shows
    for stretch in cut(rerun, portraits, sounds):
        filmed = stretch.stream_id if filmed is None else filmed
        _judge_stretch(run, judge, stretch, reference if stretch.stream_id == filmed else None)
    configuration = {"driven_by": driven_by, "runtime": rerun.runtime, "parameters": parameters or {},
                     "reference": str(reference.path) if reference else None, "identity": judge.with_identity,
                     "picture_px": " x ".join(map(str, run.sheet[0][1].shape[:2])) if run.sheet else None,
                     "boxes": "atl_face.topology.face_box, mouth_box"}  # fmt: skip
    summary = run_folder.new_summary(bag=told(bag), configuration=configuration, metrics=metrics_of(run.figures), rows=run.rows,
                                     problems=_problems(bag, rerun, run), live=live, middleware=middleware)  # fmt: skip
    summary["models"] |= rerun.networks
    summary["frames"] |= {"sha256": run.digest.hexdigest(), "lost_samples": rerun.lost_samples,
                          "landmarks_compared": len(run.differences),
                          "landmarks_max_difference": max(run.differences, default=None)}  # fmt: skip
    summary["times_ms"] = times_of(run.rows)
    summary = verdict.judge(summary, conditions)
    worst = [(why, picture) for _, why, picture in sorted(run.worst, key=lambda one: -one[0])[:WORST]]
    write_report(out / run_folder.REPORT, summary, run.rows, run.sheet[:SHEET], worst, skews)
    run_folder.write_run(out, summary, run.rows)
    return summary


def _problems(bag: Bag, rerun: Rerun, run: Run) -> list[dict]:
    """The summary's section."""
    counts = rerun.problems + run.problems
    counts["samples of sound are missing between its chunks"] = rerun.lost_samples
    counts["frames in which the detector sees no face: not in the figures of motion"] = sum(
        not row["face_found"] for row in run.rows)  # fmt: skip
    return [{"what": line, "count": 1} for line in bag.problems] + [
        {"what": what, "count": count} for what, count in counts.items() if count]  # fmt: skip


def _judge_stretch(run: Run, judge: Judge, stretch: Stretch, reference: Reference | None) -> None:
    pictures, driven, portrait = stretch.pictures, stretch.driven, stretch.portrait
    count, seen = len(pictures), track(pictures)
    for picture in pictures:
        run.digest.update(picture.tobytes())
    real = reference.at([frame.index for frame in stretch.frames]) if reference else None
    _rows(run, stretch, driven, seen, real)
    if real is not None:
        _tell_what_is_not_compared(run, real, pictures)
    if count < LEAST_FRAMES:
        return
    still = np.repeat(portrait.picture[None], count, axis=0)
    warp_only = FaceRenderer(WarpOnly())
    warp_only.set_identity(portrait)
    warped = np.stack([warp_only.render(frame.landmarks.points) for frame in stretch.frames])
    ways = {"": (pictures, seen), "warp only": (warped, track(warped)), "still portrait": (still, _still(portrait, count))}
    for way, (made, marks) in ways.items():
        run.add(way, count, judge(made, stretch.sound, portrait.picture, seen=marks) | motion.compare(driven, marks))
    blurred = track(cv2.GaussianBlur(picture, (0, 0), FLOOR_BLUR_PX) for picture in pictures)
    run.add("detector floor", count, motion.compare(seen, blurred))
    if real is None or len(real.frames) < LEAST_FRAMES:
        return
    count = len(real.frames)
    for way, (made, marks) in ways.items():
        figures = {f"{REAL}{name}": value for name, value in motion.compare(real.landmarks, marks[:count]).items()}
        run.add(way, count, figures | (against(real, made[:count]) if _is_same_grid(real, made) else {}))
    run.add("ground truth", count, judge(real.frames, stretch.sound, real.frames[0], seen=real.landmarks))


def _is_same_grid(real: Truth, made: np.ndarray) -> bool:
    """Whether the truth's pixels are those of the made frames: elsewhere pictures can't be compared."""
    return real.frames.shape[1:] == made.shape[1:]


def _tell_what_is_not_compared(run: Run, real: Truth, made: np.ndarray) -> None:
    if late := len(made) - len(real.frames):
        run.problems["frames come after the end of the reference video: not compared with it"] += late
    if len(real.frames) and not _is_same_grid(real, made):
        sizes = ["{1} x {0} px".format(*frames.shape[1:3]) for frames in (real.frames, made)]
        run.problems[f"frames have no PSNR, SSIM and sharpness: the reference video has {sizes[0]}, they have {sizes[1]}"] += (
            len(real.frames))  # fmt: skip


def _still(portrait: Portrait, count: int) -> np.ndarray:
    return np.repeat(track([portrait.picture]), count, axis=0)


def _rows(run: Run, stretch: Stretch, driven: np.ndarray, seen: np.ndarray, real: Truth | None) -> None:
    """A row a frame, pictures for the sheet, and the frames that follow worst."""
    gaps = [lip_gap(points) for points in (driven, seen)]
    gap_real = np.full(len(driven), np.nan)
    if real is not None:
        gap_real[: len(real.frames)] = lip_gap(real.landmarks)
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
        marks = run.recorded.get((frame.stream_id, frame.index))
        if marks is not None and marks.portrait_id == frame.portrait_id:
            run.differences.append(float(np.abs(np.float32(frame.landmarks.points) - marks.frame.points).max()))
        off = abs(gaps[0][k] - gaps[1][k]) if found else np.inf
        what = f"lip gap {gaps[1][k]:.3f} instead of {gaps[0][k]:.3f}" if found else "no face is seen"
        why = f"frame {row['index']}: {what}"
        run.worst = sorted([*run.worst, (off, why, frame.picture)], key=lambda one: -one[0])[:WORST]
        if row["index"] % run.sheet_step == 0:
            run.sheet.append((f"{frame.index * FRAME_NS / 1e9:.2f} s", frame.picture))
            if len(run.sheet) == 2 * SHEET:
                run.sheet, run.sheet_step = run.sheet[::2], 2 * run.sheet_step
