"""Packages that only some figures need: not part of `make setup`, asked for when such a figure is."""
import importlib
from types import ModuleType

from atl_face.errors import UserError

INSTALL = ".venv/bin/pip install -r requirements/evaluation.txt && " \
          ".venv/bin/pip install --no-deps -r requirements/evaluation-no-deps.txt"  # fmt: skip


def missing(what: str, figure: str) -> UserError:
    """The error of a figure that can't be computed for want of a package."""
    return UserError(f"{figure} needs {what}, which isn't installed here; install the extras of the evaluation with "
                     f"`{INSTALL}`, or leave the figure out.", "no_extra")  # fmt: skip


def need(module: str, figure: str) -> ModuleType:
    """The module, imported. Raises UserError `no_extra` with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(f"{module} ({error})", figure) from error
