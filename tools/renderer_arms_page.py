"""The part of docs/results.md about what matters in the renderer, from docs/renderer_arms.json (atl_training.renderer.arms)."""
from tables import table

BASE, PAPER = "base", "the paper's way"
TITLES = {
    BASE: "**base: guided noise, warp, rasters, identity at every scale**", "noise-uniform": "noise as strong everywhere",
    "noise-none": "no noise", "no-warp": "no warp: from the portrait as it is", "no-rasters": "no rasters of the landmarks",
    "noise-alone": "neither: landmarks through the noise alone", "pooled": "identity as one vector a scale",
    "no-flow": "no residual flow of the warped portrait", "landmarks-alike": "noise: the mouth's landmarks weigh as all others",
    "no-own": "a plain bridge: further evaluations taught from the truth alone",
    "one-only": "only the first evaluation taught (plain regression from the start state)",
}  # fmt: skip
MOUTH_TITLES = {"mouth": "with the critic (from step 120 on), as it ships", "mouth-no-critic": "without"}
BESIDE = "ours, trained on the same clips for as long"
NOTHING = 0.3  # dB: less than another seed may make

INTRODUCTION = """
### What matters in the renderer: the ablation

`python -m atl_training.renderer.arms --data {packs} --steps {steps} --paper PAPER --paper-steps {beside}
--shards grid_shards --out DIR --json arms.json`: each arm trained anew for
{steps} steps ({frames} frames seen) on the face's view, without the critic, on one thread; judged at one evaluation a frame
on held-out segments with the moving average of its weights. That is a small part of what the shipped networks were trained
for: it compares, and doesn't tell what they reach. The paper's way and the arms down to the residual flow were trained while
the commits from 24bbf81 to b4fdf3b were made, the others in the working copy that became commit c30cca0; nothing of how these
networks learn changed between. The network is the same in all, and so is its time a frame; without the warp 2 ms more are
saved ("Speed").
`pack_grid` is held out by clip, `pack_turn2` by person: the studio's, whose heads turn far ("Turned heads", above). "Against
base" are differences of means over the sets, in dB; {seeds}
"""

ONE_SEED = f"one seed: gaps under {NOTHING} dB mean nothing and are shown as ≈."
SEEDS = f"gaps under {NOTHING} dB are shown as ≈; bases of {{count}} seeds differ by up to {{face}} dB (mouth {{mouth}} dB)."

EVALUATIONS = """
Evaluations a frame: what several of them are worth, and which teaching. The base is taught at all points of the bridge, half of
them begun from its own first answer, which is what its second evaluation will see; the plain bridge is the usual training of a
rectified or bridge process; "only the first" is what a distillation into one evaluation aims at, taught directly. Further
evaluations gain next to nothing, so that there is nothing to distil, and consistency or shortcut objectives were not tried.
"Change" is the mean change from frame to frame, ratio to the truth's: above 1, frames flicker; the noise is
kept from frame to frame, as at run time; none is told where the truth stands still. Milliseconds are of the network alone,
both views, in torch (float32, one thread of {processor}, nothing else running); the shipped runtime is faster, see "Speed".
"""

LIVE = """
The paper's way (`atl_training.renderer.paper`) against ours: both trained on GRID's {recordings} training clips, for about as
long on one thread (hours), and judged on the same {clips} held-out clips of {frames} frames, on the face's view. Ours is the
base above, trained on `{pack}` alone. Milliseconds a frame are in torch on one thread, of ours for both views, networks of the
identity left out. A CPU leaves the paper's network, 35 times as large, quite untrained: this tells what the same quarter of an
hour buys, and nothing of what the paper's own weights can do.
"""

CRITIC = """
The critic, on the mouth's view, where it is used; trained and judged as above, pictures in the view ({shape}). A tie: at this
budget it neither sharpens nor harms. What ships has had it for thousands of steps, of which no run without it exists; that it
pays is not shown.
"""


def arms_section(figures: dict) -> str:
    """Markdown of the whole section; nothing without figures of the base."""
    arms = figures.get("arms", {})
    if BASE not in arms:
        return ""
    budget, packs = figures["budget"], figures["budget"]["packs"]
    parts = [INTRODUCTION.format(packs=" ".join(packs), steps=budget["steps"], frames=budget["frames"], seeds=seeds(arms, packs),
                                 beside=figures.get("paper", {}).get("ours", {}).get("steps"))]  # fmt: skip
    ms = sum(figures["ms_per_evaluation"].values())
    parts += [compared(arms, packs, ms), walked(figures, arms, packs)]
    if told := figures.get("mouth_arms"):
        parts.append(with_critic(told, packs))
    if told := figures.get("paper"):
        parts.append(against_paper(told, ms))
    return "\n".join(parts)


def title(name: str) -> str:
    return TITLES.get(name, name.replace("-", ", "))


def figure_of(row: dict, pack: str, key: str, steps: str = "1") -> float:
    return row["figures"][pack][steps][key]


