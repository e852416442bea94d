"""A run's plots as inline SVG that takes its colours from the page: var(--ink), var(--grid), var(--series-1) to -3.

Every function returns a Plot, or None where none of the rows (see `run_folder`) has what it shows.
"""
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from atl_evaluation.wording import figure

PX = 72  # SVG units an inch
HEIGHT_PX = 250
PX_A_SECOND = 16  # of a plot over time: syllables, four or five a second, can then be told apart
TIME_PX = (640, 4000)  # narrowest and widest of them
HISTOGRAM_PX = 330
BINS = 40
TIME = "media time since the first frame, s"
# Colours that nothing else has, which stand for the page's own; see `_svg`.
INK, GRID, SERIES = "#000001", "#000002", ("#000003", "#000004", "#000005")
PAGE_COLOURS = {INK: "--ink", GRID: "--grid"} | {colour: f"--series-{k + 1}" for k, colour in enumerate(SERIES)}
STYLE = {"svg.fonttype": "none", "font.size": 12, "axes.edgecolor": GRID, "axes.labelcolor": INK, "text.color": INK,
         "xtick.color": INK, "ytick.color": INK, "grid.color": GRID, "axes.grid": True, "axes.axisbelow": True,
         "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.6}  # fmt: skip
MOUTHS = {"gap_real": ("real", SERIES[2], ":"), "gap_driven": ("driven", SERIES[0], "--"),
          "gap_seen": ("rendered", SERIES[1], "-")}  # fmt: skip
STAGES = {"landmark_ms": "landmark stage", "render_ms": "renderer", "latency_ms": "end to end"}
BREAK_S = 0.5  # frames further apart are not joined by a line
NOTICED_MS = (-125, 45)
"""Skews beyond are noticed: a sound that is late by 125 ms or early by 45 (ITU-R BT.1359-1, detectability)."""


@dataclass(frozen=True)
class Plot:
    """title; text: what it shows, in words and figures; svg: the element; width_px: at which its letters are 12 px high."""

    title: str
    text: str
    svg: str
    width_px: int


def mouth(rows: list[dict]) -> Plot | None:
    """Mouth opening over time: real, driven, rendered."""
    series = {key: _column(rows, key) for key in MOUTHS}
    series = {key: values for key, values in series.items() if np.isfinite(values).any()}
    if not series:
        return None

    def draw(axes: Axes) -> None:
        for key, values in series.items():
            name, colour, dashes = MOUTHS[key]
            axes.plot(*_over_time(rows, values), dashes, color=colour, label=name)
        axes.set(xlabel=TIME, ylabel="lip gap, eye distances")
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0)

    means = ", ".join(f"{MOUTHS[key][0]} {np.nanmean(values):.3f}" for key, values in series.items())
    unseen = 0 if "gap_seen" not in series else int(np.isnan(series["gap_seen"]).sum())
    text = f"Mean lip gap: {means} eye distances." + (f" Frames without a face: {unseen}." if unseen else "")
    return _plot("Mouth opening", text, _width_px(np.ptp(_column(rows, "stamp_s"))), draw)


def skew(told: list[tuple[float, float]]) -> Plot | None:
    """Sound-to-picture skew over time, with the band in which it isn't noticed.

    told: s since the first frame, and the skew of the frame that was shown then, ms.
    """
    if not len(told):
        return None
    seconds, values = np.array(told, np.float64).T

    def draw(axes: Axes) -> None:
        axes.axhspan(*NOTICED_MS, color=GRID, alpha=0.3, linewidth=0)
        axes.plot(seconds, values, "o", color=SERIES[0], markersize=4)
        axes.set(xlabel="since the first frame, s", ylabel="skew, ms (+: picture late)")

    low, high = NOTICED_MS
    text = (f"As the display told it once a second: median {np.median(values):.1f} ms, between {values.min():.1f} and "
            f"{values.max():.1f} ms; + is a picture later than its sound. Between {low} and {high} ms (the band) nobody notices "
            "(ITU-R BT.1359-1).")  # fmt: skip
    return _plot("Sound-to-picture skew", text, _width_px(np.ptp(seconds)), draw)


def latencies(rows: list[dict]) -> list[Plot]:
    """A histogram for every stage that was timed."""
    found = []
    for key, stage in STAGES.items():
        values = _column(rows, key)
        values = values[np.isfinite(values)]
        if len(values):
            found.append(_histogram(stage, values))
    return found


def _histogram(stage: str, values: np.ndarray) -> Plot:
    p50, p95, p99, most = np.percentile(values, (50, 95, 99, 100))
    end = min(most, 1.5 * p99)  # one frame that waited would press all others into one bar
    beyond = int(np.sum(values > end))

    def draw(axes: Axes) -> None:
        axes.hist(values[values <= end], bins=BINS, color=SERIES[0])
        for value, dashes in ((p50, "-"), (p95, "--"), (p99, ":")):
            axes.axvline(value, color=INK, linestyle=dashes, linewidth=1)
        axes.set(xlabel="ms (lines: p50, p95, p99)", ylabel="frames")

    text = f"p50 {figure(p50)}, p95 {figure(p95)}, p99 {figure(p99)}, max {figure(most)} ms; frames: {len(values)}" + (
        f", slower than drawn: {beyond}." if beyond else ".")  # fmt: skip
    return _plot(f"Latency: {stage}", text, HISTOGRAM_PX, draw)


def _column(rows: list[dict], key: str) -> np.ndarray:
    """A row's entry by frame, (n,) float64, NaN where there is none."""
    return np.array([np.nan if row.get(key) is None else row[key] for row in rows], np.float64)


def _over_time(rows: list[dict], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the first frame and values, with a hole where frames are far apart or another stream begins."""
    seconds = _column(rows, "stamp_s") - rows[0]["stamp_s"]
    steps = np.diff(seconds)
    holes = 1 + np.flatnonzero((steps > BREAK_S) | (steps < 0))
    return np.insert(seconds, holes, np.nan), np.insert(values, holes, np.nan)


def _width_px(seconds: float) -> int:
    return int(np.clip(PX_A_SECOND * seconds, *TIME_PX))


def _plot(title: str, text: str, width_px: int, draw: Callable[[Axes], None]) -> Plot:
    name = title.lower().replace(" ", "-").replace(":", "")
    with rc_context(STYLE | {"svg.hashsalt": name}):
        canvas = Figure(figsize=(width_px / PX, HEIGHT_PX / PX), dpi=PX, layout="constrained")
        canvas.patch.set_visible(False)
        axes = canvas.add_subplot()
        axes.patch.set_visible(False)
        axes.margins(x=0)
        draw(axes)
        file = StringIO()
        canvas.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return Plot(title, text, _svg(file.getvalue(), name), width_px)


def _svg(written: str, name: str) -> str:
    """The element alone, its ids unlike other plots', colours the page's, no size of its own, hidden from screen readers:
    the caption tells what it shows."""
    start, end = written.index("<svg"), written.index(">", written.index("<svg"))
    box = written[start:end].split('viewBox="')[1].split('"')[0]
    body = written[end:]
    for mark in (' id="', 'xlink:href="#', "url(#"):
        body = body.replace(mark, f"{mark}{name}-")
    for colour, variable in PAGE_COLOURS.items():
        body = body.replace(colour, f"var({variable})")
    return f'<svg viewBox="{box}" aria-hidden="true"{body}'
