"""One stream, however its sound comes: in chunks of any size, with a gap, with an interrupt."""
import numpy as np

from atl_evaluation.metrics.motion import landmark_distance
from atl_evaluation.metrics.statistics import mean_of
from atl_face.errors import UserError
from atl_face.stream import CHUNK_SAMPLES, FRAME_RATE, FRAME_SAMPLES, SAMPLE_RATE
from atl_face.topology import SPEECH, is_closed, lip_gap
from atl_landmark_node.follow import ChunkFollower
from atl_landmark_node.model import SpeechModel
from atl_landmark_node.stream import LandmarkFrame, LandmarkStream
from atl_training.figures import rounded
from atl_training.landmarks.judge import points_of
from atl_training.landmarks.report.clips import DraftClip, Stage

FRAME_MS = 1000 / FRAME_RATE
TOLERANCE = 1.0  # % of the eye distance, mean over the mouth's points: 0.9 mm, below what M-LMD is between good networks
GAPS_MS = (40, 200, 500, 1000)
LEAST_S = 4 * max(GAPS_MS) / 1000  # of a sound: gaps end in its second and third quarter, and don't reach its beginning
AIM_MS = 200  # from a gap's end, within which the mouth shall recover
WATCHED_S = 2.0  # after a gap: whether it stays recovered
AFTER_S = 1.0  # of silence after an interrupt


def continuity(stage: Stage, clips: list[DraftClip], seed: int = 0) -> dict:
    """Figures over the clips of LEAST_S and more; see the functions.

    Raises:
        UserError: there are none.
    """
    clips = [clip for clip in clips if len(clip.sound) >= LEAST_S * SAMPLE_RATE]
    if not clips:
        raise UserError(f"No held-out clip is {LEAST_S:g} s long: gaps in the sound can't be judged.")
    rng, sounds = np.random.default_rng(seed), [clip.sound for clip in clips]
    return {"clips": len(clips), "chunks": _chunks(stage.model, sounds, rng), "gaps": _gaps(stage, clips, rng),
            "interrupt": _interrupt(stage.model, sounds)}  # fmt: skip


def _chunks(model: SpeechModel, sounds: list[np.ndarray], rng: np.random.Generator, times: int = 3) -> dict:
    """`largest_difference` of any landmark's coordinate (crop coordinates) from the whole sound's, over random chunkings that
    begin anywhere in a longer stream (a silence before it)."""
    worst = 0.0
    for sound in sounds:
        for _ in range(times):
            sound_late = np.pad(sound, (int(rng.integers(0, 2 * SAMPLE_RATE)), 0))
            whole = _all_frames(LandmarkStream(model), sound_late, [])
            cuts = np.sort(rng.integers(0, len(sound_late), int(rng.integers(1, 200))))
            parts = _all_frames(LandmarkStream(model), sound_late, cuts)
            worst = np.maximum(worst, np.abs(_points(whole) - _points(parts)).max())  # unlike max(), keeps NaN
    return {"chunkings": times * len(sounds), "largest_difference": rounded(worst, 9)}


