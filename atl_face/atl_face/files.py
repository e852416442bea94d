"""Files that a user names: there, or a sentence that says why not."""

import os
from contextlib import suppress
from pathlib import Path

from atl_face.errors import UserError

CLIP_ENDING = ".mp4"


def file_to_write(path: str | Path) -> Path:
    """The absolute path of a file that is to be written, `~` expanded.

    Raises:
        UserError: its folder isn't there or can't be written to (`no_folder`), or it is itself a folder (`unwritable`).
    """
    try:
        wanted = Path(path).expanduser().absolute()
        is_folder, has_place = wanted.is_dir(), os.access(wanted.parent, os.W_OK | os.X_OK)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{str(path)!r} can't be written ({error}).", "unwritable") from error
    if is_folder:
        raise UserError(f"{wanted} is a folder: name the file to write.", "unwritable")
    if not has_place:
        raise UserError(f"The folder {wanted.parent} isn't there or can't be written to.", "no_folder")
    return wanted


def clip_to_write(path: str | Path, *sources: str | Path | None) -> Path:
    """The absolute path of a clip that is to be written.

    Args:
        sources: the files that it will be made from.

    Raises:
        UserError: as `file_to_write`; or it isn't named as a clip (`bad_ending`), or is one of its own sources (`own_source`).
    """
    wanted = file_to_write(path)
    if wanted.suffix.lower() != CLIP_ENDING and (wanted.is_file() or not wanted.exists()):  # /dev/null is fine
        raise UserError(f"A clip is written as MP4: name it {wanted.stem}{CLIP_ENDING}, not {wanted.name}.", "bad_ending")
    for source in filter(None, sources):
        with suppress(OSError, ValueError, RuntimeError):  # one of both isn't there; who opens it tells more
            if wanted.samefile(Path(source).expanduser()):
                raise UserError(f"{wanted} is what the clip is made from: name another file to write.", "own_source")
    return wanted


def existing_file(path: str | Path, what: str = "file") -> Path:
    """The file of this name, `~` expanded.

    Raises:
        UserError: it isn't there (`no_file`), or may not even be looked for (`unreadable`).
    """
    try:
        found = Path(path).expanduser()
        if found.is_file():
            return found
    except (OSError, ValueError, RuntimeError) as error:  # no permission, too long a name, a NUL in it, no such ~user
        raise UserError(f"The {what} {str(path)!r} can't be opened ({error}).", "unreadable") from error
    raise UserError(f"There is no {what} {str(path)!r}.", "no_file")
