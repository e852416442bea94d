"""Text to sound by the program espeak-ng, where it is installed; it runs as a program of its own and is never
linked."""

import io
import shutil
import subprocess

import numpy as np
import soundfile
import soxr

from atl_face.errors import UserError
from atl_face.stream import SAMPLE_RATE

TIMEOUT_S = 20.0  # espeak-ng makes minutes of speech in a second; longer means that it hangs
MAX_CHARACTERS = 5000  # about six minutes of speech; more is a mistake


def synthesise(text: str, voice: str = "en", words_per_minute: int = 160) -> np.ndarray:
    """Speak `text`: mono float32 (n,) at 16 kHz.

    Raises:
        UserError: no text, too much of it, no espeak-ng, a voice that is unknown or no name, or nothing that can be spoken.
    """
    if not text.strip():
        raise UserError("There is nothing to say: give text or samples.", "no_text")
    if len(text) > MAX_CHARACTERS:
        raise UserError(
            f"{len(text)} characters are too much at once: send at most {MAX_CHARACTERS}.", "long_text"
        )
    if not voice.isprintable():
        raise UserError(f"There is no voice {voice!r}: `espeak-ng --voices` lists their names.", "bad_voice")
    program = shutil.which("espeak-ng")
    if program is None:
        raise UserError(
            "No voice is installed: run `apt install espeak-ng`, or send samples instead of text.", "no_voice"
        )
    command = [program, "--stdin", "--stdout", "-b", "1", "-v", voice, "-s", str(words_per_minute)]
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=True
        )
        samples, rate_hz = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"espeak-ng took more than {TIMEOUT_S:.0f} s: try a shorter text.", "voice_failed"
        ) from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip() or f"exit code {error.returncode}"
        raise UserError(
            f"espeak-ng can't speak with the voice {voice!r} ({reason}).", "voice_failed"
        ) from error
    except soundfile.LibsndfileError as error:
        raise UserError(f"espeak-ng gave no sound for this text ({error}).", "voice_failed") from error
    if samples.size == 0:
        raise UserError("There is nothing in this text that can be spoken.", "no_text")
    return soxr.resample(samples, rate_hz, SAMPLE_RATE).astype(np.float32)
