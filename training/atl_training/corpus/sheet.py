"""Contact sheets: look at what was made."""

from pathlib import Path

import cv2
import numpy as np

from atl_face.errors import UserError


def contact_sheet(folder: Path, out: Path, *, every: int, rows: int, plain: bool, columns: int = 8) -> None:
    """One row of frames per clip, landmarks drawn (inner lips red), saved as a picture."""
    clips = [clip for clip in sorted(folder.glob("*.mp4")) if clip.with_suffix(".npz").exists()][:rows]
    if not clips:
        raise UserError(f"{folder} holds no finished clips (.mp4 with .npz).")
    sheet = [np.concatenate(_row(clip, every, columns, plain), 1) for clip in clips]
    cv2.imwrite(str(out), np.concatenate(sheet, 0))


def _row(clip: Path, every: int, columns: int, plain: bool) -> list[np.ndarray]:
    truth = np.load(clip.with_suffix(".npz"))
    video = cv2.VideoCapture(str(clip))
    cells, number = [], 0
    while len(cells) < columns:
        there, frame = video.read()
        if not there:
            break
        if number % every == 0:
            if not plain:
                for k, (x, y, _) in enumerate(truth["landmarks"][number]):
                    colour = (0, 0, 255) if k >= 60 else (0, 255, 0)
                    cv2.circle(frame, (round(float(x)), round(float(y))), 1, colour, -1)
            label = f"{truth['viseme'][number]} {truth['emotion']}"
            cv2.putText(frame, label, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
            cells.append(frame)
        number += 1
    size = cells[0].shape
    return cells + [np.zeros(size, np.uint8)] * (columns - len(cells))
