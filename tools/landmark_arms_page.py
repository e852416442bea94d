"""The part of docs/results.md about trainings of the landmark stage beside each other, from docs/landmark_arms.json,
docs/kflm_arms.json and docs/landmark_oracle.json."""
from tables import table

ARMS = """
### Trainings beside each other

`python -m atl_training.landmarks.arms RUN ... --out docs/landmark_arms.json` (`docs/kflm_arms.json`): each run's own figures
on held-out clips, of its best look at them; "steps (best)" is what was trained and where the best look was, "hours" until
that, on a clock and beside other work: a rough measure. `stream` and `kflm` differ in network, losses and learning rate, and in
`stream`'s critic, viseme labels and scale of motion (`net.REACH`): each has its own recipe.
"""

ORACLE = """
How much could be followed, were every phoneme recognised? `python -m atl_training.landmarks.oracle --shards draft --out
docs/landmark_oracle.json`: networks of the same shape that are told the phonemes and the loudness in the place of the sound, as
they come and no further ahead than the look-ahead, and one that hears, learn {steps} steps from {clips} clips that rules move and
are asked about {utterances} held-out ones of the same draft (`atl-corpus make --draft --identities 1600 --clips 4 --seconds 9
--seed 51` with recordings and motions, timed without an aligner). A bound, and not a tight one: they are told the very times
that moved the lips, and a phoneme from its first 10 ms on, which no ear can. Ours was trained 160 times as long, on other
drafts, film, noise and silence, too. One run each.
"""

STYLES = ("rules", "real")
ARM = {"gap r": "gap_r", "amplitude": "gap_amplitude", "lag, ms": "lag_ms", "M-LMD, %": "m_lmd_percent"}
LOOKAHEAD_MS = 80  # the runtime's


def comparisons(arms: list[dict], beside: list[dict], oracle: dict) -> str:
    """Trainings beside each other: look-ahead, network, critic; and of networks that needn't hear (`oracle`)."""
    full = [row for row in arms if row["model"] == "stream" and row["sync"] != 0]
    usual = [row for row in full if row["lookahead_ms"] == LOOKAHEAD_MS]
    groups = {"Look-ahead at equal budget (networks of one GRU)": sorted(full, key=lambda row: row["lookahead_ms"]),
              "`stream` against `kflm` at equal data": beside,
              "Without the sync critic": usual + [row for row in arms if row["sync"] == 0 and row["model"] == "stream"]}
    groups = {title: rows for title, rows in groups.items() if len(rows) > 1}
    if not groups and not oracle:
        return ""
    head = ["run", "look-ahead, ms", "sync weight", "steps (best)", "hours",
            *(f"{style}: {name}" for style in STYLES for name in ARM)]  # fmt: skip
    parts = [ARMS]
    for title, rows in groups.items():
        lines = [[row["name"], "whole" if row["lookahead_ms"] is None else row["lookahead_ms"], row["sync"],
                  f"{row['steps'] or '?'} ({row['best_step']})", row["hours"],
                  *(row[style].get(key) if style in row else None for style in STYLES for key in ARM.values())]
                 for row in rows]  # fmt: skip
        parts.append(f"{title}:\n\n{table(head, lines)}")
    if oracle:
        parts += [ORACLE.format(**oracle), oracles(oracle)]
    return "\n".join(parts)


def oracles(figures: dict) -> str:
    """Networks that are told the phonemes, by look-ahead; below them those that hear, and the baselines, on the same clips."""
    told = {int(name): row for name, row in figures["rows"].items() if name.isdigit()}
    rows = {f"told the phonemes, {ms} ms ahead": told[ms] for ms in sorted(told)}
    rows |= {f"hears, {LOOKAHEAD_MS} ms ahead": figures["rows"].get("hears", {}),
             f"**ours**, as shipped, {LOOKAHEAD_MS} ms ahead": figures["net"]}  # fmt: skip
    rows |= {name: figures[name] for name in ("energy jaw", "mean")}
    return table(["", *ARM], [[name, *(row.get(key) for key in ARM.values())] for name, row in rows.items()])
