"""A second opinion on shards: does mediapipe find the faces, and does it see the landmarks where the shard has them?

    atl-corpus check SHARDS... --out check.json

Errors are distances in the picture plane, in % of the true eye distance. mediapipe defines its points a little differently
(atl_face.detect), so each point is off by the same vector everywhere: "without bias" takes away each point's mean offset over
all clips, measured along and across the line of the eyes. "still" is the baseline: the clip's mean landmarks, a truth that
never moves, against what mediapipe sees. Landmarks of recorded clips are mediapipe's own: there the check says nothing new.
"""
import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from atl_evaluation.metrics.tracking import track
from atl_face.errors import UserError
from atl_face.topology import JAW, LEFT_OUTER_CANTHUS, MOUTH, NOSE, RIGHT_OUTER_CANTHUS, lip_gap
from atl_training.card import looks
from atl_training.shards import Sample, read_shards

PARTS = {"all": slice(0, 68), "mouth": MOUTH, "eyes": slice(36, 48), "brows": slice(17, 27), "jaw": JAW, "nose": NOSE}
TRUTHS = ("truth", "truth without bias", "still", "still without bias")
AT_LEAST_FOUND = 99.5  # %, an aim, as the next are
AT_MOST_ERROR = {"all": 3.5, "mouth": 2.0}  # % of the eye distance
WORST = 10


@dataclass
class Judged:
    """What mediapipe saw in one clip.

    Attributes:
        groups: the groups that it falls into, by trait.
        frames: judged; in m of them a face was found.
        offsets: (2, m, 68, 2) seen minus truth and seen minus still, eye distances along and across the line of the eyes;
            float16, 10 MB for an hour of clips, because the bias is known only when all clips are seen.
        gap: sums of products (truth seen, truth truth, seen seen) of the lip gap about the clip's means.
    """

    key: str
    groups: dict[str, str]
    frames: int
    offsets: np.ndarray
    gap: np.ndarray

    @property
    def found(self) -> int:
        return self.offsets.shape[1]

    def errors(self, bias: np.ndarray) -> np.ndarray:
        """Sums over frames of each point's distance, (4, 68) in the order of TRUTHS."""
        offsets = self.offsets.astype(np.float32)
        both = np.stack([offsets, offsets - bias], axis=1)  # (2, 2, m, 68, 2)
        return np.linalg.norm(both, axis=-1).sum(2).reshape(len(TRUTHS), 68)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `atl-corpus check`."""
    parser.add_argument("shards", type=Path, nargs="+", help="shards, or folders of them; drafts are left out")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--every", type=int, default=5,
                        help="judge every n-th frame: neighbours are alike, and each takes 6 ms (%(default)s)")  # fmt: skip


def run(options: argparse.Namespace) -> int | None:
    """Print the report and write it as JSON; returns 1 where an aim is missed. Raises UserError without rendered clips."""
    if options.every < 1:
        raise UserError("--every must be 1 or more.")
    result = check(read_shards(options.shards), options.every)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(told(result))
    return None if all(aim["met"] for aim in result["aims"].values()) else 1


def check(samples: Iterable[Sample], every: int) -> dict:
    """The report: aims, figures over all clips and by group, each point's bias, the worst clips."""
    rendered = (sample for sample in samples if sample.video is not None)
    clips = [judge(sample, every) for sample in tqdm(rendered, unit=" clips", desc="check", disable=None)]
    if not clips:
        raise UserError("There are only drafts in the shards, nothing to look at; render some clips.")
    found = sum(clip.found for clip in clips)
    bias = sum(clip.offsets[0].sum(0, dtype=np.float64) for clip in clips) / max(found, 1)  # (68, 2)
    overall = figures(clips, bias)
    worst = sorted(clips, key=lambda clip: -_error(clip, bias))[:WORST]
    return {
        "every": every, "aims": aims(overall), "overall": overall,
        "groups": {name: figures(members, bias) for name, members in sorted(_members(clips).items())},
        "worst": [{"key": clip.key} | figures([clip], bias) for clip in worst],
        "bias_percent": (100 * bias).round(2).tolist(),
    }  # fmt: skip


def judge(sample: Sample, every: int) -> Judged:
    """Compare a clip's landmarks with mediapipe's in every n-th frame."""
    truth = sample.arrays["landmarks"].astype(np.float64)
    seen = track(sample.frames()[: len(truth) : every])
    still = truth.mean(0)
    numbers = np.flatnonzero(np.isfinite(seen).all((1, 2)))
    there, points = truth[::every][numbers], seen[numbers]
    offsets = np.stack([by_eyes(points - there, there), by_eyes(points - still, there)]).astype(np.float16)
    gaps = np.stack([lip_gap(there), lip_gap(points)])
    gaps -= gaps.mean(1, keepdims=True) if len(numbers) else 0
    (tt, ts), (_, ss) = gaps @ gaps.T
    return Judged(sample.key, _groups(sample.facts), len(seen), offsets, np.array([ts, tt, ss]))


