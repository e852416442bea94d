"""Can the eight emotions be told apart? A small classifier learns them from the TRUE motion of other people, and is asked about
true motion of people that it hasn't seen, and about ours.

It sees a clip's mean landmarks over its neutral face (`clips.mean_face`): multinomial logistic regression (softmax) on 136
numbers. Level 3 alone, and neutral.
"""
from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from atl_evaluation.metrics.statistics import RESAMPLES
from atl_face.align import CropTransform
from atl_face.emotion import LABELS, Expression
from atl_training.figures import rounded, spread
from atl_training.landmarks.report.clips import DraftClip, Stage, mean_face
from atl_training.shards import Sample

LEVEL = 3  # MEAD's strongest
DECAY = 1e-3  # L2 on the weights: 136 numbers, a thousand clips
STEPS = 200  # of L-BFGS: converged


def is_strong(emotion: str, level: int) -> bool:
    """Whether a clip shows its emotion at LEVEL, or is neutral."""
    return emotion == "neutral" or level == LEVEL


def example_of(sample: Sample) -> tuple[str, np.ndarray]:
    """Label and mean face of a clip of the studio's."""
    return sample.facts["emotion"], mean_face(sample.arrays["landmarks"], sample.arrays["neutral"])


class Classifier:
    """Softmax regression on standardised mean faces; every emotion counts alike, however many clips it has."""

    def __init__(self, examples: list[tuple[str, np.ndarray]]):
        faces = np.stack([face.ravel() for _, face in examples])
        self._middle, self._spread = faces.mean(0), faces.std(0) + 1e-9
        x, y = self._seen(faces), torch.tensor([LABELS.index(label) for label, _ in examples])
        counts = torch.bincount(y, minlength=len(LABELS)).double().clamp(min=1)
        self._net = torch.nn.Linear(x.shape[1], len(LABELS), dtype=torch.float64)
        torch.nn.init.zeros_(self._net.weight), torch.nn.init.zeros_(self._net.bias)
        optimiser = torch.optim.LBFGS(self._net.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss():
            optimiser.zero_grad()
            error = torch.nn.functional.cross_entropy(self._net(x), y, weight=1 / counts)
            (error + DECAY * self._net.weight.square().sum()).backward()
            return error

        optimiser.step(loss)

    def __call__(self, faces: list[np.ndarray]) -> list[str]:
        """The labels of mean faces (68, 2)."""
        with torch.inference_mode():
            answers = self._net(self._seen(np.stack([face.ravel() for face in faces]))).argmax(1)
        return [LABELS[i] for i in answers]

    def _seen(self, faces: np.ndarray) -> torch.Tensor:
        return torch.from_numpy((faces - self._middle) / self._spread)


def emotions(stage: Stage, examples: list[tuple[str, np.ndarray]], clips: list[DraftClip], most: int) -> dict:
    """How well emotions are recognised in `true` and `generated` motion (see `_recognised`); `ratio`, the latter's accuracy
    over the former's, %, and `ratio_interval` (see `interval_of_ratio`).

    Args:
        examples: of training people. clips: held-out ones; the sound of at most so many is spoken with every emotion.
    """
    classifier = Classifier(examples)
    strong = [clip for clip in clips if is_strong(clip.emotion, clip.level)]
    true = _answers(classifier, [(clip.emotion, clip.moved) for clip in strong])
    made = _answers(classifier, list(_generated(stage, spread(clips, most))))
    result = {"examples": len(examples), "true": _recognised(true), "generated": _recognised(made)}
    result["ratio"] = round(100 * result["generated"]["accuracy"] / result["true"]["accuracy"], 1)
    result["ratio_interval"] = interval_of_ratio(true, made)
    return result


def interval_of_ratio(true: list[tuple[str, str]], made: list[tuple[str, str]], seed: int = 0) -> list[float | None]:
    """The 95 % percentile bootstrap interval of `ratio`, %: ends [low, high], None where a true accuracy of 0 is drawn too often.

    Clips are drawn, as everywhere: true ones within their emotion, since emotions count alike; generated ones with all the
    emotions that their sound was spoken with. Where every answer is right it has no width, however few the clips.

    Args:
        true, made: (label, answer) of every case; the latter's clip by clip, with each of `LABELS` once.
    """
    rng = np.random.default_rng(seed)
    right = np.array([label == answer for label, answer in made]).reshape(-1, len(LABELS)).mean(1)
    drawn = _redrawn(rng, right)
    by_label = [np.array([label == answer for label, answer in true if label == one]) for one in LABELS]
    truth = np.mean([_redrawn(rng, group) for group in by_label if len(group)], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return [rounded(end, 1) for end in np.percentile(100 * drawn / truth, [2.5, 97.5])]


def _redrawn(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Means (RESAMPLES,) of as many values, drawn with replacement."""
    return values[rng.integers(len(values), size=(RESAMPLES, len(values)))].mean(1)


def _generated(stage: Stage, clips: list[DraftClip]) -> Iterator[tuple[str, np.ndarray]]:
    for clip in tqdm(clips, desc="emotions"):
        neutral = CropTransform.from_landmarks(clip.neutral).to_crop(clip.neutral)
        for label in LABELS:
            faces = stage.faces(clip.sound, neutral, Expression(label=label, intensity=1.0, level=LEVEL))
            yield label, mean_face(faces, neutral)


def _answers(classifier: Classifier, cases: list[tuple[str, np.ndarray]]) -> list[tuple[str, str]]:
    """(label, answer) of cases (label, mean face)."""
    return list(zip([label for label, _ in cases], classifier([face for _, face in cases]), strict=True))


def _recognised(answers: list[tuple[str, str]]) -> dict:
    """`accuracy`: mean over the emotions that occur; `confusion`: emotion -> {answer: share}, %."""
    confusion = {}
    for label in LABELS:
        mine = [answer for true, answer in answers if true == label]
        if mine:
            confusion[label] = {other: round(100 * mine.count(other) / len(mine), 1) for other in LABELS if other in mine}
    recalls = [row.get(label, 0.0) for label, row in confusion.items()]
    return {"cases": len(answers), "accuracy": round(float(np.mean(recalls)), 2), "confusion": confusion}
