"""Held-out clips made anew from their first frame, judged beside the truth, the still portrait and the warp alone."""
from functools import partial
from itertools import islice

import cv2
import numpy as np
from tqdm import tqdm

from atl_diffusion_node.renderer import FaceRenderer
from atl_evaluation.metrics.motion import correlation, gap_amplitude
from atl_evaluation.metrics.picture import psnr
from atl_evaluation.metrics.statistics import mean_of
from atl_evaluation.metrics.tracking import track
from atl_face.stream import FRAME_SAMPLES
from atl_face.topology import lip_gap
from atl_landmark_node.model import SpeechModel
from atl_training.figures import summed, with_interval
from atl_training.renderer.report.crop import FaceCrop, compared
from atl_training.renderer.report.steadiness import kept, seams, skin_flicker
from atl_training.shards import Sample
from atl_training.ways import FROM_SOUND, FROM_SOUND_POSED, FROM_TRUE, HELD, TRUTH, Clip, made_in_all_ways

DRAWN = f"ours from {FROM_TRUE}"
WARPED = f"warp only from {FROM_TRUE}"
SPOKEN = f"ours from {FROM_SOUND_POSED}"
FROM_LANDMARKS = 4  # the first of `made_in_all_ways`: truth, still portrait, and both from the true landmarks
MOST_FRAMES = 125  # of a clip
GAINS = {FROM_TRUE: (DRAWN, WARPED), FROM_SOUND_POSED: (SPOKEN, HELD)}  # ours, and what it must beat
GAINED = ("psnr", "ssim", "psnr_mouth", "ssim_mouth")


def on_clips(samples: list[Sample], renderer: FaceRenderer, model: SpeechModel, name: str, spoken: bool) -> dict:
    """Figures over clips, with intervals: `rows` by way; `gains`, paired differences of ours from what it must beat; `steady`.

    `psnr_bilinear` is PSNR in the same square resized without a filter, `psnr_close` that in one around the 68 landmarks' box.
    The first frame is the portrait, so it isn't judged. Lip gaps of frames are mediapipe's, as the truth's landmarks of film.

    Args:
        spoken: also driven by their sound with the true head pose; else by the true landmarks only.
    """
    clips = [_on_clip(sample, renderer, model, spoken) for sample in tqdm(samples, desc=name)]
    rows = {way: [rows[way] for rows, _ in clips] for way in clips[0][0]}
    gains = {driver: {key: with_interval(a[key] - b[key] for a, b in zip(rows[ours], rows[base], strict=True)) for key in GAINED}
             for driver, (ours, base) in GAINS.items() if ours in rows}  # fmt: skip
    return {"clips": len(clips), "people": len({sample.facts["speaker"] for sample in samples}),
            "rows": {way: summed(figures) for way, figures in rows.items()}, "gains": gains,
            "steady": summed([steady for _, steady in clips])}  # fmt: skip


def _on_clip(sample: Sample, renderer: FaceRenderer, model: SpeechModel, spoken: bool) -> tuple[dict, dict]:
    """Rows of figures by way, and what is asked of steadiness."""
    clip = Clip.of(sample)
    clip = Clip(clip.key, clip.frames[:MOST_FRAMES], clip.landmarks[:MOST_FRAMES], clip.sound[:MOST_FRAMES * FRAME_SAMPLES])
    crop = FaceCrop.of_face(clip.frames[0])
    squares_of = {"psnr_bilinear": partial(crop.pictures, interpolation=cv2.INTER_LINEAR),
                  "psnr_close": FaceCrop(clip.landmarks[0]).pictures}  # fmt: skip
    points, real = crop.points(clip.landmarks), crop.pictures(clip.frames)
    true, rows, frames_of = lip_gap(clip.landmarks), {}, {}
    ways = made_in_all_ways(clip, model, renderer)
    for way, frames in ways if spoken else islice(ways, FROM_LANDMARKS):
        if way.endswith(FROM_SOUND):  # its head is anywhere: no pixel is where the true one is
            continue
        squares = crop.pictures(frames)
        seen = lip_gap(track(frames))
        rows[way] = compared(real[1:], squares[1:], points[1:]) | {
            "gap_correlation": correlation(true, seen), "gap_amplitude": gap_amplitude(true, seen),
            "skin_flicker": skin_flicker(squares, points)}  # fmt: skip
        rows[way] |= {key: mean_of(psnr(cut(clip.frames)[1:], cut(frames)[1:])) for key, cut in squares_of.items()}
        frames_of[way] = frames
    least = rows[TRUTH]["skin_flicker"] or np.nan  # of a noiseless film there is no ratio
    steady = {"flicker_ratio": rows[DRAWN]["skin_flicker"] / least, "gap_amplitude": rows[DRAWN]["gap_amplitude"]}
    made = frames_of[DRAWN][1:], frames_of[WARPED][1:]
    return rows, steady | seams(clip.portrait, clip.true_points[1:], *made) | {"kept": kept(clip.portrait, *made)}
