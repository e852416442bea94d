"""What can be set on the display node."""

from atl_node.params import Parameter

PARAMETERS = [
    Parameter(
        "sink",
        "web",
        "Where the face is shown; `file` records frames and sound as they come.",
        choices=("web", "window", "file", "none"),
        read_only=True,
    ),
    Parameter(
        "playout_delay_s",
        0.30,  # look-ahead 80 ms + a frame of sound 40 ms + rendering and transport 80 ms + reserve 100 ms
        "A sound or picture of media time t is heard and seen at t plus this.",
        minimum=0.2,  # below it, every frame would come too late
        maximum=2.0,  # what the queue of frames holds (playout.MAX_FRAMES)
        read_only=True,
    ),
    Parameter("host", "127.0.0.1", "Address that the page binds; 0.0.0.0 shows it to the network.", read_only=True),
    Parameter("port", 8080, "TCP port of the page; 0 takes a free one.", minimum=0, maximum=65535, read_only=True),
    Parameter("max_viewers", 8, "Browsers that may look on at once.", minimum=1, maximum=64, read_only=True),
    Parameter(
        "page_names",
        "",
        "Names beside this machine's own and *.local by which the page may be opened (robot.example.org), separated by commas.",
        read_only=True,
    ),
    Parameter("fullscreen", False, "Window: fill the screen.", read_only=True),
    Parameter("out", "", "File: the clip to write (.mp4).", read_only=True),
    Parameter(
        "end_timeout_s",
        5.0,
        "File: give up when the sound has ended and no frame has come for so long.",
        minimum=0.5,
        maximum=120.0,
        read_only=True,
    ),
]
