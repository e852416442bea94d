"""Do the lips meet for /m b p/, and only then?"""
import numpy as np

from atl_face.topology import CLOSED_LIP_GAP

LABIAL = ("m", "b", "p")
STRICT_GAP = CLOSED_LIP_GAP / 2  # eye distances: 1.3 mm, what a viewer would call shut without doubt
OPEN_GAP = 2 * CLOSED_LIP_GAP  # eye distances: clearly open


def closures(true_gaps: list[np.ndarray], made_gaps: list[np.ndarray], phonemes: list[np.ndarray]) -> dict[str, float]:
    """Figures over the frames of all clips, %.

    Args:
        true_gaps, made_gaps: lip gaps (T,) by clip, eye distances. phonemes: names (T,).

    Returns:
        `closed`: of the frames of /m b p/ in which the true lips are closed (below CLOSED_LIP_GAP), those where the made ones are
        too; `closed_strict`: below STRICT_GAP, both; `sounds`: of the sounds with such a frame, those with at least one closed
        made one; `false`: of the spoken frames with truly open lips (above OPEN_GAP), those that were made closed; `frames`:
        how many closed ones there are.
    """
    a, b, said = np.concatenate(true_gaps), np.concatenate(made_gaps), np.concatenate(phonemes)
    labial = np.isin(said, LABIAL)
    shut, tight = labial & (a < CLOSED_LIP_GAP), labial & (a < STRICT_GAP)
    opened = (said != "pau") & (a > OPEN_GAP)
    return {"closed": _percent(b < CLOSED_LIP_GAP, shut), "closed_strict": _percent(b < STRICT_GAP, tight),
            "sounds": _of_sounds(true_gaps, made_gaps, phonemes), "false": _percent(b < CLOSED_LIP_GAP, opened),
            "frames": int(shut.sum())}  # fmt: skip


def _of_sounds(true_gaps: list[np.ndarray], made_gaps: list[np.ndarray], phonemes: list[np.ndarray]) -> float | None:
    met = []
    for a, b, said in zip(true_gaps, made_gaps, phonemes, strict=True):
        begins = np.flatnonzero(np.r_[True, said[1:] != said[:-1]])
        for start, end in zip(begins, [*begins[1:], len(said)], strict=True):
            if said[start] in LABIAL and (a[start:end] < CLOSED_LIP_GAP).any():
                met.append((b[start:end] < CLOSED_LIP_GAP).any())
    return round(100 * float(np.mean(met)), 2) if met else None


def _percent(what: np.ndarray, where: np.ndarray) -> float | None:
    return round(100 * float(what[where].mean()), 2) if where.any() else None
