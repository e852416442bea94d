"""Every voice of the corpus: who it truly is and its licence; and which face speaks in which voice and manner."""

from dataclasses import dataclass

import numpy as np

from atl_training.corpus.text import few_sentences, random_sentence
from atl_training.splits import held_out


@dataclass(frozen=True)
class Voice:
    """One voice.

    name: "<engine>/<the engine's name of it>"; speaker: who it truly is, whatever engine plays them. male None: several people.
    free: it and what it says are CC0 or in the public domain.
    held: all of it is held out (True) or none of it (False); None: see `may_speak`.
    """

    name: str
    speaker: str
    language: str
    male: bool | None
    licence: str
    attribution: str
    child: bool = False
    free: bool = False
    held: bool | None = None

    @property
    def engine(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Manner:
    """How a voice is used. Speed 1 is its own; pitch and range 0..100 (eSpeak's) around 50: +50 is an octave, range 100
    is twice as lively; shift is a resampling factor (higher, faster, a shorter throat); loudness dB around its own."""

    voice: str
    speed: float = 1.0
    pitch: int = 50
    range: int = 50
    shift: float = 1.0
    loudness: float = 0.0


_ESPEAK_VARIANTS = {  # of English: eSpeak's accents and its variants that don't croak, whisper or beep
    True: (
        "en-us+m1", "en-us+m2", "en-us+m3", "en-us+m4", "en-us+m5", "en-us+m7", "en-us+m8", "en-us+Alex", "en-us+Andy",
        "en-us+Gene", "en-us+Lee", "en-us+Michael", "en-us+Marco", "en-us+adam", "en-us+caleb", "en-us+ed",
        "en-us+john", "en-us+max", "en-us+paul", "en-us+quincy", "en+m3", "en-gb-scotland+m2", "en-029+m1",
    ),
    False: (
        "en-us+f1", "en-us+f2", "en-us+f3", "en-us+f4", "en-us+f5", "en-us+Alicia", "en-us+Andrea", "en-us+Annie",
        "en-us+anika", "en-us+aunty", "en-us+belinda", "en-us+linda", "en-us+steph", "en-us+steph2", "en+f2",
        "en-gb-x-rp+f3", "en-029+f4", "en-us-nyc+f1",
    ),
}  # fmt: skip
ESPEAK_LANGUAGES = ("de", "fr", "es", "it", "pt", "ja", "cs", "fi", "pl", "nl", "sv")
_ESPEAK_OTHER = {True: ("+m1", "+m3", "+m7"), False: ("+f2", "+f4")}  # of each of these languages

_CMU = ("BSD-like (CMU)", "Carnegie Mellon University, Language Technologies Institute")
_CSTR = ("X11-like (CSTR)", "Centre for Speech Technology Research, University of Edinburgh")
_IFM = ("GPL-2.0-or-later", "IFM Development Team: ISTC-CNR Padova, ITC-irst Trento (Italian Festival modules)")
_SUOPUHE = ("LGPL-2.0-or-later", "Suopuhe: universities of Helsinki and Joensuu (N. Volk, M. Vainio, S. Werner)")
_BRAILCOM, _BRAILCOM_2 = ("GPL-3.0-or-later", "Brailcom, o.p.s."), ("GPL-2.0-or-later", "Brailcom, o.p.s.")
_UPC = ("LGPL-2.1-or-later", "Universitat Politecnica de Catalunya, A. Bonafonte (FestCat)")
_RUSSIAN = ("BSD-like", "Nickolay V. Shmyrev, Moscow State University's speaker nsh")
_KOKORO_MIXED = {  # of the voices that are trained on, and beyond them: people who don't exist
    True: ("jm_kumo~jf_gongitsune~25", "jm_kumo~jf_nezumi~-30", "jm_kumo~jf_tebukuro~40"),
    False: ("jf_gongitsune~jm_kumo~25", "jf_nezumi~jm_kumo~-30", "jf_tebukuro~jm_kumo~40", "jf_gongitsune~jf_nezumi~-60"),
}
_KOKORO = ("Apache-2.0", "Kokoro-82M by hexgrad; ONNX export (MIT) by thewh1teagle")
_LIBRI = ("CC-BY-4.0", "LibriSpeech: Panayotov, Chen, Povey, Khudanpur 2015, of recordings of LibriVox")
_ESPEAK = ("GPL-3.0-or-later program, its output is free", "eSpeak NG")


def _voices() -> list[Voice]:
    out = [
        # joe's own recordings are CC0; his model card says that it was fine-tuned from the voice lessac
        Voice("piper/joe", "joe", "en", True, "CC0-1.0", "piper voice en_US-joe-medium, NabuCasa voice-datasets", free=True),
        Voice("real/lj", "Linda Johnson", "en", False, "public domain", "LJSpeech: Keith Ito, Linda Johnson", free=True),
        Voice("real/reader_m", "reader_m", "en", True, "Apache-2.0", "the author of a public repository, reading LJSpeech texts"),
        Voice("real/grid_s1", "GRID s1", "en", True, "CC-BY-4.0", "GRID speaker 1: Cooke, Barker, Cunningham, Shao 2006, "
              "Zenodo 3625687"),
        Voice("real/asterisk", "Allison Smith", "en", False, "CC-BY-SA-3.0", "Allison Smith, Asterisk core sounds, Digium"),
        Voice("real/vctk", "VCTK", "en", None, "CC-BY-4.0", "VCTK: Veaux, Yamagishi, MacDonald 2017, University of Edinburgh",
              held=False),
        Voice("real/librispeech", "LibriSpeech train", "en", None, *_LIBRI, held=False),
        Voice("real/librispeech_test", "LibriSpeech test", "en", None, *_LIBRI, held=True),
        Voice("flite/rms", "rms", "en", True, *_CMU), Voice("flite/awb", "awb", "en", True, *_CMU),
        Voice("flite/slt", "slt", "en", False, *_CMU), Voice("flite/kal16", "kal", "en", True, *_CMU),
        Voice("festival/cmu_us_slt_arctic_hts", "slt", "en", False, *_CMU),
        Voice("festival/kal_diphone", "kal", "en", True, *_CSTR), Voice("festival/ked_diphone", "ked", "en", True, *_CSTR),
        Voice("festival/lp_diphone", "lp", "it", False, *_IFM), Voice("festival/pc_diphone", "pc", "it", True, *_IFM),
        Voice("festival/suo_fi_lj_diphone", "suo_lj", "fi", False, *_SUOPUHE),
        Voice("festival/hy_fi_mv_diphone", "hy_mv", "fi", True, *_SUOPUHE),
        Voice("festival/czech_dita", "dita", "cs", False, *_BRAILCOM),
        Voice("festival/czech_krb", "krb", "cs", True, *_BRAILCOM, child=True),
        Voice("festival/czech_machac", "machac", "cs", True, *_BRAILCOM),
        Voice("festival/czech_ph", "ph", "cs", True, *_BRAILCOM_2),
        Voice("festival/msu_ru_nsh_clunits", "nsh", "ru", True, *_RUSSIAN),
        Voice("festival/upc_ca_ona_hts", "ona", "ca", False, *_UPC),
    ]  # fmt: skip
    for name in ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo"):
        speaker = name if name in ("jf_alpha", "jm_kumo") else "jf_storyteller"  # three tales by one reader, it seems: see below
        out.append(Voice(f"kokoro/{name}", speaker, "en", name.startswith("jm"), *_KOKORO))
    for male in (True, False):
        out += [Voice(f"kokoro/{name}", f"kokoro {name}", "en", male, *_KOKORO) for name in _KOKORO_MIXED[male]]
        out += [Voice(f"espeak/{name}", "espeak-ng", "en", male, *_ESPEAK) for name in _ESPEAK_VARIANTS[male]]
        for language in ESPEAK_LANGUAGES:
            out += [Voice(f"espeak/{language}{end}", "espeak-ng", language, male, *_ESPEAK) for end in _ESPEAK_OTHER[male]]
    return out


# Two engines' slt and kal are one speaker each; Kokoro's three tales sound like one (a speaker embedding was asked).
VOICES: dict[str, Voice] = {voice.name: voice for voice in _voices()}


def licences(voice: str) -> list[dict[str, str]]:
    """What a clip in this voice owes to whom: dicts of what, licence and attribution."""
    known = VOICES[voice]
    what = "recorded voice and its text" if known.engine == "real" else "voice"
    return [{"what": f"{what} {voice}", "licence": known.licence, "attribution": known.attribution}]


# Natural voices are the rule, for who learns from robots doesn't follow people; joe costs 0.1 s a second, Kokoro 0.5 s
# once, the others next to nothing. group -> share of the clips, and how many speakers it takes to fill it: a group of
# which the split or the licence leaves fewer gets less.
_GROUPS = {"real": (0.35, 1), "kokoro": (0.12, 2), "piper": (0.15, 1), "festival": (0.22, 4), "espeak": (0.16, 1)}
_GROUP_OF = {"flite": "festival"}
CHILD_AGE = 14  # years; younger faces get the voices of women and of the one child, shifted up
CROSSED = 0.15  # of the adults speak in a voice of the other sex: users give any portrait any voice (several people's: both)
# These are split by what they say instead of by name: there are too few natural voices to lock one of them away.
SPLIT_BY_TEXT = ("piper", "real", "espeak")  # eSpeak's many variants are one speaker

# At level 3, against neutral: speed, pitch, range (factors) and loudness (dB). The directions are those of the tables in
# Murray & Arnott 1993 (anger, happiness, sadness, fear, disgust) and Scherer 2003; contempt and surprise aren't in both:
# low and slow, and high and lively, are ours. So are the amounts: moderate, that synthetic voices stay credible.
PROSODY: dict[str, tuple[float, float, float, float]] = {
    "neutral": (1.0, 1.0, 1.0, 0.0),
    "angry": (1.12, 1.15, 1.5, 5.0),
    "contempt": (0.88, 0.93, 0.85, -1.0),
    "disgusted": (0.80, 0.93, 1.1, -1.0),
    "fear": (1.20, 1.30, 1.35, 0.0),
    "happy": (1.10, 1.20, 1.6, 2.5),
    "sad": (0.85, 0.92, 0.6, -4.0),
    "surprised": (1.03, 1.25, 1.8, 2.0),
}
LEVELS = 3
# What can't change its pitch is resampled instead, less far, because that changes the size of the head as well.
_NO_PITCH = ("flite/rms", "festival/cmu_us_slt_arctic_hts", "festival/upc_ca_ona_hts", "festival/msu_ru_nsh_clunits")
_SHIFT_SHARE = 0.3
# engine -> speed, pitch, range and shift of neutral adults; recorded people stay as they are
_OWN = {
    "piper": ((0.85, 1.2), None, None, (0.95, 1.06)),
    "kokoro": (None, None, None, (0.95, 1.06)),
    "flite": ((0.8, 1.2), (40, 60), None, (0.94, 1.06)),
    "festival": ((0.8, 1.2), (40, 60), (35, 75), (0.94, 1.06)),
    "espeak": ((0.75, 1.2), (30, 70), (35, 75), (0.94, 1.06)),
}
LETTERS_S, MOST_LETTERS_S = {"ja": 9.0}, 16.0  # that fit into a second: kana, and Latin or Cyrillic letters
TRIES = 20  # sentences looked at for one that fits
SPEED_STEP = 0.1  # of joe's speeds, so that what was spoken once is found again; his shift varies the tempo as well


def may_speak(voice: Voice, validation: bool) -> bool:
    """The held-out rule: identities that are held out speak in voices of held-out speakers, and nobody else does; who is
    split by what is said speaks to both, but never the same text."""
    if voice.held is not None:
        return voice.held == validation
    return voice.engine in SPLIT_BY_TEXT or held_out(f"speaker/{voice.speaker}") == validation


def is_held_speaker(voice: Voice) -> bool:
    """Whether the voice speaks in validation alone: nothing else of its speakers is trained on."""
    return may_speak(voice, True) and not may_speak(voice, False)


def random_manner(
    rng: np.random.Generator, *, male: bool, age: float, validation: bool, emotion: str = "neutral", level: int = 0,
    only_free: bool = False, recorded: tuple[str, ...] = (),
) -> Manner:  # fmt: skip
    """Draw a voice for a face, and how it speaks.

    Args:
        emotion, level: one of PROSODY, and its strength 0..3; it changes what the engine lets be changed.
        only_free: CC0 and public domain alone (joe and LJSpeech).
        recorded: names of the recorded voices that are at hand.
    """
    voice = _draw_voice(rng, male, age, validation, only_free, recorded)
    if voice.engine == "real":
        return Manner(voice.name)
    return felt(neutral_manner(rng, voice.name, _fit_throat(rng, voice, male, age)), emotion, level)


def neutral_manner(rng: np.random.Generator, voice: str, throat: float = 1.0) -> Manner:
    """How a synthetic voice may speak without emotion; a throat above 1 is shorter than its own."""
    speed, pitch, spread, shift = _OWN[VOICES[voice].engine]
    return Manner(
        voice,
        float(rng.uniform(*speed)) / throat if speed else 1.0,  # a shorter throat is no hurry
        int(rng.integers(pitch[0], pitch[1] + 1)) if pitch and voice not in _NO_PITCH else 50,
        int(rng.integers(spread[0], spread[1] + 1)) if spread else 50,
        float(rng.uniform(*shift)) * throat,
    )


def felt(manner: Manner, emotion: str, level: int) -> Manner:
    """The manner with the prosody of an emotion at a level 0..3, as far as the engine allows; recordings don't change."""
    voice = VOICES[manner.voice]
    if voice.engine == "real":
        return manner
    speed, pitch, spread, loudness = PROSODY[emotion]
    amount = level / LEVELS
    octaves = amount * float(np.log2(pitch))
    engine_speed, engine_pitch, engine_range, _ = _OWN[voice.engine]
    shifted = 1.0 if engine_pitch and voice.name not in _NO_PITCH else 2 ** (_SHIFT_SHARE * octaves)
    speed = manner.speed * speed**amount / shifted if engine_speed else 1.0
    if voice.engine == "piper":
        speed = round(speed / SPEED_STEP) * SPEED_STEP
    return Manner(
        manner.voice,
        round(speed, 4),
        int(np.clip(round(manner.pitch + 50 * octaves), 0, 99)) if shifted == 1.0 else manner.pitch,
        int(np.clip(round(manner.range * spread**amount), 0, 100)) if engine_range else manner.range,
        round(manner.shift * shifted, 4),
        round(manner.loudness + amount * loudness, 2),
    )


def sentence_for(rng: np.random.Generator, voice: str, validation: bool, longest_s: float = np.inf) -> str:
    """What a synthetic voice may say: a sentence of its language; Kokoro knows few.

    longest_s: draw again while the text looks too long for this time, so that little is spoken that won't fit.
    """
    known = VOICES[voice]
    few = few_sentences(voice, validation, known.language) if known.engine == "kokoro" else None
    for _ in range(TRIES):
        sentence = str(rng.choice(few)) if few else random_sentence(rng, validation, known.language)
        if len(sentence) <= longest_s * LETTERS_S.get(known.language, MOST_LETTERS_S):
            break
    return sentence


def _draw_voice(
    rng: np.random.Generator, male: bool, age: float, validation: bool, only_free: bool, recorded: tuple[str, ...]
) -> Voice:
    """Sex first, then the group by its share, then the speaker (several people under one name are one), then one of the speaker's
    voices."""
    child = age < CHILD_AGE
    wanted = male and not child
    if not child and rng.random() < CROSSED:
        wanted = not wanted
    groups: dict[str, dict[str, list[Voice]]] = {}
    for voice in VOICES.values():
        suits = voice.name == "piper/joe" or (voice.child if child and voice.child else voice.male in (wanted, None))
        there = voice.engine != "real" or (voice.name in recorded and not child)
        if suits and there and (child or not voice.child) and (voice.free or not only_free) and may_speak(voice, validation):
            group = groups.setdefault(_GROUP_OF.get(voice.engine, voice.engine), {})
            group.setdefault(voice.speaker, []).append(voice)
    names = list(groups)
    shares = np.array([_GROUPS[name][0] * min(1.0, len(groups[name]) / _GROUPS[name][1]) for name in names])
    speakers = groups[names[int(rng.choice(len(names), p=shares / shares.sum()))]]
    voices = list(speakers.values())[int(rng.integers(len(speakers)))]
    return voices[int(rng.integers(len(voices)))]


def _fit_throat(rng: np.random.Generator, voice: Voice, male: bool, age: float) -> float:
    """The shift that brings a grown-up's voice nearer to a child's, and joe's nearer to a woman's: 1 for all others."""
    factor = 1.0
    if voice.name == "piper/joe" and (not male or age < CHILD_AGE):
        factor *= float(rng.uniform(1.07, 1.16))
    if age < CHILD_AGE and not voice.child:
        factor *= 1.05 + 0.2 * (CHILD_AGE - age) / CHILD_AGE  # the throat of a child of 5 is about a sixth shorter
    return factor
