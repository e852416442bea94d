"""Write docs/parameters.md from the nodes' declarations: `.venv/bin/atl-python tools/parameters_table.py`."""

import importlib
from pathlib import Path

STAGES = ("audio", "landmark", "diffusion", "display")
TARGET = Path(__file__).resolve().parent.parent / "docs" / "parameters.md"


def table(stage: str) -> str:
    """The Markdown table of one stage's parameters."""
    rows = ["| parameter | default | range | meaning |", "|---|---|---|---|"]
    for p in importlib.import_module(f"atl_{stage}_node.parameters").PARAMETERS:
        if p.choices:
            allowed = ", ".join(map(str, p.choices))
        else:
            sides = ("" if side is None else str(side) for side in (p.minimum, p.maximum))
            allowed = " … ".join(sides) if (p.minimum, p.maximum) != (None, None) else ""
        default = f'"{p.default}"' if isinstance(p.default, str) else str(p.default).lower()
        rows.append(f"| `{p.name}` | {default} | {allowed} | {p.description}{' *At the start only.*' if p.read_only else ''} |")
    return "\n".join(rows)


def document() -> str:
    """The whole of docs/parameters.md."""
    parts = ["# Parameters of the four nodes", "",
             "Made by `tools/parameters_table.py` from the nodes' own declarations. Values for the graph are in "
             "`launch/config/avatar.yaml`; every node also takes `autostart` (default true: it configures and activates "
             "itself; the graph's lifecycle manager does that otherwise)."]  # fmt: skip
    for stage in STAGES:
        parts += ["", f"## /robot_face/{stage}", "", table(stage)]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(document())
