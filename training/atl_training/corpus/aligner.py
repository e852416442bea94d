"""Train the ear that finds when each phoneme of a recording is said, on synthetic voices, which know it (Kokoro to 25 ms).

pocketsphinx finds which phonemes they are, and about when.
"""

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tqdm import tqdm

from atl_evaluation.metrics.motion import correlation
from atl_face.errors import UserError
from atl_face.stream import FRAME_RATE
from atl_face.topology import SPEECH, lip_gap
from atl_landmark_node.features import HOP, log_mel
from atl_training.augment import degrade_sound, other_throat
from atl_training.checkpoint import complete
from atl_training.corpus.ear import PAUSE, Ear, refined, spoken_at
from atl_training.corpus.engines import run_jobs
from atl_training.corpus.phonemes import Segment
from atl_training.corpus.recordings import align, make_decoder
from atl_training.corpus.speech import Speaker, Speech, covering
from atl_training.corpus.text import few_sentences, random_sentence
from atl_training.corpus.visemes import mouth_track
from atl_training.corpus.voices import VOICES, Manner, Voice, felt, may_speak, neutral_manner
from atl_training.landmarks.judge import points_of
from atl_training.schedule import one_cycle

SPEAKER_SHARES = {"espeak-ng": 0.2, "joe": 0.14, "jf_storyteller": 0.06, "jm_kumo": 0.04}  # of the utterances;
# the others have equal parts of the rest. eSpeak's many variants need more; Kokoro is slow.
TOGETHER = 100  # utterances that one seed gives
LEARNT_LINES = 30  # that each of Kokoro's voices says
BATCH, EXCERPT = 24, 300  # excerpts, and their frames
RATE = 2e-3
DISTURBED = 0.6  # of the excerpts have another microphone, room and noise
LEAST_STEPS = 100


def known_voices() -> list[Voice]:
    """The English voices that tell their own times; without mixed ones, which say them as those do that they are mixed of."""
    return [voice for voice in VOICES.values() if voice.engine != "real" and voice.language == "en" and "~" not in voice.name]


def speak(cache: Path, without: tuple[str, ...], seed: int) -> list[Speech]:
    """TOGETHER utterances of the voices of `known_voices` that aren't held out, other than some."""
    rng = np.random.default_rng(seed)
    speakers: dict[str, list[str]] = {}
    for voice in known_voices():
        if may_speak(voice, False) and voice.name not in without:
            speakers.setdefault(voice.speaker, []).append(voice.name)
    shares = np.array([SPEAKER_SHARES.get(name, 0.0) for name in speakers])
    if (others := shares == 0).any():
        shares[others] = (1 - shares.sum()) / others.sum()
    shares /= shares.sum()
    names, out = list(speakers), []
    with Speaker(cache) as speaker:
        while len(out) < TOGETHER:
            voice = str(rng.choice(speakers[names[rng.choice(len(names), p=shares)]]))
            manner = felt(neutral_manner(rng, voice), "neutral", 0)
            few = voice.startswith("kokoro")
            text = str(rng.choice(few_sentences(voice, False)[:LEARNT_LINES])) if few else random_sentence(rng, False)
            out.append(speaker.say(text, manner))
    return out


