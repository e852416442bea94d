"""Types of command line arguments, for argparse."""

import argparse
import math
from collections.abc import Callable

from atl_bringup.parameter_file import namespace_of
from atl_face.errors import UserError


def int_between(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of whole numbers from `low` to `high`."""

    def whole_number(text: str) -> int:
        if (value := int(text)) < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"{value} is not {f'at least {low}' if high is None else f'in {low}..{high}'}")
        return value

    return whole_number


def positive(text: str) -> float:
    """A number of seconds above 0."""
    if (value := _seconds(text)) > 0:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")


def not_negative(text: str) -> float:
    """A number of seconds, or 0."""
    if (value := _seconds(text)) >= 0:
        return value
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, nor 0")


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    return value if math.isfinite(value) else math.nan


def face_namespace(text: str) -> str:
    """A ROS namespace with its slash."""
    try:
        return namespace_of(text or "/")
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error).rstrip(".")) from error
