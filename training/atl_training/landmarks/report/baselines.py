"""What a landmark network has to beat, as speech weights (T, len(SPEECH_WEIGHTS)) of every frame."""
import numpy as np

from atl_face.stream import FRAME_RATE, SAMPLE_RATE
from atl_face.topology import SPEECH_WEIGHTS
from atl_training.corpus.phonemes import Segment
from atl_training.corpus.recordings import MARGIN_S, align
from atl_training.corpus.visemes import CHANNELS, VISEMES, viseme_segments
from atl_training.shards import Sample


def _target(viseme: str) -> np.ndarray:
    """The weights (n,) that the corpus's rules pull towards in a viseme."""
    weights = np.zeros(len(SPEECH_WEIGHTS))
    for channel, (amount, _) in VISEMES[viseme].items():
        for name in CHANNELS[channel]:
            if name in SPEECH_WEIGHTS:
                weights[SPEECH_WEIGHTS.index(name)] = amount
    if viseme == "PP":  # as the rules do: what the jaw opens, the lips close
        weights[SPEECH_WEIGHTS.index("mouthClose")] = weights[SPEECH_WEIGHTS.index("jawOpen")]
    return weights


_TARGETS = {viseme: _target(viseme) for viseme in VISEMES}


def nearest_viseme(visemes: np.ndarray) -> np.ndarray:
    """The static mouth of the viseme (T,) in which a frame's middle lies: the phonemes are known, coarticulation isn't."""
    return np.stack([_TARGETS[name] for name in visemes])


def names_at_frames(segments: list[Segment], frames: int) -> np.ndarray:
    """The segments' names at the middles of the frames, (T,); `pau` outside."""
    names = np.full(frames, "pau", dtype="<U4")
    middles = (np.arange(frames) + 0.5) / FRAME_RATE
    for start, end, name in segments:
        names[(middles >= start) & (middles < end)] = name
    return names


def aligned_phonemes(decoder, sample: Sample, frames: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Phonemes and visemes (T,) of a filmed clip by forced alignment of its text; None where it can't be aligned,
    or its words' times were never known.

    decoder: of `recordings.make_decoder`.
    """
    if "speaking" not in sample.arrays:
        return None
    spoken = np.flatnonzero(sample.arrays["speaking"])
    start = max(0.0, spoken[0] / FRAME_RATE - MARGIN_S)
    end = (spoken[-1] + 1) / FRAME_RATE + MARGIN_S
    rate = SAMPLE_RATE
    try:
        phones, _ = align(decoder, sample.audio[round(start * rate): round(end * rate)], sample.facts["text"])
    except ValueError:
        return None
    phones = [(a + start, b + start, name) for a, b, name in phones]
    visemes = names_at_frames(viseme_segments(phones), frames)
    visemes[visemes == "pau"] = "sil"
    return names_at_frames(phones, frames), visemes
