"""Separate program: speaks lines with eSpeak NG through its C library and reports phoneme timings.

eSpeak NG is GPL-3: it is used as a program, by path, never imported. Standard input: one JSON object a line
{text, voice, rate, pitch, range, out}. Standard output: [[start_s, end_s, phoneme], ...] a line, phonemes in IPA.
"""

import ctypes
import json
import os
import sys
import wave

AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS, INITIALIZE_PHONEME_IPA = 1, 2
EVENT_END, EVENT_PHONEME = 0, 7
RATE, PITCH, RANGE = 1, 3, 4  # espeak_PARAMETER
CHARS_UTF8 = 1


class EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class Event(ctypes.Structure):  # espeak_EVENT of speak_lib.h
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", EventId),
    ]  # fmt: skip


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Espeak:
    def __init__(self):
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate_hz = self.library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, 0, None, INITIALIZE_PHONEME_EVENTS | INITIALIZE_PHONEME_IPA
        )
        self.sound, self.events = bytearray(), []
        self._callback = CALLBACK(self._receive)  # kept: the library calls it later
        self.library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples, count, events) -> int:
        if count > 0 and samples:
            self.sound += ctypes.string_at(samples, count * 2)
        at = 0
        while events[at].type != EVENT_END:
            if events[at].type == EVENT_PHONEME:
                name = ctypes.string_at(ctypes.addressof(events[at].id), 8).split(b"\0")[0].decode("utf-8", "ignore")
                self.events.append((events[at].audio_position / 1000, name))
            at += 1
        return 0

    def speak(self, request: dict) -> list[tuple[float, float, str]]:
        self.sound, self.events = bytearray(), []
        if self.library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
            raise ValueError(f"eSpeak NG has no voice {request['voice']}")  # it would go on in the one before
        for parameter, value in ((RATE, "rate"), (PITCH, "pitch"), (RANGE, "range")):
            self.library.espeak_SetParameter(parameter, int(request[value]), 0)
        text = request["text"].encode() + b"\0"
        self.library.espeak_Synth(text, len(text), 0, 1, 0, CHARS_UTF8, None, None)
        self.library.espeak_Synchronize()
        with wave.open(request["out"], "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(self.rate_hz)
            sound.writeframes(bytes(self.sound))
        ends = [start for start, _ in self.events[1:]] + [len(self.sound) / 2 / self.rate_hz]
        return [(start, end, name) for (start, name), end in zip(self.events, ends, strict=True)]


def main() -> None:
    espeak = Espeak()
    for line in sys.stdin:
        # Each line is spoken by a fresh copy of this process: eSpeak's noise and flutter go on where they stopped, so a
        # sentence would depend on what was said before.
        child = os.fork()
        if child == 0:
            print(json.dumps(espeak.speak(json.loads(line))), flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit(1)


if __name__ == "__main__":
    main()
