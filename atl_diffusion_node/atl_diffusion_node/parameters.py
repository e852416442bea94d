"""Parameters of the diffusion node."""

from atl_diffusion_node.runtime import DEVICES
from atl_node.params import Parameter

PARAMETERS = [
    Parameter("portrait", "", "Picture file of the face; empty takes the shipped synthetic one.", read_only=True),
    Parameter("output_size", 512, "Height of the frames in pixels; the width follows the portrait's shape.",
              minimum=128, maximum=2160, read_only=True),
    Parameter("device", "auto", "What computes the network: cpu (OpenVINO), onnxruntime (f32 or int8; on CUDA where its package "
              "has that), cuda (torch in bf16), cuda-graphs (that, compiled: a minute at the start), or auto: cuda where torch "
              "sees one, else cpu. The CUDA ones were never run: no GPU was there.",
              choices=DEVICES, read_only=True),
    Parameter("precision", "auto", "On CPUs (cuda computes in bf16); auto takes int8 on x86, which is the "
              "fastest there and costs .02 dB, else f32.",
              choices=("auto", "f32", "bf16", "int8"), read_only=True),
    Parameter("threads", 2, "Threads that draw on a CPU, 0: all cores. From two on the face and its mouth are drawn at the "
              "same time. Two are what a small robot has.",
              minimum=0, maximum=64, read_only=True),
    Parameter("steps", 1, "Network evaluations a frame.", minimum=1, maximum=8, read_only=True),
    Parameter("governor", True, "Draw less while the machine is too slow for 25 frames a second: fewer evaluations, then the "
              "mouth alone, then the warped portrait. A recording that nobody watches live can do without.",
              read_only=True),
    Parameter("seed", 0, "Seed of the guide noise.", minimum=0, read_only=True),
    Parameter("max_delay_s", 0.14, "A frame that has fallen behind the best of its stream by more is dropped, not drawn. "
              "The graph sets it to what is left of the display's playout delay: nobody would see the frame later.",
              minimum=0.05, maximum=60.0),
    Parameter("jpeg_quality", 85, "Of image_raw/compressed.", minimum=30, maximum=100),
]  # fmt: skip
