"""The engines' phoneme names brought to one set: CMU's ARPAbet in lower case, as flite writes it, with `pau`.

Other languages' sounds take the ARPAbet name whose lips look the same: [y] is `uw`, a rolled [r] is `d`, [ɲ] is `n`.
"""

import unicodedata

Segment = tuple[float, float, str]  # start_s, end_s, phoneme

# IPA -> ARPAbet; what has several letters comes before its parts.
_IPA = {
    "aɪ": "ay", "aʊ": "aw", "eɪ": "ey", "ɛɪ": "ey", "oʊ": "ow", "əʊ": "ow", "ɔɪ": "oy", "oɪ": "oy", "ʌʊ": "ow",
    "tʃ": "ch", "tɕ": "ch", "dʒ": "jh", "dʑ": "jh", "sx": "sh", "r\u031d": "zh",
    "a": "aa", "ɑ": "aa", "ɒ": "aa", "æ": "ae", "ʌ": "ah", "ɐ": "ah", "ɔ": "ao", "ə": "ax", "ɘ": "ax", "ɚ": "er",
    "ɜ": "er", "ɝ": "er", "e": "eh", "ɛ": "eh", "ɪ": "ih", "ᵻ": "ih", "ɨ": "ih", "i": "iy", "o": "ao", "ʊ": "uh",
    "u": "uw", "y": "uw", "ʏ": "uw", "ʉ": "uw", "ø": "uw", "œ": "er", "ɵ": "er", "ɤ": "ax",
    "ɯ": "ax",  # Japanese: the lips hardly move
    "b": "b", "β": "b", "c": "k", "ç": "hh", "d": "d", "ɖ": "d", "ð": "dh", "f": "f", "ɡ": "g", "g": "g", "ɣ": "g",
    "ɟ": "y", "h": "hh", "ɦ": "hh", "ħ": "hh", "j": "y", "ʝ": "y", "ɥ": "w", "k": "k", "x": "k", "χ": "k", "q": "k",
    "l": "l", "ɫ": "l", "ɭ": "l", "ʎ": "l", "m": "m", "ɱ": "v", "n": "n", "ɲ": "n", "ɳ": "n", "ŋ": "ng", "ɴ": "ng",
    "p": "p", "ɸ": "w", "ɹ": "r", "ɻ": "r", "r": "d", "ɾ": "d", "ɽ": "d", "ʀ": "g", "ʁ": "g", "s": "s", "ʂ": "sh",
    "ʃ": "sh", "ɕ": "sh", "t": "t", "ʈ": "t", "ʔ": "hh", "θ": "th", "v": "v", "ʋ": "v", "w": "w", "ɰ": "g", "z": "z",
    "ʐ": "zh", "ʒ": "zh", "ʑ": "zh",
}  # fmt: skip
_IPA = {unicodedata.normalize("NFD", name): phone for name, phone in _IPA.items()}
_LONGEST = max(map(len, _IPA))
_STRESS = {"ˈ", "ˌ"}  # their time belongs to the next phone
_GAP_S = 0.12  # a shorter gap is no pause: the mouth doesn't relax in it (visemes.py)
_IN_LANGUAGE = {"de": {"ɜ": "ah"}, "ja": {"u\u0303": "ng"}}  # eSpeak's names of the ends of "Wasser" and "hon"

# Festival's phone sets by language, without the stress digit and the length mark. What a set doesn't name is ARPAbet.
_SAMPA = {
    "#": "pau", "a": "aa", "e": "eh", "E": "eh", "i": "iy", "o": "ao", "O": "ao", "u": "uw", "y": "uw", "j": "y",
    "h": "hh", "r": "d", "rr": "d", "L": "l", "J": "n", "N": "ng", "S": "sh", "Z": "zh", "tS": "ch", "dZ": "jh",
    "ts": "t s", "dz": "d z", "T": "th", "D": "dh", "nf": "v",
}  # fmt: skip
_RUSSIAN = {
    "ii": "iy", "yy": "ih", "uu": "uw", "ee": "eh", "oo": "ao", "a": "ah", "e": "ih", "i": "ih", "y": "ih", "u": "uw",
    "ae": "ax", "ay": "ax", "ur": "uh", "c": "t s", "sch": "sh", "h": "k", "hh": "k", "r": "d", "rr": "d", "j": "y",
} | {soft + soft: soft for soft in "pbtdkgfvszmnl"}  # fmt: skip
_FESTIVAL = {
    "en": {"axr": "er", "dx": "d", "el": "ax l", "em": "ax m", "en": "ax n", "hv": "hh", "nx": "n", "h#": "pau", "brth": "pau"},
    "it": _SAMPA,
    "fi": _SAMPA | {"@": "ae", "&": "ae", "7": "er", "##": "pau"},
    "ca": _SAMPA | {"_": "pau"},
    "cs": _SAMPA | {"_": "hh", "c": "t s", "c~": "ch", "ch": "k", "d~": "d", "dz~": "jh", "n*": "ng", "n~": "n",
                    "r~": "zh", "r~*": "sh", "s~": "sh", "t~": "t", "z~": "zh"},
    "ru": _RUSSIAN,
}  # fmt: skip


