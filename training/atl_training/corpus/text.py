"""What the faces say: hand-written sentences in fourteen languages; English also random words, commands, numbers, letters."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np

from atl_face.errors import UserError
from atl_training.splits import held_out

LICENCE = {
    "what": "spoken text: the project's own sentences",
    "licence": "CC0-1.0",
    "attribution": "ATL Avatar's sentences.txt, sentences_other.tsv and grammar; single words of CMU's pronouncing dictionary",
}
# of the English sentences; the others come from the grammar. A network learns a few hundred sentences by heart, and what
# comes next in them: the same voices in other sentences are followed much worse. So half of what is said is never said again.
WRITTEN_SHARE, WORDS_SHARE = 0.35, 0.5
FEW = 60  # sentences that a slow voice knows: they are synthesised once and kept
COMMON_SHARE = 0.4  # of random words: the short ones that speech slurs


def _read() -> dict[str, tuple[str, ...]]:
    """Language -> its sentences."""
    english = Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").split("\n")
    out = {"en": [line for line in english if line]}
    for line in Path(__file__).with_name("sentences_other.tsv").read_text(encoding="utf-8").splitlines():
        language, sentence = line.split("\t")
        out.setdefault(language, []).append(sentence)
    return {language: tuple(sentences) for language, sentences in out.items()}


ALL_SENTENCES = _read()
SENTENCES = ALL_SENTENCES["en"]

_COMMON = ("the a an of to in on at for with from by and or but not is are was were be been have has had do did will would can "
           "could may might must this that these those it its he she we you they them him her me my your his our their what "
           "who where when why how if so as up down out about over under very more most some any all only just then there "
           "here now back well good new old big small").split()  # fmt: skip
_ONES = "zero one two three four five six seven eight nine".split()
_COLOURS = "blue brown white purple pink yellow orange green black beige violet amber".split()
_VERBS = "put place move bring fetch drop lift push pull show paint wrap".split()
_THINGS = "box map lamp ball bowl book vase spoon apple boot pebble puzzle ship wheel thimble feather".split()
_WHERE = "on the table,by the window,above the bed,below the shelf,in the van,under the bridge,near the sofa".split(",")
_WHEN = "now,please,again,tomorrow,before five,this evening,soon,with both hands".split(",")
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS = "January February March April May June July August September October November December".split()
_LETTERS = "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z".split()


def random_sentence(rng: np.random.Generator, validation: bool, language: str = "en") -> str:
    """One sentence of the split in a language of ALL_SENTENCES."""
    while True:
        kind = rng.random() if language == "en" else 0
        written, words = kind < WRITTEN_SHARE, kind >= 1 - WORDS_SHARE
        sentence = str(rng.choice(ALL_SENTENCES[language])) if written else word_salad(rng) if words else grammar_sentence(rng)
        if held_out(sentence) == validation:
            return sentence


def word_salad(rng: np.random.Generator) -> str:
    """Three to nine random English words, two in five of them common ones: nonsense, but every sound in every company."""
    words = _dictionary()
    chosen = [str(rng.choice(_COMMON)) if rng.random() < COMMON_SHARE else words[rng.integers(len(words))]
              for _ in range(int(rng.integers(3, 10)))]  # fmt: skip
    if len(chosen) > 5 and rng.random() < 0.3:
        chosen[2] += ","
    return " ".join(chosen).capitalize() + ("?" if rng.random() < 0.15 else ".")


@lru_cache(1)
def _dictionary() -> tuple[str, ...]:
    """The words of CMU's pronouncing dictionary (BSD), as pocketsphinx brings it. UserError: it isn't installed."""
    try:
        from pocketsphinx import get_model_path
    except ImportError as error:
        raise UserError("The corpus's words are those of pocketsphinx's dictionary: run `make training`, or `pip install "
                        "pocketsphinx`.", "no_dictionary") from error  # fmt: skip

    lines = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text(encoding="utf-8").splitlines()
    return tuple(word for word in (line.split(" ", 1)[0] for line in lines) if re.fullmatch("[a-z]{3,}", word))


def few_sentences(voice: str, validation: bool, language: str = "en") -> list[str]:
    """FEW written sentences of the split that a slow voice knows, always the same; other ones for every voice, but where the
    split has no more than FEW, as validation has."""
    mine = [sentence for sentence in ALL_SENTENCES[language] if held_out(sentence) == validation]
    return sorted(mine, key=lambda sentence: hashlib.sha256(f"{voice}/{sentence}".encode()).digest())[:FEW]


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
