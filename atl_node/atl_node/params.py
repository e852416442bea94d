"""Declarations of node parameters, free of ROS: a stage lists its own in `parameters.py` as `PARAMETERS`."""

from __future__ import annotations

from dataclasses import dataclass

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One declared parameter of a node; its type is the type of `default`.

    Args:
        name: snake_case, with the unit as its ending where it has one (`_s`, `_ms`, `_hz`, `_px`).
        default: used unless the parameter YAML or the command line gives another.
        description: one sentence for people; `ros2 param describe` shows it.
        minimum, maximum: inclusive range of a number; None leaves that side open.
        choices: the values allowed, when they are few.
        read_only: True when it can be given at the start only.
    """

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Value, ...] | None = None
    read_only: bool = False

    def __post_init__(self):
        if problem := self.problem(self.default):
            raise ValueError(f"default of {problem}")

    def problem(self, value: Value) -> str | None:
        """What is wrong with `value`, as a clause that names the parameter; None when it is allowed."""
        if type(value) is not type(self.default):
            wanted = type(self.default).__name__
            return f"parameter {self.name} must be of type {wanted}, not {type(value).__name__} ({value!r})"
        if self.choices is not None and value not in self.choices:
            return f"parameter {self.name} must be one of {', '.join(map(str, self.choices))}, not {value!r}"
        if self.minimum is not None and value < self.minimum:
            return f"parameter {self.name} must be at least {self.minimum}, not {value}"
        if self.maximum is not None and value > self.maximum:
            return f"parameter {self.name} must be at most {self.maximum}, not {value}"
        return None


AUTOSTART = Parameter(
    "autostart",
    True,
    "Configure and activate by itself; false where a lifecycle manager does it.",
    read_only=True,
)