def ipa_phones(name: str, language: str = "en") -> list[str]:
    """ARPAbet names of an IPA string, [] for marks alone. A letter that is unknown becomes `ax`: lips that move a
    little are nearer the truth than lips that shut."""
    table = _IPA | _IN_LANGUAGE.get(language, {})
    out, at, letters = [], 0, unicodedata.normalize("NFD", name)
    while at < len(letters):
        for length in range(min(_LONGEST, len(letters) - at), 0, -1):
            if letters[at : at + length] in table:
                out.append(table[letters[at : at + length]])
                at += length
                break
        else:
            out += ["ax"] if letters[at].isalpha() and not is_mark(letters[at]) else []
            at += 1
    return out


def is_known(name: str) -> bool:
    """Whether every letter of an IPA string has an entry in the table, or is no letter."""
    letters = unicodedata.normalize("NFD", name)
    return all(letter in _IPA or is_mark(letter) or not letter.isalpha() for letter in letters)


def is_mark(letter: str) -> bool:
    """Whether a letter of IPA only changes the one before it: length, nasality, softness, stress."""
    return unicodedata.category(letter) in ("Mn", "Lm", "Sk")


def from_ipa(segments: list[Segment], language: str = "en") -> list[Segment]:
    """IPA of eSpeak, piper or Kokoro -> ARPAbet; what holds several phones is split evenly.

    A mark alone belongs to the phone before it (stress: to the one after it), a short gap between words to both of its
    neighbours; a longer one, or what begins the utterance, is a pause.
    """
    out: list[Segment] = []
    carry = None  # where the next phone begins, when that is earlier than its own start
    for start, end, name in segments:
        phones, start = ipa_phones(name, language), start if carry is None else carry
        carry = None
        if name in _STRESS:
            carry = start
        elif phones:
            out += _split(start, end, phones)
        elif out and name and all(map(is_mark, name)):
            out[-1] = (out[-1][0], end, out[-1][2])
        elif out and out[-1][2] != "pau" and end - start < _GAP_S:
            carry = (start + end) / 2
            out[-1] = (out[-1][0], carry, out[-1][2])
        else:
            out.append((start, end, "pau"))
    if carry is not None and out:
        out[-1] = (out[-1][0], segments[-1][1], out[-1][2])
    return _merge_pauses(out)


def from_flite(line: str) -> list[Segment]:
    """The text that `flite -psdur` prints: `phone:end_s` separated by spaces."""
    out, start = [], 0.0
    for word in line.split():
        phone, end = word.rsplit(":", 1)
        out.append((start, float(end), phone))
        start = float(end)
    return from_festival(out, "en")


def from_festival(segments: list[Segment], language: str) -> list[Segment]:
    """The phone names of Festival's voices of a language ("en", "it", "fi", "cs", "ca", "ru") -> ARPAbet."""
    out: list[Segment] = []
    for start, end, name in segments:
        out += _split(start, end, festival_phones(name, language))
    return _merge_pauses(out)


def festival_phones(name: str, language: str) -> list[str]:
    """ARPAbet names of one phone of Festival's."""
    table = _FESTIVAL[language]
    if name not in table:
        name = name.rstrip("1:")
    return table.get(name, name).split()


def _split(start: float, end: float, phones: list[str]) -> list[Segment]:
    step = (end - start) / len(phones)
    return [(start + k * step, start + (k + 1) * step, phone) for k, phone in enumerate(phones)]


def _merge_pauses(segments: list[Segment]) -> list[Segment]:
    out: list[Segment] = []
    for segment in segments:
        if out and segment[2] == "pau" and out[-1][2] == "pau":
            out[-1] = (out[-1][0], segment[1], "pau")
        elif segment[1] > segment[0]:
            out.append(segment)
    return out
