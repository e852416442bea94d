"""The part of docs/results.md about the renderer by itself, from docs/renderer.json (atl_training.renderer.report)."""
from landmarks_page import OURS, mixed, number
from tables import spread, table

FROM_TRUE, POSED = "true landmarks", "sound, true head pose"  # what drives, as atl_training.ways calls it
DRAWN, WARPED, STILL = f"ours from {FROM_TRUE}", f"warp only from {FROM_TRUE}", "still portrait"
SPOKEN = f"ours from {POSED}"

INTRODUCTION = """
## Landmarks to frames

`python -m atl_training.renderer.report --grid grid_looks --corpus corpus --turns corpus_turn --folder FOLDER --portraits
PICTURES --clips 9 --out docs/renderer.json`, then `--only grid --clips 89`: all of GRID's that are held out. The driving
landmarks of film are the mean of four looks at each frame (`atl_training.loaders.looks`); driven by those of one look, as
the film is loaded at first, ours has 35.3 dB on GRID, without a filter 34.5, mouth 35.1 (throwaway script). The corpus is
of `atl-corpus make --identities 100 --clips 1`, of which only the held-out people were made. The default renderer as it
runs ({runtime}, {steps} evaluation a frame), whole frames, paste-back included. Means over clips with 95 % bootstrap
intervals (of 9 clips too narrow, see above: where one ends near 0, the gain is not sure); gains are paired by clip. A
clip's first frame is its portrait and isn't judged.

Pictures are judged in a square around the face, fixed over the clip, resized to 128 px with area interpolation: its side is
1.4 times the height of FaceMesh's box (hairline to chin) in the first frame, as in the prototype whose figures the aims
come from. Resized without a filter, as that prototype's call of OpenCV really does it, the square has less ("Squares taken
otherwise", below; beside it a closer square, 1.4 times the height of the 68 landmarks, brows to chin, in which this page
judged until commit 6e1f8d4). Film is judged as the loaders store it: cut, enlarged to 320 px and encoded again (H.264, crf
17), in truth and portrait alike. Of GRID's squares one reaches .35 % beyond the stored picture, two of the synthetic
people's up to 5.8 %: there its edge goes on. Drawn onto the film itself (GRID's 360x288 px), its 89 clips have 35.6 dB, .97
and 34.9 dB in the mouth, without a filter 35.0, .97 and 34.6; sharpness .91 and .89 where it is .94 here (throwaway
script). SSIM is of luma. The mouth's box is `atl_face.topology.mouth_box`, tighter than the prototype's; sharpness is the
mean ratio of Laplacian energies in it. What the mouth's network draws is sharpened (`renderer.SHARPEN`), by as much as this
measure wanted on GRID's training clips in the closer square; at the film's own size its sharpness is lower ("Clips made
anew", above). "Outside" is everything in the square but mouth and eyes. Lip gaps of frames are mediapipe's, which also
found the driving landmarks of film: that flatters r.

What GRID's squares lack in PSNR is the shoulders': in the closer square, with the networks before (34.5 dB), half of the 89
clips had more than 35.1, the worst eight 30 to 31. There he sways, collar and neck go half a pixel to two otherwise than
the head, and no landmark tells: ridge regressions of that way on the head's place, size and turn, and slow averages of
them, explain a quarter of its variance across and none down, in clips that they weren't fitted to (throwaway scripts).

### What was asked, and what is
"""

SET = """
### {title}: {clips} clips, {people} {who}
"""

TITLES = {"grid": "GRID, clips of a real man that no training saw", "corpus": "Synthetic people that no training saw",
          "folder": "Film of people that no training saw (nine more of GRID's speakers, in the same studio)"}  # fmt: skip
KEPT_OF = {"grid": "GRID", "folder": "strangers' film", "corpus": "synthetic people"}
COLUMNS = {"PSNR, dB": "psnr", "SSIM": "ssim", "PSNR mouth": "psnr_mouth", "SSIM mouth": "ssim_mouth",
           "sharpness mouth": "sharpness_mouth", "lip-gap r": "gap_correlation", "amplitude": "gap_amplitude",
           "skin's flicker": "skin_flicker"}  # fmt: skip
