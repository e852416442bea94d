"""`report.html` of a run: one file that opens without a network and runs no script."""
import base64
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from atl_evaluation import plots
from atl_evaluation.run_folder import flat
from atl_evaluation.verdict import PASSED
from atl_evaluation.wording import bounds, figure
from atl_face.errors import UserError
from atl_face.media import SYNTHETIC_TAG

BASELINES = ("ground truth", "still portrait", "warp only", "detector floor")  # every table's, in this order
PICTURE_PX = 320  # longest side of a picture on the sheet
JPEG_QUALITY = 85  # for looking at; nothing is measured on these


def write_report(path: Path, summary: dict, rows: list[dict], sheet: Iterable[tuple[str, np.ndarray]] = (),
                 worst: Iterable[tuple[str, np.ndarray]] = (), skews: list[tuple[float, float]] = ()) -> None:  # fmt: skip
    """Write the report of a run.

    Args:
        path: where to, an HTML file.
        summary, rows: as `run_folder` describes them, judged.
        sheet: (caption, RGB (H, W, 3) uint8) of frames from all over the run.
        worst: the same of the worst frames; the caption says why.
        skews: live: s since the first frame, and sound-to-picture skew then, ms.

    Raises:
        UserError: it can't be written (`unwritable`).
    """
    try:
        path.write_text(page(summary, rows, sheet, worst, skews), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be written ({error}).", "unwritable") from error


def page(summary: dict, rows: list[dict], sheet=(), worst=(), skews=()) -> str:
    """The report as HTML; arguments as of `write_report`."""
    environment = Environment(loader=PackageLoader("atl_evaluation"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    environment.filters |= {"figure": figure, "bounds": bounds, "flat": flat, "inline": _inline}
    others = [name for metric in summary["metrics"].values() for name in metric.get("baselines") or {} if name not in BASELINES]
    over_time = [plot for plot in (plots.mouth(rows), plots.skew(skews)) if plot] if rows else []
    return environment.get_template("report.html.j2").render(
        s=summary, passed=summary["verdict"] == PASSED, title=Path(summary["bag"]["path"]).name,
        conditions_passed=sum(row["verdict"] == PASSED for row in summary["conditions"]),
        baselines=(*BASELINES, *dict.fromkeys(others)), over_time=over_time, latencies=plots.latencies(rows),
        sheet=list(sheet), worst=list(worst), disclosure=SYNTHETIC_TAG)  # fmt: skip


def _inline(picture: np.ndarray) -> Markup:
    """The address of a picture that holds the picture itself."""
    shrink = min(1.0, PICTURE_PX / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return Markup("data:image/jpeg;base64," + base64.b64encode(jpeg).decode())