def train(utterances: list[Speech], steps: int, seed: int = 0) -> Ear:
    """An ear after so many steps; 1,500 take 9 minutes of one core."""
    torch.manual_seed(seed)
    rng, ear = np.random.default_rng(seed), Ear()
    optimiser = torch.optim.AdamW(ear.parameters(), RATE, weight_decay=0.01)
    schedule = one_cycle(optimiser, RATE, steps, 0.1)
    bar = tqdm(range(steps), desc="listening", mininterval=10)
    for _ in bar:
        features, rows = (np.stack(column) for column in zip(*(_excerpt(rng, utterances) for _ in range(BATCH)), strict=True))
        with torch.autocast("cpu", torch.bfloat16):
            logits = ear(torch.from_numpy(features.astype(np.float32)))
        loss = F.cross_entropy(logits.float().flatten(0, 1), torch.from_numpy(rows).flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ear.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    return ear.eval()


def _excerpt(rng: np.random.Generator, utterances: list[Speech]) -> tuple[np.ndarray, np.ndarray]:
    """Features (EXCERPT, MELS) of a random excerpt, with silence where there is none, and what is said (EXCERPT,)."""
    speech = utterances[rng.integers(len(utterances))]
    count = len(speech.samples) // HOP
    begin = int(rng.integers(-20, max(1, count - EXCERPT + 20)))
    first, last = max(begin, 0), min(begin + EXCERPT, count)
    sound, rows = np.zeros(EXCERPT * HOP, np.float32), np.full(EXCERPT, PAUSE)
    sound[(first - begin) * HOP : (last - begin) * HOP] = speech.samples[first * HOP : last * HOP]
    rows[first - begin : last - begin] = spoken_at(speech.segments, count)[first:last]
    if rng.random() < DISTURBED:
        sound = degrade_sound(rng, sound)
    return other_throat(rng, log_mel(sound.astype(np.float32))), rows


def agreement(ear: Ear, voice: str, speaker: Speaker) -> dict[str, list[float]]:
    """How well the mouth of an alignment follows that of the voice's own times: the lip gap's correlation, by held-out sentence.
    The phonemes are the dictionary's, as recordings' are: where the voice says other ones, no times are right."""
    decoder, out = make_decoder(), {"pocketsphinx": [], "refined": []}
    for text in few_sentences(voice, True):
        speech = speaker.say(text, Manner(voice))
        try:
            rough = align(decoder, speech.samples, text)[0]
            better = refined(ear, speech.samples, rough)
        except ValueError:  # told by `prepare` of recordings; here it is one sentence less
            continue
        true = _gap(speech.segments, speech.duration_s)
        for name, found in zip(out, (rough, better), strict=True):
            out[name].append(correlation(true, _gap(covering(found, speech.duration_s), speech.duration_s)))
    return out


def _gap(segments: list[Segment], duration_s: float) -> np.ndarray:
    """Lip gap (T,) on the average face."""
    weights = mouth_track(segments, duration_s, FRAME_RATE)[0]
    return lip_gap(points_of(weights[:, SPEECH]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="safetensors file")
    parser.add_argument("--utterances", type=int, default=3600, help="that it learns from, rounded up to hundreds (%(default)s)")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--without", nargs="*", default=[], metavar="VOICE",
                        help="voices that it doesn't learn from and is judged by, as by those that are held out")  # fmt: skip


def run(options: argparse.Namespace) -> None:
    """Raises UserError: no such voice, none is left, or nothing to do."""
    known = [voice.name for voice in known_voices()]
    unknown = sorted(set(options.without) - set(known))
    if unknown:
        raise UserError(f"{unknown[0]} can't be left out: it is none of the English voices that tell their own times "
                        f"({', '.join(name for name in known if not name.startswith('espeak'))}, espeak's).")  # fmt: skip
    judged = [name for name in known if name in options.without or not may_speak(VOICES[name], False)]
    if len(judged) == len(known):
        raise UserError("--without leaves no voice to learn from.")
    if options.steps < LEAST_STEPS or options.utterances < 1:
        raise UserError(f"--steps must be {LEAST_STEPS} or more, --utterances 1 or more.")
    if options.out.is_dir():
        raise UserError(f"{options.out} is a folder: --out is the file to write.")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    work, seeds = partial(speak, options.cache, tuple(options.without)), list(range(-(-options.utterances // TOGETHER)))
    spoken = tqdm(run_jobs("local", work, seeds, os.cpu_count() or 1), desc="speaking", total=len(seeds))
    utterances = sorted((speech for part in spoken for speech in part), key=lambda speech: speech.samples.tobytes())
    print(f"{len(utterances)} utterances, {sum(u.duration_s for u in utterances) / 3600:.2f} h")
    torch.set_num_threads(1)
    ear = train(utterances, options.steps)
    with complete(options.out) as partial_file:
        save_file(ear.state_dict(), partial_file)
    with Speaker(options.cache) as speaker:
        for voice in judged:
            figures = agreement(ear, voice, speaker)
            print(f"{voice}: lip gap against that of its own times, mean of {len(figures['refined'])} sentences: "
                  + ", ".join(f"{name} r {np.mean(values):.3f}" for name, values in figures.items()))  # fmt: skip