AREAS = ("mouth", "eyes", "face", "around")
SQUARES = {"as above": "psnr", "the same, resized without a filter": "psnr_bilinear", "closer, resized by area": "psnr_close"}
GAINS = {"PSNR, dB": "psnr", "SSIM": "ssim", "PSNR mouth, dB": "psnr_mouth", "SSIM mouth": "ssim_mouth"}

GAINED = "What ours gains on the warp alone; from sound, on the still mouth in the same pose:\n"

WHERE = """
Where it is lost, from the true landmarks: PSNR by area, and the area's share of the squared error. "Face" is the rest of the
landmarks' hull, "around" what lies beyond: forehead, hair, ears, neck, background.
"""

OTHERWISE = """
Squares taken otherwise, PSNR, dB:
"""

STEADY = """
Steadiness on GRID, from the true landmarks. Skin's flicker: mean difference in luma from a frame to the next on nose and upper
cheeks, between frames in which the true face hardly moves (grey levels; ours is {flicker_ratio} times the truth's). Seams, mean
gradients in grey levels a pixel where what is drawn fades out (a visible edge would make more than 100 %): at the crop's edge,
where what is repainted ends, ours adds {seam_crop} to the warp and has {edge_crop} % of its {texture_crop}; farther out, into the
portrait, the difference from it has {seam_paste}, and the frame {edge_paste} % of its {texture_paste}; around the mouth's view,
ours adds {seam_mouth} and has {edge_mouth} % of the warp's {texture_mouth}.
"""

KEPT = """
What the network leaves alone: {shares} of the crop's pixels are the warp's own, give or take one grey level (from the true
landmarks; where its flow moves something that shows, they aren't).
"""

STRANGERS = """
### Portraits of {people} real people that no training saw

Official portraits, grey, 200x250 px, most of them smiling with teeth, held out by name; one held-out GRID sentence, driven by the
sound. Verified: dlib's distance to the portrait is at most 0.38, every third frame; a frame in which it sees no face counts as
failed. Floor: the portrait's distance to itself, blurred by a pixel. Impostors: {impostors} other portraits. Lip gaps of frames
are what mediapipe sees in them; amplitude is the ratio of standard deviations.
"""
STRANGER_COLUMNS = {"verified, %": "identity_verified", "distance": "identity_distance", "floor": "floor",
                    "impostors that pass, %": "impostors_verified", "nearest impostor": "impostor_nearest",
                    "lip-gap r against driving": "r", "amplitude": "amplitude",
                    "frames untouched where no face is drawn, %": "outside_untouched"}  # fmt: skip

SILENCE = """
Silence, the shipped portrait, 30 s each:
"""

LONG = """
{minutes:g} minutes of the default portrait ({frames} frames, the temporal state carried through): the cosine of the mean
embeddings of the last minute and the first is {similarity} (different people average 0.84), their distance {distance} (another
person: 0.38); the minutes' mean frames differ by {picture} grey levels, and {verified_last} % of the last minute's are verified.
The networks remember three frames, and their noise is kept: nothing can add up but in the landmarks.
"""

TURNED = """
The default portrait's head turned by every 5 degrees of yaw and pitch within 20 ({poses} poses, {near} of which are turned by no
more than 20 degrees about whatever axis), mouth shut; dlib's verdict:
"""

TURNS = """
### Turned heads: synthetic people that no training saw, {clips} clips, {people} people

`--turns corpus_turn`, which `atl-corpus make --turn 30` made: heads turn as far as 30 degrees about each axis. By how far from
the first frame, which is the portrait (about any axis), every third frame, from the true landmarks; verified against the
portrait, so that the row "ground truth" tells what a turn alone costs.
"""
TRUTH = "ground truth"
TURN_ROWS = TRUTH, WARPED, DRAWN
TURNS_ASKED = 3  # of the bins: those up to 20 degrees


