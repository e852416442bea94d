"""Pictures and sound into packets for WebRTC: encoded once, however many look on."""

from fractions import Fraction

import av
import cv2
import numpy as np

from atl_face.stream import FRAME_RATE, SAMPLE_RATE

VIDEO_TIME_BASE = Fraction(1, 90_000)  # RTP's clock for video
AUDIO_TIME_BASE = Fraction(1, SAMPLE_RATE)
KEYFRAME_EVERY = 2 * FRAME_RATE  # a viewer that lost a packet sees a whole picture again after at most 2 s
AUDIO_BITRATE = 32_000  # wide-band mono speech; Opus gains nothing audible above it

# Measured on one core, 512x512 at 25/s, GRID faces, ms of CPU per frame without the colour conversion:
# x264 ultrafast crf 23: 1.4 (750 kb/s, 39.3 dB); libvpx cpu-used 16: 2.2 (1.5 Mb/s, 40.4 dB); aiortc's own
# x264 settings: 15.8. Browsers without H.264 (Firefox before it has fetched OpenH264) get VP8.
VIDEO_CODECS = {
    "video/H264": (
        "libx264",
        # repeated headers: a viewer may join at any keyframe; no B-frames and no look-ahead: nothing is held
        # back
        {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "profile": "baseline"},
    ),
    "video/VP8": (
        "libvpx",
        {"deadline": "realtime", "cpu-used": "-16", "lag-in-frames": "0", "static-thresh": "1", "crf": "12"},
    ),
}
VP8_BITRATE = 1_500_000  # upper bound; crf 12 stays below it on a still background


class VideoEncoder:
    """One codec, one picture size; made anew when the size changes, or when the clock was set back: time must not return for VP8.

    Args:
        mime_type: a key of VIDEO_CODECS.
    """

    def __init__(self, mime_type: str):
        self._name, self._options = VIDEO_CODECS[mime_type]
        self._codec: av.VideoCodecContext | None = None
        self._last_pts = 0

    def encode(self, image: np.ndarray, media_time_ns: int, keyframe: bool) -> list[av.Packet]:
        """Encode a picture (H, W, 3) uint8 RGB, an odd side cut by one; one packet, at once."""
        height, width = image.shape[0] & ~1, image.shape[1] & ~1
        image = np.ascontiguousarray(image[:height, :width])
        pts = media_time_ns * VIDEO_TIME_BASE.denominator // 1_000_000_000
        if self._codec is None or (self._codec.width, self._codec.height) != (width, height) or pts <= self._last_pts:
            self._codec = self._make(width, height)
        self._last_pts = pts
        # OpenCV converts in 0.2 ms what swscale takes 1.7 ms for; both give BT.601, limited range.
        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
        frame.pts, frame.time_base = pts, VIDEO_TIME_BASE
        frame.pict_type = av.video.frame.PictureType.I if keyframe else av.video.frame.PictureType.NONE
        return self._codec.encode(frame)

    def _make(self, width: int, height: int) -> av.VideoCodecContext:
        codec = av.CodecContext.create(self._name, "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.framerate, codec.time_base = Fraction(FRAME_RATE), VIDEO_TIME_BASE
        codec.gop_size, codec.options = KEYFRAME_EVERY, dict(self._options)
        codec.thread_count = 1  # 2 ms a frame: threads would only add overhead
        if self._name == "libvpx":
            codec.bit_rate = VP8_BITRATE
        return codec


class AudioEncoder:
    """Opus, 20 ms a packet, from the graph's own 16 kHz mono."""

    def __init__(self):
        self._codec = av.CodecContext.create("libopus", "w")
        self._codec.sample_rate, self._codec.layout, self._codec.format = SAMPLE_RATE, "mono", "s16"
        self._codec.bit_rate, self._codec.time_base = AUDIO_BITRATE, AUDIO_TIME_BASE
        self._codec.options = {"application": "voip", "frame_duration": "20"}

    def encode(self, samples: np.ndarray, media_time_ns: int) -> list[av.Packet]:
        """Encode int16 (320,)."""
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], "s16", "mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, AUDIO_TIME_BASE
        frame.pts = media_time_ns * SAMPLE_RATE // 1_000_000_000
        return self._codec.encode(frame)
