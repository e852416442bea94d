"""The studio's basis, corrected by film: what the 28 speech units do to lips and jaw as a tracker of real faces sees them.

    python -m atl_training.landmarks.film_basis --basis studio.npz --film grid_shards --check OTHERS --out face_basis.npz

An average 3D head's units leave out what real lips do (their red gets taller as they open, for one): a filmed mouth's best
weights missed it by .6 to .8 % of the eye distance. Fit the weights, then the units to what is left (ridge regression: units that
the film doesn't use stay as they are), mirrored too, so that faces stay symmetric; again, ROUNDS times. Depth is a tracker's
guess and stays the studio's. Prints how far the fits are off, for the film's held-out clips and for other people.
"""
import argparse
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from atl_face.errors import UserError
from atl_face.topology import MOUTH, SPEECH, SPEECH_WEIGHTS
from atl_landmark_node.face_model import PortraitFace
from atl_training.checkpoint import complete
from atl_training.figures import spread
from atl_training.landmarks.fit import POINTS, closed_neutral, fit_weights, level_to
from atl_training.shards import read_shards, share_alike
from atl_training.tool import run_tool

RIDGE = 0.003  # mean squared weight: .01 leaves people that it never saw 17 % farther off (chosen by them)
ROUNDS = 2  # more bring a tenth each, and units that drift from what their names say
KEPT = "jawOpen", "mouthClose"  # as they are: one undoes the other, as rigs rely on
CLIPS = 62  # of 802 of GRID's first speaker; 4,650 frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--basis", type=Path, required=True, help="that of `atl-corpus basis`")
    parser.add_argument("--film", type=Path, nargs="+", required=True, help="shards of loaded real video")
    parser.add_argument("--check", type=Path, nargs="*", default=[], help="shards of other people, to see how well it fits them")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with np.load(arguments.basis) as data:
        basis, average = data["basis"].astype(np.float64), data["neutral"].astype(np.float64)
    film = [sample for sample in read_shards(arguments.film) if not share_alike(sample.facts)]
    seen = [_levelled(sample) for sample in spread([s for s in film if not s.held_out], CLIPS)]
    if not seen:
        raise UserError("No clip of --film is left to fit to: all are held out, or share-alike.")
    shown = {"held out": [s for s in film if s.held_out]} | {str(path): list(read_shards([path])) for path in arguments.check}
    shown = {name: [_levelled(sample) for sample in samples] for name, samples in shown.items() if samples}
    print("mouth's distance from its film at the best weights, % of the eye distance")
    for done in range(ROUNDS + 1):
        print(f"{done} rounds:", ", ".join(f"{name} {error(clips, basis):.2f}" for name, clips in shown.items()))
        if done < ROUNDS:
            basis = corrected(basis, average, seen)
    with complete(arguments.out) as partial, open(partial, "wb") as file:  # a name would get .npz
        np.savez_compressed(file, basis=basis.astype(np.float32), neutral=average.astype(np.float32))


def corrected(basis: np.ndarray, average: np.ndarray, clips: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """One round: the basis (52, 68, 3) whose speech units explain the clips better.

    Args:
        average: neutral face (68, 3) of the basis.
        clips: neutral faces (68, 3), and film levelled onto them (T, 68, 3).
    """
    mirror = linear_sum_assignment(np.linalg.norm((average * [-1, 1, 1])[:, None] - average, axis=-1))[1]
    other = [SPEECH_WEIGHTS.index(_other_side(name)) for name in SPEECH_WEIGHTS]
    used, owed, frames = 0.0, 0.0, 0
    for neutral, level in clips:
        face = PortraitFace(neutral, basis)
        weights, moved = _fitted(face, level)
        left = face.to_average(moved - np.tensordot(weights, face.basis[SPEECH], 1))
        for w, x in ((weights, left), (weights[:, other], (left * [-1, 1, 1])[:, mirror])):
            used, owed, frames = used + w.T @ w, owed + w.T @ x.reshape(len(x), -1), frames + len(w)
    free = [index for index, name in enumerate(SPEECH_WEIGHTS) if name not in KEPT]
    change = np.linalg.solve(used[np.ix_(free, free)] / frames + RIDGE * np.eye(len(free)), owed[free] / frames)
    basis = basis.copy()
    basis[np.ix_(SPEECH[free], POINTS, [0, 1])] += change.reshape(len(free), 68, 3)[:, POINTS, :2]
    return basis


def error(clips: list[tuple[np.ndarray, np.ndarray]], basis: np.ndarray) -> float:
    """Mean distance of the mouth's points from film at the best weights, in % of the eye distance."""
    off = []
    for neutral, level in clips:
        face = PortraitFace(neutral, basis)
        weights, moved = _fitted(face, level)
        left = (moved - np.tensordot(weights, face.basis[SPEECH], 1))[:, MOUTH, :2] / face.scale
        off.append(np.linalg.norm(left, axis=-1).mean())
    return 100 * float(np.mean(off))


def _fitted(face: PortraitFace, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    moved = level - face.neutral
    return fit_weights(moved, face, SPEECH, POINTS), moved


def _levelled(sample) -> tuple[np.ndarray, np.ndarray]:
    landmarks = sample.arrays["landmarks"].astype(np.float64)
    neutral = closed_neutral(landmarks)
    return neutral, np.stack([level_to(neutral, points) for points in landmarks])


def _other_side(name: str) -> str:
    return name.replace("Left", "*").replace("Right", "Left").replace("*", "Right")


if __name__ == "__main__":
    run_tool(main)
