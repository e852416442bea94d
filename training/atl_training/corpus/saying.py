"""The introduction that ships with the nodes: a text spoken by the CC0 voice."""
import argparse
from pathlib import Path

import numpy as np
import soundfile

from atl_face.stream import SAMPLE_RATE
from atl_training.corpus.speech import Speaker
from atl_training.corpus.voices import Manner

VOICE = "piper/joe"
QUIET_S = 0.3  # of silence before and after


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--text", required=True)
    parser.add_argument("--out", type=Path, required=True, help="FLAC file, 16 kHz mono")
    parser.add_argument("--speed", type=float, default=1.0)


def run(options: argparse.Namespace) -> None:
    with Speaker(options.cache) as speaker:
        spoken = speaker.say(options.text, Manner(VOICE, options.speed))
    quiet = np.zeros(int(QUIET_S * SAMPLE_RATE), np.float32)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(options.out, np.concatenate([quiet, spoken.samples, quiet]), SAMPLE_RATE, subtype="PCM_16")
