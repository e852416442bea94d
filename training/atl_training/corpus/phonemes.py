"""Three engines' phoneme names brought to one set: CMU's ARPAbet in lower case, as flite writes it, with `pau`."""

Segment = tuple[float, float, str]  # start_s, end_s, phoneme

_IPA = {
    "a": "aa", "ɑ": "aa", "ɒ": "aa", "æ": "ae", "ʌ": "ah", "ɐ": "ah", "ɔ": "ao", "ə": "ax", "ɚ": "er", "ɜ": "er",
    "ɝ": "er", "e": "eh", "ɛ": "eh", "ɪ": "ih", "ᵻ": "ih", "ɨ": "ih", "i": "iy", "o": "ow", "ʊ": "uh", "u": "uw",
    "b": "b", "d": "d", "ð": "dh", "f": "f", "ɡ": "g", "g": "g", "h": "hh", "k": "k", "l": "l", "ɫ": "l", "m": "m",
    "n": "n", "ŋ": "ng", "p": "p", "ɹ": "r", "r": "r", "s": "s", "ʃ": "sh", "t": "t", "ɾ": "d", "ʔ": "t", "θ": "th",
    "v": "v", "w": "w", "j": "y", "z": "z", "ʒ": "zh", "x": "k",
}  # fmt: skip
_IPA_BEFORE = {"ˈ", "ˌ"}  # stress marks: their time belongs to the next phone
_IPA_AFTER = {"ː", "ˑ", "̩", "̃", "ʰ"}  # length marks: to the one before

# eSpeak's ASCII mnemonics, longest first
_ESPEAK = (
    ("aI@", "ay er"), ("aU@", "aw er"), ("aI", "ay"), ("eI", "ey"), ("OI", "oy"), ("aU", "aw"), ("oU", "ow"),
    ("@U", "ow"), ("i@", "iy ax"), ("e@", "eh ax"), ("U@", "uh ax"), ("O@", "ao r"), ("o@", "ao r"), ("A@", "aa r"),
    ("@L", "ax l"), ("@l", "ax l"), ("tS", "ch"), ("dZ", "jh"), ("3", "er"), ("A", "aa"), ("0", "aa"), ("a", "ae"),
    ("V", "ah"), ("O", "ao"), ("o", "ow"), ("@", "ax"), ("E", "eh"), ("e", "eh"), ("I", "ih"), ("i", "iy"),
    ("U", "uh"), ("u", "uw"), ("b", "b"), ("d", "d"), ("D", "dh"), ("f", "f"), ("g", "g"), ("h", "hh"), ("k", "k"),
    ("x", "k"), ("l", "l"), ("m", "m"), ("n", "n"), ("N", "ng"), ("p", "p"), ("r", "r"), ("R", "r"), ("s", "s"),
    ("S", "sh"), ("t", "t"), ("*", "d"), ("T", "th"), ("v", "v"), ("w", "w"), ("j", "y"), ("z", "z"), ("Z", "zh"),
)  # fmt: skip


def from_piper(segments: list[Segment]) -> list[Segment]:
    """IPA characters of a piper voice -> ARPAbet. Spaces between words are shared between their neighbours."""
    out: list[list] = []
    carry = None  # start of a stress mark that waits for its phone
    for start, end, name in segments:
        if name in _IPA_BEFORE:
            carry = start if carry is None else carry
        elif name in _IPA_AFTER:
            if out:
                out[-1][1] = end
        elif name == " " and out and out[-1][2] != "pau":
            middle = (start + end) / 2
            out[-1][1] = middle
            carry = middle
        else:
            out.append([start if carry is None else carry, end, _IPA.get(name, "pau")])
            carry = None
    return _merge_pauses([tuple(segment) for segment in out])


def from_espeak(segments: list[Segment]) -> list[Segment]:
    """eSpeak mnemonics -> ARPAbet; what holds two phones is split in the middle."""
    out = []
    for start, end, name in segments:
        names = _espeak_names(name)
        step = (end - start) / max(len(names), 1)
        out += [(start + k * step, start + (k + 1) * step, phone) for k, phone in enumerate(names)]
    return _merge_pauses(out)


def _espeak_names(name: str) -> list[str]:
    if not name or name.startswith("_") or name in (":", ";", "?"):
        return ["pau"]
    name = name.lstrip("'%,=")
    for prefix, phones in _ESPEAK:
        if name.startswith(prefix):
            return phones.split()
    return ["pau"]


def from_flite(line: str) -> list[Segment]:
    """The text that `flite -psdur` prints: `phone:end_s` separated by spaces."""
    out, start = [], 0.0
    for word in line.split():
        phone, end = word.rsplit(":", 1)
        out.append((start, float(end), phone))
        start = float(end)
    return _merge_pauses(out)


def _merge_pauses(segments: list[Segment]) -> list[Segment]:
    out: list[Segment] = []
    for segment in segments:
        if out and segment[2] == "pau" and out[-1][2] == "pau":
            out[-1] = (out[-1][0], segment[1], "pau")
        elif segment[1] > segment[0]:
            out.append(segment)
    return out