def renderer_section(figures: dict) -> str:
    """Markdown of the whole section; what wasn't measured is left out."""
    if not figures:
        return ""
    networks = {key: value for key, value in figures.items() if key not in ("runtime", "steps")}
    parts = [INTRODUCTION.format(**figures), *mixed(networks), table(["", "aim", "is", ""], aims(figures))]
    for name, title in TITLES.items():
        if told := figures.get(name):
            who = "person" if told["people"] == 1 else "people"
            parts += [SET.format(title=title, who=who, **told), *set_tables(told)]
    if "grid" in figures:
        parts.append(STEADY.format(**{key: spread(value) for key, value in figures["grid"]["steady"].items()}))
    if kept := [f"{spread(figures[name]['steady']['kept'])} % ({of})" for name, of in KEPT_OF.items()
                if "kept" in figures.get(name, {}).get("steady", {})]:  # fmt: skip
        parts.append(KEPT.format(shares=", ".join(kept)))
    if told := figures.get("portraits"):
        rows = [[name, *(spread(row[key]) for key in STRANGER_COLUMNS.values()), row["worst_verified"], row["worst_r"]]
                for name, row in told["rows"].items()]  # fmt: skip
        parts += [STRANGERS.format(**told), table(["", *STRANGER_COLUMNS, "worst verified, %", "worst r"], rows)]
    if told := figures.get("silence"):
        rows = [[name, row["closed_landmarks"], row["closed_seen"], row["blinks_a_minute"]] for name, row in told.items()]
        parts += [SILENCE, table(["", "mouth closed (landmarks)", "mouth closed (seen)", "blinks a minute"], rows)]
    if told := figures.get("drift"):
        parts.append(LONG.format(**told))
    if told := figures.get("turned"):
        rows = [[name, *(found[key] for found in (row["near"], row) for key in ("verified", "distance"))]
                for name, row in told["rows"].items()]  # fmt: skip
        head = ["", "within 20°: verified, %", "mean distance", "all: verified, %", "mean distance"]
        parts += [TURNED.format(**told), table(head, rows)]
    if told := figures.get("turns"):
        rows = [[f"{turn['from']}°" + (f" to {turn['to']}°" if turn["to"] < 90 else " and more"), turn["clips"], turn["frames"],
                 _bold(way), *(spread(turn["rows"][way][key])
                               for key in ("psnr", "psnr_mouth", "identity_verified", "identity_distance"))]
                for turn in told["turns"] if turn["rows"] for way in TURN_ROWS]  # fmt: skip
        head = ["turned by", "clips", "frames", "", "PSNR, dB", "PSNR mouth, dB", "verified, %", "distance"]
        parts += [TURNS.format(**told), table(head, rows)]
    return "\n".join(parts)


def aims(figures: dict) -> list[list[object]]:
    """Rows what, aim, figure, met or not met; only of what was measured."""
    rows = []

    def aim(what: str, wanted: str, figure: list[float | None], unit: str = "", *, least=float("-inf"), most=float("inf")):
        """figure: mean, low and high end; the mean is asked."""
        value = figure[0]
        met = value is not None and least <= value <= most
        rows.append([what, wanted, None if figure[0] is None else spread(figure) + unit, "met" if met else "**not met**"])

    if told := figures.get("grid"):
        _of_grid(aim, told)
    if told := figures.get("corpus"):
        aim("mouth PSNR above the warp alone, unseen synthetic people", "≥ 1.5 dB", told["gains"][FROM_TRUE]["psnr_mouth"], " dB",
            least=1.5)  # fmt: skip
    for what in ("PSNR, dB", "SSIM", "PSNR mouth, dB") if "folder" in figures else ():
        aim(f"{what}, above the warp alone, unseen real people", "> 0",
            figures["folder"]["gains"][FROM_TRUE][GAINS[what]], least=1e-9)  # fmt: skip
    if told := figures.get("portraits"):
        ours = told["rows"][OURS]
        aim("frames of unseen portraits that are verified", "≥ 99 %", ours["identity_verified"], " %", least=99)
        aim("lip-gap r against the driving landmarks, unseen portraits", "≥ 0.9", ours["r"], least=0.9)
    if told := figures.get("grid"):
        _of_steadiness(aim, told["steady"])
        aim("no seam: gradient where what is repainted ends, of the warp's there", "≤ 102 % (our reading)",
            told["steady"]["edge_crop"], " %", most=102)  # fmt: skip
        aim("… where the mouth's view ends", "≤ 102 % (our reading)", told["steady"]["edge_mouth"], " %", most=102)
    if told := figures.get("turned"):
        aim(f"default portrait turned by up to 20°, {told['near']} poses: verified", "≥ 99 % (our reading of: holds)",
            [told["rows"][OURS]["near"]["verified"], None, None], " %", least=99)  # fmt: skip
    for turn in figures.get("turns", {}).get("turns", [])[:TURNS_ASKED]:
        true, ours = (turn["rows"][way]["identity_verified"][0] for way in (TRUTH, DRAWN))
        aim(f"unseen synthetic people turned by {turn['from']}° to {turn['to']}°, {turn['clips']} clips: mean share of our "
            "frames that is verified, in % of the true frames' mean share", "≥ 95 % (our reading of: holds)",
            [100 * ours / true, None, None], " %", least=95)  # fmt: skip
    if told := figures.get("drift"):
        what, asked = f"dlib similarity of minute {told['minutes']:g} to minute 1", "≥ 0.99 for minute 10"
        if told["minutes"] >= 10:
            aim(what, asked, [told["similarity"], None, None], least=0.99)
        else:  # a shorter run says nothing of minute 10
            rows.append([what, asked, f"{told['similarity']:.5f}", "**not measured** (shorter)"])
    return rows


