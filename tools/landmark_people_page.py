"""The part of docs/results.md about the landmark stage on held-out people's own faces (`landmarks.report.on_people`)."""

INTRODUCTION = """
### People that no training saw, on their own faces: {clips} clips of {people} people, moved by rules

The landmarks of a 3D head that speaks against those that the stage gives to that head's portrait, both levelled onto its neutral
landmarks; clips without emotion, in voices of engines (`atl-corpus make --draft --identities 1000 --clips 2 --seconds 9 --seed 5`
without recordings; only the held-out people were made), then `landmarks.report --part people`. The figures above and below are of
what speech does to the average face, which the stage knows better than anybody's own: there it need not guess how wide this
mouth opens.
"""


def people_section(told: dict, motion_table) -> list[str]:
    """Markdown of the part; nothing where it wasn't measured."""
    rules = told.get("rules")
    return [INTRODUCTION.format(**rules), motion_table(rules["rows"])] if rules else []


def people_aims(aim, told: dict, ours: str) -> None:
    """Rows of the table of aims."""
    if rules := told.get("rules"):
        row, where = rules["rows"][ours], f"rules, {rules['people']} unseen people on their own faces, {rules['clips']} clips"
        aim(f"M-LMD, {where}", "≤ 2.0 %", row["m_lmd"][0], " %", most=2)
        aim(f"lip-gap r, {where}", "≥ 0.9", row["gap_r"][0], least=0.9)
        aim(f"/m b p/ in the frames in which the true lips are closed, {where}", "closed in ≥ 95 %", row["closures"]["closed"],
            " %", least=95)  # fmt: skip


def fv_row(where: str, rows: dict, ours: str) -> list[object]:
    """A row of the table of aims: how many frames were not said, only that a distance be stated."""
    share, viseme = (rows[name]["teeth"]["reached"] for name in (ours, "nearest viseme"))
    return [f"/f v/: lower lip at most 1 mm farther from the upper teeth than truly, {where}", "no share was asked",
            f"{share:.0f} % of the frames (a static viseme: {viseme:.0f} %)", "told"]  # fmt: skip
