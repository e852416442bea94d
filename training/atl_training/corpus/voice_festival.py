"""Separate program: speaks lines with Festival's voices and reports phoneme timings. Run by path, never imported.

Festival and its voices (X11-like, GPL, LGPL) are programs of their own: one process a voice, kept alive, because Czech
takes a third of a second to load and because a voice leaves settings behind that would change the next one. Standard
input: one JSON object a line {text, voice, speed, pitch, range, out}; pitch and range multiply the voice's own F0 and
how far it moves. Standard output: [[start_s, end_s, phoneme], ...] a line, in the voice's own phoneme names.
"""

import json
import re
import subprocess
import sys
import zlib

# Voice -> what its text must be encoded in (each voice's own description says so).
ENCODINGS = {
    "cmu_us_slt_arctic_hts": "latin-1", "ked_diphone": "latin-1", "kal_diphone": "latin-1", "lp_diphone": "latin-1",
    "pc_diphone": "latin-1", "suo_fi_lj_diphone": "latin-1", "hy_fi_mv_diphone": "latin-1",
    "upc_ca_ona_hts": "iso8859-15", "msu_ru_nsh_clunits": "utf-8", "czech_dita": "iso8859-2",
    "czech_krb": "iso8859-2", "czech_machac": "iso8859-2", "czech_ph": "iso8859-2",
}  # fmt: skip

# The targets of the F0 curve are scaled after the analysis; HTS voices take the speed alone, msu_ru_nsh
# (unit selection) takes nothing. Czech draws its intonation and durations: seeded with the text, not the clock.
SCHEME = """
(define (atl_targets utt) (apply append (mapcar (lambda (s) (item.daughters s)) (utt.relation.items utt 'Target))))
(define (atl_tune utt)
  (let ((sum 0) (count 0))
    (if (utt.relation.present utt 'Target)
      (begin
        (mapcar (lambda (t) (set! sum (+ sum (item.feat t "f0"))) (set! count (+ count 1))) (atl_targets utt))
        (mapcar (lambda (t) (item.set_feat t "f0"
                  (* atl_pitch (+ (/ sum count) (* atl_range (- (item.feat t "f0") (/ sum count)))))))
                (atl_targets utt)))))
  utt)
(set! after_analysis_hooks
  (append (if (or (null after_analysis_hooks) (consp after_analysis_hooks)) after_analysis_hooks
              (list after_analysis_hooks)) (list atl_tune)))
(set! atl_stretch (Parameter.get 'Duration_Stretch))
(require 'hts)
(set! atl_hts hts_engine_params)
(set! czech-rand-range 1)
(define (atl_say text out seed speed pitch range)
  (srand seed)
  (if atl_hts (set! hts_engine_params
    (append atl_hts (list (list "-r" speed)))))
  (set! atl_pitch pitch)
  (set! atl_range range)
  (Parameter.set 'Duration_Stretch (/ atl_stretch speed))
  (let ((utt (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave utt out 'riff)
    (print (mapcar (lambda (s) (list (item.name s) (item.feat s "end"))) (utt.relation.items utt 'Segment)))))
(print (if (boundp 'current-voice) current-voice))
(fflush nil)
"""


class Festival:
    """One voice in one process."""

    def __init__(self, voice: str):
        self._encoding = ENCODINGS[voice]
        self._process = subprocess.Popen(["festival", "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._send(f"(voice_{voice})" + SCHEME.replace("\n", " "))
        if self._process.stdout.readline().decode().strip() != voice:  # it would go on in its default voice
            raise RuntimeError(f"festival has no voice {voice}")

    def _send(self, line: str) -> None:
        self._process.stdin.write(line.encode(self._encoding, "replace") + b"\n")
        self._process.stdin.flush()

    def speak(self, request: dict) -> list[tuple[float, float, str]]:
        text = re.sub(r'["\\\n]', " ", request["text"])
        seed = zlib.crc32(request["text"].encode()) % 2**31
        numbers = " ".join(f"{request[name]:.4f}" for name in ("speed", "pitch", "range"))
        self._send(f'(atl_say "{text}" "{request["out"]}" {seed} {numbers}) (print nil) (fflush nil)')
        line = self._process.stdout.readline().decode(self._encoding)
        if not line.startswith("(("):
            raise RuntimeError(f"festival can't say {text!r}")
        self._process.stdout.readline()  # the nil that comes even after an error, so that nobody waits for ever
        out, start = [], 0.0
        for name, end in re.findall(r'\("([^"]*)" ([\d.e+-]+)\)', line):
            out.append((start, float(end), name))
            start = float(end)
        return out


def main() -> None:
    voices: dict[str, Festival] = {}
    for line in sys.stdin:
        request = json.loads(line)
        voice = request["voice"]
        if voice not in voices:
            voices[voice] = Festival(voice)
        print(json.dumps(voices[voice].speak(request)), flush=True)


if __name__ == "__main__":
    main()