def mean_gap(row: dict, base: dict, packs: list[str], key: str, steps: str = "1") -> float:
    """dB of a row over the base at as many evaluations, mean over the packs."""
    return sum(figure_of(row, pack, key, steps) - figure_of(base, pack, key, steps) for pack in packs) / len(packs)


def gap(value: float) -> str:
    return f"≈ ({value:+.2f})" if abs(value) < NOTHING else f"**{value:+.2f}**"


def seeds(arms: dict, packs: list[str]) -> str:
    """How much chance makes."""
    bases = [row for name, row in arms.items() if name.startswith(BASE)]
    if len(bases) < 2:
        return ONE_SEED
    spreads = {}
    for where, key in (("face", "net_db"), ("mouth", "net_mouth_db")):
        values = [[figure_of(row, pack, key) for row in bases] for pack in packs]
        spreads[where] = f"{max(max(v) - min(v) for v in values):.2f}"
    return SEEDS.format(count=len(bases), **spreads)


def cells(row: dict, packs: list[str], what: str, steps: str = "1") -> list[str]:
    """For each pack: dB; dB of the mouth; the mouth's sharpness."""
    return [f"{figure_of(row, p, f'{what}_db', steps):.2f}; {figure_of(row, p, f'{what}_mouth_db', steps):.2f}; "
            f"{figure_of(row, p, f'{what}_sharpness', steps):.2f}" for p in packs]  # fmt: skip


def compared(arms: dict, packs: list[str], ms: float) -> str:
    base = arms[BASE]
    rows = [[name, *cells(base, packs, what), None, None, None, None]
            for name, what in (("still portrait", "still"), ("warp alone", "warp"))]  # fmt: skip
    for name, row in arms.items():
        gaps = [None] * 2 if name == BASE else [gap(mean_gap(row, base, packs, key)) for key in ("net_db", "net_mouth_db")]
        rows.append([title(name), *cells(row, packs, "net"), *gaps, round(ms, 1), row["minutes"]])
    head = ["", *(f"{pack}: PSNR; mouth, dB; sharpness" for pack in packs), "against base, dB", "… mouth", "network's ms a frame",
            "minutes of training"]  # fmt: skip
    return table(head, rows)


def with_critic(arms: dict, packs: list[str]) -> str:
    first = next(iter(arms.values()))
    rows = [[name, *cells(first, packs, what), None] for name, what in (("still portrait", "still"), ("warp alone", "warp"))]
    rows += [[MOUTH_TITLES[name], *cells(row, packs, "net"), row["minutes"]] for name, row in arms.items()]
    head = ["", *(f"{pack}: PSNR; mouth, dB; sharpness" for pack in packs), "minutes of training"]
    return CRITIC.format(shape="112 x 96 px") + "\n" + table(head, rows)


def walked(figures: dict, arms: dict, packs: list[str]) -> str:
    """Arms that were judged at more than one evaluation."""
    base, ms = arms[BASE], sum(figures["ms_per_evaluation"].values())
    rows = []
    for name, row in arms.items():
        by_steps = row["figures"][packs[0]]
        for steps in by_steps if len(by_steps) > 1 else ():
            gaps = [gap(mean_gap(row, base, packs, key, steps)) for key in ("net_db", "net_mouth_db")]
            if name == BASE:
                gaps = [None, None]
            changes = [figure_of(row, pack, "change", steps) for pack in packs]
            change = ", ".join("–" if value is None else f"{value:.2f}" for value in changes)
            rows.append([title(name), steps, *cells(row, packs, "net", steps), *gaps, change, round(int(steps) * ms, 1)])
    head = ["", "evaluations", *(f"{pack}: PSNR; mouth, dB; sharpness" for pack in packs),
            "against base at as many, dB", "… mouth", f"change ({', '.join(packs)})", "ms a frame"]  # fmt: skip
    machine = figures["machine"]
    return EVALUATIONS.format(processor=machine["processor"]) + "\n" + table(head, rows)


def against_paper(told: dict, ms: float) -> str:
    ours = told["ours"]
    rows = [[f"**{BESIDE}**", steps, *gains(f), round(int(steps) * ms, 1), ours["steps"], ours["frames"], ours["hours"]]
            for steps, f in ours["figures"].items()]  # fmt: skip
    for steps, f in told["figures"].items():
        rows.append([PAPER, steps, *gains(f), f["ms_per_frame"], f["steps_trained"], f["frames_trained"], f["hours"]])
    head = ["", "evaluations", "PSNR, dB", "… above still", "… above warp", "mouth, dB", "… above still", "… above warp",
            "sharpness mouth", "ms a frame", "steps trained", "frames seen", "hours"]  # fmt: skip
    return LIVE.format(**told) + "\n" + table(head, rows)


def gains(f: dict) -> list[str]:
    """dB and what is gained on the still portrait and on the warp, whole and mouth; sharpness."""
    cells = []
    for where in ("", "_mouth"):
        ours = f[f"net{where}_db"]
        cells += [f"{ours:.2f}", *(f"{ours - f[f'{other}{where}_db']:+.2f}" for other in ("still", "warp"))]
    return [*cells, f"{f['net_sharpness']:.2f}"]
