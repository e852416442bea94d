"""Figures and bounds as a person reads them, in reports and on a terminal alike."""


def figure(value) -> str:
    """A figure for reading: four digits, – for none; anything else as it is."""
    if value is None or value != value:  # NaN
        return "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(figure, value)) or "–"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def bounds(row: dict) -> str:
    """A condition's bounds in words."""
    words = {"at_least": "at least", "at_most": "at most"}
    return ", ".join(f"{words[name]} {figure(row[name])}" for name in words if row.get(name) is not None)