def _gaps(stage: Stage, clips: list[DraftClip], rng: np.random.Generator) -> dict:
    """Gap length in ms -> `median_ms`, `worst_ms` from the gap's end until the mouth is within TOLERANCE of the run that heard
    everything, and stays there for WATCHED_S: a single frame in which one of them shuts its lips and the other doesn't counts;
    `in_time`: share of the clips with at most AIM_MS, %; `distance_after`: mean distance from that run from AIM_MS on;
    `error_after`, `error_whole`: distance of both from the clip's truth there; all in % of the eye distance;
    `frames_kept`: whether every frame came, in its place. Every clip is spoken in its own style."""
    wholes = [_followed(stage.models[clip.style], clip.sound, 0, 0) for clip in clips]
    truths = [points_of(clip.weights) for clip in clips]
    rows = {}
    for length in GAPS_MS:
        lost = round(length * SAMPLE_RATE / 1000)
        times, after, kept = [], [], True
        for clip, truth, whole in zip(clips, truths, wholes, strict=True):
            middle = whole[len(whole) // 4: len(whole) * 3 // 4]
            ends = [frame.index for frame in middle if frame.speaking] or [frame.index for frame in middle]
            end = int(rng.choice(ends)) * FRAME_SAMPLES  # a gap after which speech goes on
            start = max(0, end - lost) // CHUNK_SAMPLES * CHUNK_SAMPLES
            cut = _followed(stage.models[clip.style], clip.sound, start, start + lost)
            kept = kept and [frame.index for frame in whole] == [frame.index for frame in cut]
            first = -(-(start + lost) // FRAME_SAMPLES)
            watched = slice(first, first + round(WATCHED_S * FRAME_RATE))
            heard, bridged, true = _mouths(whole)[watched], _mouths(cut)[watched], truth[watched]
            distance = landmark_distance(heard, bridged, align=False)
            off = distance > TOLERANCE
            times.append(FRAME_MS * (int(np.flatnonzero(off)[-1]) + 1 if off.any() else 0))
            later = slice(round(AIM_MS / FRAME_MS), len(true))
            errors = (landmark_distance(true, made[: len(true)], align=False) for made in (bridged, heard))
            after.append([mean_of(each[later]) for each in (distance, *errors)])  # NaN: the sound ends before
        told = zip(("distance_after", "error_after", "error_whole"), zip(*after, strict=True), strict=True)
        rows[str(length)] = {"median_ms": float(np.median(times)), "worst_ms": max(times),
                             "in_time": round(100 * float(np.mean(np.array(times) <= AIM_MS)), 1), "frames_kept": kept,
                             **{name: rounded(mean_of(values), 3) for name, values in told}}  # fmt: skip
    return rows


def _interrupt(model: SpeechModel, sounds: list[np.ndarray]) -> dict:
    """`restart` at each sound's widest mouth, then silence: `closed_ms` until the lips are closed and stay so, worst;
    `largest_step` of the lip gap from frame to frame after it and `largest_step_speaking` before it, % of the eye distance."""
    closed, steps, usual = [], [], []
    for sound in sounds:
        spoken = lip_gap(_points(list(LandmarkStream(model).push(sound))))
        widest = int(np.argmax(spoken))
        stream = LandmarkStream(model)
        before = list(stream.push(sound[: (widest + 1) * FRAME_SAMPLES + 2 * FRAME_SAMPLES]))
        stream.restart()
        after = list(stream.push(np.zeros(round(AFTER_S * SAMPLE_RATE), np.float32)))
        gaps = lip_gap(_points([before[-1], *after]))
        is_open = np.flatnonzero(~is_closed(gaps[1:]))
        closed.append(FRAME_MS * (int(is_open[-1]) + 1 if len(is_open) else 0))
        steps.append(float(np.abs(np.diff(gaps)).max()))
        usual.append(float(np.abs(np.diff(spoken)).max()))
    return {"closed_ms": max(closed), "largest_step": round(100 * max(steps), 2),
            "largest_step_speaking": round(100 * max(usual), 2)}  # fmt: skip


def _all_frames(stream: LandmarkStream, sound: np.ndarray, cuts) -> list[LandmarkFrame]:
    frames = [frame for part in np.split(sound, cuts) for frame in stream.push(part)]
    return frames[: -(-len(sound) // FRAME_SAMPLES)] + list(stream.finish(len(sound)))


def _followed(model: SpeechModel, sound: np.ndarray, lost_from: int, lost_to: int) -> list[LandmarkFrame]:
    """Frames of a sound that came in chunks; those in [lost_from, lost_to) never did."""
    follower, frames = ChunkFollower(LandmarkStream(model)), []
    for at in range(0, len(sound), CHUNK_SAMPLES):
        if not lost_from <= at < lost_to:
            frames += follower.push(1, at, sound[at: at + CHUNK_SAMPLES])
    return frames + list(follower.end(1, len(sound)))


def _points(frames: list[LandmarkFrame]) -> np.ndarray:
    return np.stack([frame.points for frame in frames])


def _mouths(frames: list[LandmarkFrame]) -> np.ndarray:
    """What speech does (T, 68, 3) on the average face: the head's own motion has no part in it."""
    return points_of(np.stack([frame.weights for frame in frames])[:, SPEECH])
