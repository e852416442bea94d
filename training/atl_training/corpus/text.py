"""What the faces say: hand-written sentences, and random commands, numbers and letters from a small grammar."""

from pathlib import Path

import numpy as np

from atl_training.splits import held_out

_LINES = tuple(Path(__file__).with_name("sentences.txt").read_text().split("\n"))
SENTENCES = tuple(line for line in _LINES if line)

_ONES = "zero one two three four five six seven eight nine".split()
_COLOURS = "blue brown white purple pink yellow orange green black beige violet amber".split()
_VERBS = "put place move bring fetch drop lift push pull show paint wrap".split()
_THINGS = "box map lamp ball bowl book vase spoon apple boot pebble puzzle ship wheel thimble feather".split()
_WHERE = "on the table,by the window,above the bed,below the shelf,in the van,under the bridge,near the sofa".split(",")
_WHEN = "now,please,again,tomorrow,before five,this evening,soon,with both hands".split(",")
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()
_LETTERS = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z".split()


def random_sentence(rng: np.random.Generator, validation: bool) -> str:
    """One sentence of the split: three in four are hand-written, the others from the grammar."""
    while True:
        sentence = str(rng.choice(SENTENCES)) if rng.random() < 0.75 else grammar_sentence(rng)
        if held_out(sentence) == validation:
            return sentence


def grammar_sentence(rng: np.random.Generator) -> str:
    """A command, a row of numbers, a spelling or a date."""

    def pick(words) -> str:
        return str(rng.choice(words))

    kind = int(rng.integers(5))
    if kind == 0:
        return f"{pick(_VERBS).capitalize()} the {pick(_COLOURS)} {pick(_THINGS)} {pick(_WHERE)} {pick(_WHEN)}."
    if kind == 1:
        return ", ".join(pick(_ONES) for _ in range(int(rng.integers(3, 7)))).capitalize() + "."
    if kind == 2:
        return f"{pick(_COLOURS).capitalize()} {pick(_LETTERS)}, {pick(_ONES)} {pick(_WHEN)}."
    if kind == 3:
        letters = ", ".join(pick(_LETTERS) for _ in range(int(rng.integers(3, 6))))
        return f"The code is {letters}, {pick(_ONES)}."
    day = pick(["first", "third", "fifth", "ninth", "twelfth", "twentieth", "twenty-second"])
    return f"Is it {pick(_DAYS)}, the {day} of {pick(_MONTHS)}?"
