"""Tables of the pages that are made from measured figures."""


def spread(figure: list[float | None] | None) -> str | None:
    """A mean with its 95 % interval."""
    mean, low, high = figure or (None, None, None)
    if mean is None:
        return None
    digits = 1 if abs(mean) >= 10 else 2 if abs(mean) >= 1 else 3
    return f"{mean:.{digits}f}" + ("" if low is None else f" ({low:.{digits}f}..{high:.{digits}f})")


def table(head: list[str], rows: list[list[object]]) -> str:
    """A markdown table; None is a dash."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [["–" if cell is None else str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"
