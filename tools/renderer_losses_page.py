"""The part of docs/results.md about what the renderer's losses are worth, from docs/renderer_losses.json
(atl_training.renderer.loss_arms)."""
from tables import spread, table

TITLES = {
    "before": "the shipped weights, before", "base": "goes on with the usual losses", "no-critic": "without the patch critic",
    "perceptual": "and a perceptual loss, {weight}", "perceptual-strong": "and a perceptual loss, {weight}",
    "perceptual-alone": "a perceptual loss, {weight}, without the patch critic",
    "lengths": "segments of four frames, too", "lips": "the same, and a sync expert's view of the lips, {weight}",
    "identity": "and an identity loss, {weight}",
}

INTRODUCTION = """
### Losses

From the shipped weights every arm goes on for {steps} steps ({frames} frames; `python -m
atl_training.renderer.loss_arms`, its `--data` {packs}, drawn from in shares of {shares}), with another loss each; the moving
average of its weights (which holds a sixth of those before) is judged on held-out segments as above. "Goes on with the usual
losses" tells what the steps alone do, and "segments of four frames, too" what the lips' expert needs them for: the others are to
be compared with these, not with the weights before. One seed.

- The patch critic: pix2pixHD's kind, on the mouth's view ("and", below: beside it). It isn't kept with shipped weights: in each
  arm it begins anew and has its say in the last 480 steps.
- A perceptual loss: LPIPS's recipe on the first three blocks of HED's VGG-16. "Perceptual" in the tables is the same network's
  distance (all five blocks): an arm with that loss is judged by what it was taught.
- A sync expert's view of the lips: to another training of the expert than the one that judges (other seed, other corpus, the
  same kind and GRID's film), three drawn frames shall look as the true ones do; in a third of the batches, those of four-frame
  segments. "Sync" is the judging expert's confidence in whole frames of {clips} held-out GRID clips, from the true landmarks,
  mean and 95 % interval.
- An identity loss: a critic that learns along whose portrait a frame belongs to (InfoNCE). "Identity" is dlib's distance of a
  drawn face to the true frame's, which took no part.

None of the new losses is worth its price here. The perceptual one brings mouths nearer by 1 to 3 % to what it was taught and
faces by up to 1 %, gains at most .12 dB, and takes twice the training; the lips' expert, beside the arm with its segments,
gains .002 of sync and loses .16 dB on film of others; the identity loss changes nothing. **The patch critic buys sharpness**:
without it mouths have .02 to .05 less of it, .01 more sync, and .04 to .24 dB more (film of others: .1 less). It stays. A larger
budget, or a network that knows many faces, might tell otherwise.
"""
WEIGHTED = {"perceptual": "--perceptual", "lips": "--lips", "identity": "--identity"}  # arm -> option
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
                                 clips=budget["sync_clips"])]  # fmt: skip
    for view, title in (("mouth", "The mouth's view"), ("face", "The face's view")):
        rows = {name.split("/")[1]: row for name, row in figures["arms"].items() if name.startswith(f"{view}/")}
        if rows:
            cells = "mouth, dB; sharpness; perceptual" if view == "mouth" else "PSNR, dB; perceptual; identity"
            parts += [f"{title}, by held-out set: {cells}", "", compared(view, rows, budget["packs"])]
    return "\n".join(parts)


def compared(view: str, rows: dict, packs: list[str]) -> str:
    lines = []
    for name, row in rows.items():
        weight = dict(zip(row["options"], row["options"][1:], strict=False)).get(WEIGHTED.get(name.split("-")[0]))
        cells = ["; ".join(format(row["figures"][pack][key], how) for key, how in SHOWN[view].items()) for pack in packs]
        sync = [spread(row["sync"])] if view == "mouth" else []
        lines.append([TITLES[name].format(weight=weight), *cells, *sync, row["minutes"]])
    return table(["", *packs, *(["sync"] if view == "mouth" else []), "minutes of training"], lines)