def _of_grid(aim, told: dict) -> None:
    ours, gains = told["rows"][DRAWN], told["gains"]
    aim("PSNR, GRID, true landmarks", "≥ 35 dB", ours["psnr"], " dB", least=35)
    aim("the same, resized without a filter, as the prototype does", "≥ 35 dB", ours["psnr_bilinear"], " dB", least=35)
    aim("SSIM, GRID, true landmarks", "≥ 0.96", ours["ssim"], least=0.96)
    aim("mouth PSNR, GRID, true landmarks", "≥ 34.5 dB", ours["psnr_mouth"], " dB", least=34.5)
    aim("… above the warp alone", "≥ 2 dB", gains[FROM_TRUE]["psnr_mouth"], " dB", least=2)
    aim("mouth sharpness, GRID, of the truth's", "0.9 to 1.1", ours["sharpness_mouth"], least=0.9, most=1.1)
    aim("mouth PSNR above the still mouth in the same pose, GRID, sound", "≥ 1 dB", gains[POSED]["psnr_mouth"], " dB", least=1)
    aim("lip-gap r, GRID, sound", "≥ 0.8", told["rows"][SPOKEN]["gap_correlation"], least=0.8)


def _of_steadiness(aim, told: dict) -> None:
    aim("flicker of static skin, GRID, of the truth's", "≤ 1.3", told["flicker_ratio"], most=1.3)
    aim("mouth motion, GRID, of the truth's amplitude", "≥ 85 %", [None if v is None else 100 * v for v in told["gap_amplitude"]],
        " %", least=85)  # fmt: skip


def _bold(way: str) -> str:
    return f"**{way}**" if way.startswith(OURS) else way


def set_tables(told: dict) -> list[str]:
    """A set's figures by way, what ours gains, and where it is lost."""
    rows = told["rows"]
    lines = [[_bold(way), *(spread(row[key]) for key in COLUMNS.values())]
             for way, row in rows.items()]  # fmt: skip
    gained = [[f"from {driver}", *(spread(row[key]) for key in GAINS.values())] for driver, row in told["gains"].items()]
    areas = [[way, spread(rows[way]["psnr_outside"]), *(f"{spread(rows[way][f'psnr_{area}'])}; "
              f"{number(rows[way][f'error_{area}'][0])} %" for area in AREAS)] for way in (STILL, WARPED, DRAWN)]  # fmt: skip
    squares = [[way, *(spread(rows[way][key]) for key in SQUARES.values())] for way in (STILL, WARPED, DRAWN)]
    return [table(["", *COLUMNS], lines), GAINED, table(["", *GAINS], gained), WHERE,
            table(["", "outside, dB", *(f"{area}: dB; error" for area in AREAS)], areas),
            OTHERWISE, table(["", *SQUARES], squares)]  # fmt: skip
