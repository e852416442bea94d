"""Recorded voices for the landmark network: forced alignment (pocketsphinx) gives phonemes, the corpus's rules the mouth.

    python -m atl_training.landmarks.recorded --speech DIR --out DIR

DIR/transcripts.tsv names the files and their texts. A recording whose words the dictionary lacks, or that does not align,
is named and skipped. Held out by file name.
"""
import argparse
import re
from pathlib import Path

import numpy as np
import soundfile
from pocketsphinx import Decoder
from tqdm import tqdm

from atl_face.media import read_audio
from atl_face.stream import FRAME_RATE, FRAME_SAMPLES
from atl_face.topology import ARKIT_52
from atl_training.corpus.clip import loudness
from atl_training.corpus.visemes import mouth_track
from atl_training.splits import held_out

FRAME_S = 0.01  # of pocketsphinx
JAW_GAIN = 1.15  # the middle of what the corpus draws for its speakers


def align(decoder: Decoder, sound: np.ndarray, text: str) -> list[tuple[float, float, str]]:
    """Phoneme segments (start_s, end_s, lower-case ARPAbet, `pau`) of a recording; raises RuntimeError where it can't."""
    pcm = np.clip(sound * 32767, -32768, 32767).astype(np.int16).tobytes()
    decoder.set_align_text(" ".join(re.findall(r"[a-z']+", text.lower())))
    for second in (False, True):  # words first, then phones inside them
        if second:
            decoder.set_alignment()
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
    segments = []
    for word in decoder.get_alignment():
        for phone in word:
            name = phone.name.lower()
            at = phone.start * FRAME_S
            segments.append((at, at + phone.duration * FRAME_S, "pau" if name in ("sil", "+spn+", "+nsn+") else name))
    return segments


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    decoder = Decoder(lm=None, bestpath=False, beam=1e-80, pbeam=1e-80, wbeam=1e-60, loglevel="FATAL")
    lines = (arguments.speech / "transcripts.tsv").read_text().splitlines()[1:]
    skipped = []
    for line in tqdm(lines):
        name, text = line.split("\t")
        sound = read_audio(arguments.speech / name)
        try:
            segments = align(decoder, sound, text)
        except RuntimeError as error:
            skipped.append(f"{name}: {error}")
            continue
        frames = len(sound) // FRAME_SAMPLES
        sound = sound[: frames * FRAME_SAMPLES]
        weights, _, labels = mouth_track(segments, frames / FRAME_RATE, FRAME_RATE, jaw_gain=JAW_GAIN,
                                         loudness=loudness(sound))  # fmt: skip
        stem = Path(name).stem
        soundfile.write(arguments.out / f"{stem}.flac", sound, 16000)
        np.savez(arguments.out / f"{stem}.npz", weights=np.clip(weights[:, : len(ARKIT_52)], 0, 1).astype(np.float32),
                 speaking=labels != "sil", emotion="neutral", emotion_intensity=0.0, validation=held_out(stem))  # fmt: skip
    print(f"{len(lines) - len(skipped)} recordings aligned, {len(skipped)} skipped", *skipped, sep="\n")


if __name__ == "__main__":
    main()
