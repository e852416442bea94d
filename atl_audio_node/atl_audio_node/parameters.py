"""What can be set on the audio node."""

from atl_node.params import Parameter

PARAMETERS = [
    Parameter(
        "source",
        "silence",
        "Where the sound comes from; `say` works with each of them.",
        choices=("microphone", "file", "topic", "silence"),
        read_only=True,
    ),
    Parameter("path", "", "Sound or video file that the source `file` plays.", read_only=True),
    Parameter("loop", False, "Play the file for ever; otherwise `audio_end` tells its end.", read_only=True),
    Parameter(
        "device",
        "",
        "Microphone: PortAudio's index or a part of its name; empty is the default.",
        read_only=True,
    ),
    Parameter(
        "device_rate_hz",
        0,
        "Microphone's sample rate; 0 takes the device's own.",
        minimum=0,
        maximum=192000,
        read_only=True,
    ),
    Parameter(
        "backlog_s",
        0.0,
        "Source `topic`: a live voice, of which no more may wait (else all but 40 ms is dropped); 0: utterances, said whole.",
        minimum=0.0,
        maximum=10.0,
        read_only=True,
    ),
    Parameter(
        "min_subscribers",
        1,
        "Source `file` begins when `audio` has so many subscribers: no word is lost.",
        minimum=0,
        maximum=16,
        read_only=True,
    ),
    Parameter(
        "pause_s",
        0.4,
        "Silence after an utterance of `say`; shorter than the playout delay it cuts ends.",
        minimum=0.0,
        maximum=5.0,
        read_only=True,
    ),
    Parameter("voice", "en", "espeak-ng's voice for the text of `say`, e.g. en, en-us, de, fr+f3."),
    Parameter("words_per_minute", 160, "Pace of espeak-ng's voice.", minimum=80, maximum=450),
]