def by_eyes(offsets: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Offsets (m, 68, 2 or 3) px as (m, 68, 2) in eye distances along and across the line of the true eyes (m, 68, 3)."""
    line = truth[:, LEFT_OUTER_CANTHUS, :2] - truth[:, RIGHT_OUTER_CANTHUS, :2]
    along = line / np.sum(line**2, axis=-1, keepdims=True)  # unit vector over eye distance
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    return np.einsum("maj,mpj->mpa", np.stack([along, across], axis=1), offsets[..., :2])


def _groups(facts: dict) -> dict[str, str]:
    age = facts.get("age")
    known = {} if age is None else {"age": "< 14" if age < 14 else "14-60" if age <= 60 else "> 60"}
    return known | looks(facts) | {"emotion": facts["emotion"]} | ({"kind": facts["kind"]} if "kind" in facts else {})


def _members(clips: list[Judged]) -> dict[str, list[Judged]]:
    members: dict[str, list[Judged]] = {}
    for clip in clips:
        for trait, group in clip.groups.items():
            members.setdefault(f"{trait} {group}", []).append(clip)
    return members


def _error(clip: Judged, bias: np.ndarray) -> float:
    """What makes a clip worst: its error; without any face, infinite."""
    return clip.errors(bias)[0].mean() / clip.found if clip.found else float("inf")


def figures(clips: list[Judged], bias: np.ndarray) -> dict:
    """Clips, frames, share of faces found; where there are any, errors (%) of TRUTHS by PARTS and the lip gap's
    correlation about each clip's mean (None where it never moves)."""
    frames, found = sum(clip.frames for clip in clips), sum(clip.found for clip in clips)
    result = {"clips": len(clips), "frames": frames, "found_percent": round(100 * found / max(frames, 1), 2)}
    if not found:
        return result
    errors = 100 / found * sum(clip.errors(bias) for clip in clips)
    ts, tt, ss = sum(clip.gap for clip in clips)
    by_part = {truth: {part: round(float(row[points].mean()), 3) for part, points in PARTS.items()}
               for truth, row in zip(TRUTHS, errors, strict=True)}  # fmt: skip
    return result | {"error_percent": by_part, "lip_gap_r": round(ts / np.sqrt(tt * ss), 3) if min(tt, ss) > 1e-9 else None}


def aims(overall: dict) -> dict[str, dict]:
    """Each aim beside what was reached, and whether it is met; the truth's errors count with their bias."""
    found = overall["found_percent"]
    result = {"face found, %": {"aim": AT_LEAST_FOUND, "is": found, "met": found >= AT_LEAST_FOUND}}
    for part, aim in AT_MOST_ERROR.items():
        error = overall.get("error_percent", {}).get("truth", {}).get(part)
        result[f"error, {part}, %"] = {"aim": aim, "is": error, "met": error is not None and error <= aim}
    return result


def told(result: dict) -> str:
    """The report as text: aims, errors by part, groups, worst clips."""
    overall = result["overall"]
    lines = [f"{overall['clips']} clips, {overall['frames']} frames judged (1 in {result['every']})", ""]
    for name, aim in result["aims"].items():
        lines.append(_row(name, (aim["is"], aim["aim"])) + ("   met" if aim["met"] else "   MISSED"))
    lines += ["", _row("error, % of the eye distance", PARTS)]
    lines += [_row(truth, parts.values()) for truth, parts in overall.get("error_percent", {}).items()]
    columns = ("clips", "found", "all", "mouth", "all*", "mouth*", "gap r")
    lines += ["", _row("group (* without bias)", columns)]
    lines += [_row(name, _columns(group)) for name, group in ({"all clips": overall} | result["groups"]).items()]
    lines += ["", _row("worst clips", columns), *(_row(clip["key"], _columns(clip)) for clip in result["worst"])]
    return "\n".join(lines)


def _columns(row: dict) -> list:
    errors = row.get("error_percent", {})
    cells = [errors.get(truth, {}).get(part) for truth in TRUTHS[:2] for part in AT_MOST_ERROR]
    return [row["clips"], row["found_percent"], *cells, row.get("lip_gap_r")]


def _row(name: str, cells: Iterable) -> str:
    shown = ("-" if cell is None else f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
    return f"{name:<30}" + "".join(f"{cell:>9}" for cell in shown)
