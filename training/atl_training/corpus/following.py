"""Does replayed motion follow the person who was filmed? The lip gap of drawn clips against that of the film.

    atl-corpus following corpus draft --shards grid_shards --out following.json

A replay lies somewhere in its clip, so the film is slid along it; the baseline is the film of another recording, slid the same.
"""
import argparse
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from atl_face.errors import UserError
from atl_training.shards import Sample, read_shards


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corpus", type=Path, nargs="+", help="shards that `make --motions` wrote")
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="the loaded video that the motions are from")
    parser.add_argument("--out", type=Path, help="JSON file to write")


def run(options: argparse.Namespace) -> None:
    result = follow(read_shards(options.corpus), read_shards(options.shards))
    print(json.dumps(result, indent=1))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


def follow(drawn: Iterable[Sample], filmed: Iterable[Sample]) -> dict:
    """Medians over clips: the gap's correlation with the film's and its standard deviation as a share of the film's.

    Raises:
        UserError: nothing in `drawn` was replayed from `filmed`.
    """
    films: dict[str, list[np.ndarray]] = defaultdict(list)
    for sample in filmed:
        films[sample.facts["text"]].append(sample.arrays["lip_gap"].astype(float))
    texts = list(films)
    own, other, amplitude = [], [], []
    for sample in drawn:
        text = sample.facts["text"]
        if sample.facts.get("motion") != "real" or text not in films:
            continue  # several takes in one clip give no film's text
        gap = sample.arrays["lip_gap"].astype(float)
        stranger = texts[(texts.index(text) + len(texts) // 2) % len(texts)]
        r, share = max(_best(gap, film) for film in films[text])
        own.append(r)
        amplitude.append(share)
        other.append(max(_best(gap, film)[0] for film in films[stranger]))
    if not own:
        raise UserError("No clip was replayed from these films: give a corpus that was made with their motions.")
    medians = {"gap_r": own, "gap_r_of_another_film": other, "gap_amplitude": amplitude}
    return {"clips": len(own)} | {name: round(float(np.median(values)), 3) for name, values in medians.items()}


def _best(gap: np.ndarray, film: np.ndarray) -> tuple[float, float]:
    """The highest correlation of `film` with a stretch of `gap`, and that stretch's standard deviation in the film's."""
    film = film[: len(gap)]
    stretches = sliding_window_view(gap, len(film))
    away = stretches - stretches.mean(1, keepdims=True)
    spread, flat = np.linalg.norm(away, axis=1), film - film.mean()
    scores = away @ flat / np.maximum(spread * np.linalg.norm(flat), 1e-12)
    best = int(scores.argmax())
    return float(scores[best]), float(spread[best] / max(np.linalg.norm(flat), 1e-12))

