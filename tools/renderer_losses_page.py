"""The part of docs/results.md about what the renderer's losses are worth, from docs/renderer_losses.json
(atl_training.renderer.loss_arms)."""
from tables import spread, table

TITLES = {
    "before": "the shipped weights, before", "base": "goes on as it was trained", "no-critic": "without the patch critic",
    "perceptual": "and a perceptual loss, {weight}", "perceptual-strong": "and a perceptual loss, {weight}",
    "perceptual-alone": "a perceptual loss, {weight}, without the patch critic",
    "lips": "and a sync expert's view of the lips, {weight}",
    "identity": "and an identity loss, {weight}",
}

INTRODUCTION = """
### Losses

From the shipped weights every arm goes on for {steps} steps ({frames} frames; `python -m
atl_training.renderer.loss_arms`, its `--data` {packs}, drawn from in shares of {shares}), with another loss each; the moving
average of its weights is judged on held-out segments as above. "Goes on as it was trained" tells what the steps alone do: the
others are to be compared with it, not with the weights before. One seed.

- The patch critic: pix2pixHD's kind, on the mouth's view ("and", below: beside it).
- A perceptual loss: LPIPS's recipe on the first three blocks of HED's VGG-16. "Perceptual" in the tables is the same network's
  distance (all five blocks): an arm with that loss is judged by what it was taught.
- A sync expert's view of the lips: another training of the expert than the one that judges (other seed, other corpus, the same
  kind and GRID's film) sees three drawn frames as it sees the true ones. "Sync" is the judging expert's confidence in whole
  frames of {clips} held-out GRID clips, from the true landmarks, mean and 95 % interval.
- An identity loss: a critic that learns along whose portrait a frame belongs to (InfoNCE). "Identity" is dlib's distance of a
  drawn face to the true frame's, which took no part.

None of the others is worth its price here: beside "goes on as it was trained" none gains more than .15 dB or .005 of sync on a
set, what the lips' expert gains on one it loses on another, the perceptual loss comes nearer by 1 to 3 % to what it was taught
for nearly twice the training, and the identity loss changes nothing (what is drawn is known as the person already). **The
patch critic buys sharpness**: without it mouths have .02 to .05 less of it, and .03 to .24 dB more (film of others: .1 less),
and .01 more sync. It stays. A larger budget, or a network that knows many faces, might tell otherwise.
"""
CLIPS = 12
SHOWN = {"mouth": {"net_mouth_db": ".2f", "net_sharpness": ".2f", "perceptual": ".3f"},
         "face": {"net_db": ".2f", "perceptual": ".3f", "identity": ".3f"}}  # fmt: skip
"""View -> figures of a cell, and how they are written."""


def losses_section(figures: dict) -> str:
    """Markdown of the whole section; nothing without figures."""
    if not figures:
        return ""
    budget = figures["budget"]
    shares = ", ".join(map(str, budget["shares"] or ["their sizes"]))
    parts = [INTRODUCTION.format(steps=budget["steps"], frames=budget["frames"], packs=" ".join(budget["packs"]), shares=shares,
                                 clips=CLIPS)]  # fmt: skip
    for view, title in (("mouth", "The mouth's view"), ("face", "The face's view")):
        rows = {name.split("/")[1]: row for name, row in figures["arms"].items() if name.startswith(f"{view}/")}
        if rows:
            cells = "mouth, dB; sharpness; perceptual" if view == "mouth" else "PSNR, dB; perceptual; identity"
            parts += [f"{title}, by held-out set: {cells}", "", compared(view, rows, budget["packs"])]
    return "\n".join(parts)


def compared(view: str, rows: dict, packs: list[str]) -> str:
    lines = []
    for name, row in rows.items():
        weight = row["options"][-1] if row["options"] else ""
        cells = ["; ".join(format(row["figures"][pack][key], how) for key, how in SHOWN[view].items()) for pack in packs]
        sync = [spread(row["sync"])] if view == "mouth" else []
        lines.append([TITLES[name].format(weight=weight), *cells, *sync, row["minutes"]])
    return table(["", *packs, *(["sync"] if view == "mouth" else []), "minutes of training"], lines)
