"""Who looks on over WebRTC: one connection and two tracks each, fed with packets that were encoded once for
all."""

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import aioice.ice
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from atl_display_node.encoders import VIDEO_CODECS, AudioEncoder, VideoEncoder

QUEUE = 25  # packets that may wait for a viewer's network: 1 s of pictures, half a second of sound
# pictures that may wait for the encoder: more means that the machine is too slow, so one is dropped
MAX_ENCODING = 2
LOOPBACK = "127.0.0.1"


def offer_loopback() -> None:
    """Let aioice offer 127.0.0.1 too: RFC 8445 leaves it out, but a robot without a network has no other
    address."""
    find = aioice.ice.get_host_addresses
    if getattr(find, "finds_loopback", False):
        return

    def with_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [LOOPBACK, *find(use_ipv4=use_ipv4, use_ipv6=use_ipv6)]

    with_loopback.finds_loopback = True
    aioice.ice.get_host_addresses = with_loopback


def without_mdns(sdp: str) -> str:
    """An offer less its `….local` candidates, the names behind which browsers hide addresses.

    Looking them up needs multicast and costs a second. They aren't needed: the browser finds us, and its
    address is learnt from its checks (RFC 8445, peer-reflexive candidates). Nor must the offer say that it
    has no others.
    """
    lines = [line for line in sdp.splitlines() if not re.match(r"a=candidate:.*\.local |a=end-of-candidates", line)]
    return "\r\n".join(lines) + "\r\n"


def choose_codec(sdp: str) -> str:
    """MIME type of the cheapest video codec that an offer has."""
    names = {name.lower() for name in re.findall(r"a=rtpmap:\d+ (\w+)/90000", sdp)}
    return next((mime for mime in VIDEO_CODECS if mime.split("/")[1].lower() in names), "video/VP8")


class PacketTrack(MediaStreamTrack):
    """A track whose packets are pushed; a viewer that can't take them loses them, nobody waits for it."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        self._packets: asyncio.Queue[av.Packet | None] = asyncio.Queue(QUEUE)
        self._needs_keyframe = kind == "video"
        self.dropped = 0

    @property
    def needs_keyframe(self) -> bool:
        """True while nothing but a keyframe can be shown: at the start and after a loss."""
        return self._needs_keyframe

    def push(self, packet: av.Packet) -> None:
        """Send a packet; in the event loop's thread."""
        if self._needs_keyframe and not packet.is_keyframe:
            return
        if self._packets.full():
            self.dropped += 1
            self._needs_keyframe = self.kind == "video"
            return
        self._needs_keyframe = False
        self._packets.put_nowait(packet)

    async def recv(self) -> av.Packet:
        """aiortc's side."""
        packet = await self._packets.get()
        if packet is None or self.readyState != "live":
            raise MediaStreamError
        return packet

    def stop(self) -> None:
        super().stop()
        if not self._packets.full():
            self._packets.put_nowait(None)


class Viewer:
    """One browser: its connection, its tracks, and whether it is connected."""

    def __init__(self):
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # no outside server is asked
        self.video, self.audio = PacketTrack("video"), PacketTrack("audio")
        self.codec = ""

    @property
    def connected(self) -> bool:
        return self.connection.connectionState == "connected"

    async def answer(self, offer_sdp: str) -> str:
        """Take a browser's offer to receive sound and pictures; returns our answer. ValueError where it is no
        offer."""
        self.codec = choose_codec(offer_sdp)
        codecs = [codec for codec in RTCRtpSender.getCapabilities("video").codecs if codec.mimeType == self.codec]
        self.connection.addTransceiver(self.video, "sendonly").setCodecPreferences(codecs)
        self.connection.addTransceiver(self.audio, "sendonly")
        await self.connection.setRemoteDescription(RTCSessionDescription(without_mdns(offer_sdp), "offer"))
        await self.connection.setLocalDescription(await self.connection.createAnswer())
        return self.connection.localDescription.sdp

    async def close(self) -> None:
        await self.connection.close()


class Audience:
    """All viewers; encodes for them in a thread of its own, and only while someone looks on.

    `hear` and `show` may be called from any thread; the rest belongs to the event loop's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self.viewers: set[Viewer] = set()
        self._encoder = ThreadPoolExecutor(1, "encoder")
        self._waiting = 0  # pictures with the encoder
        self._video: dict[str, VideoEncoder] = {}
        self._audio = AudioEncoder()
        self._heard_ns, self._heard_at_ns = 0, 0  # media time of the last sound, and when that was on a clock that nobody sets
        self._shift_ns = 0  # of the packets' time to media time
        self._problems = {"picture": "", "sound": ""}  # of the last of each
        self.encoded, self.dropped = 0, 0

    @property
    def connected(self) -> list[Viewer]:
        """Those who see something now."""
        return [viewer for viewer in tuple(self.viewers) if viewer.connected]

    @property
    def problem(self) -> str:
        """What can't be encoded now, in a sentence; "" when all is well."""
        return self._problems["picture"] or self._problems["sound"]

    def hear(self, samples: np.ndarray, media_time_ns: int) -> None:
        """Send 20 ms of sound: int16 (320,).

        Browsers drop sound whose time goes back until it is past the old one: packets' time goes on where the clock was set back.
        """
        now_ns = time.monotonic_ns()
        if media_time_ns < self._heard_ns:
            self._shift_ns += self._heard_ns + (now_ns - self._heard_at_ns) - media_time_ns
        self._heard_ns, self._heard_at_ns = media_time_ns, now_ns
        if self.connected:
            self._encoder.submit(self._encode_sound, samples, media_time_ns + self._shift_ns)

    def show(self, image: np.ndarray, media_time_ns: int) -> None:
        """Send a picture (H, W, 3) uint8 RGB."""
        viewers = self.connected
        if not viewers:
            if self._video or self.problem:
                self._encoder.submit(self._forget)  # its thread may be encoding still
        elif self._waiting >= MAX_ENCODING:
            self.dropped += 1
        else:
            self._waiting += 1
            codecs: dict[str, bool] = {}
            for viewer in viewers:
                codecs[viewer.codec] = codecs.get(viewer.codec, False) or viewer.video.needs_keyframe
            self._encoder.submit(self._encode_picture, image, media_time_ns + self._shift_ns, codecs)

    async def close(self) -> None:
        """Send everybody home."""
        await asyncio.gather(*(viewer.close() for viewer in tuple(self.viewers)))
        self.viewers.clear()
        self._encoder.shutdown()

    def _forget(self) -> None:
        self._video.clear()
        self._problems = dict.fromkeys(self._problems, "")

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Keep why something can't be encoded, until the next one can: nobody reads what the encoder's thread raises."""
        try:
            yield
        except Exception as error:  # what a codec or its library raises
            self._problems[what] = f"a {what} can't be encoded ({error!r})"
        else:
            self._problems[what] = ""

    def _encode_sound(self, samples: np.ndarray, media_time_ns: int) -> None:
        with self._noting("sound"):
            for packet in self._audio.encode(samples, media_time_ns):
                self._loop.call_soon_threadsafe(self._send, packet, "")

    def _encode_picture(self, image: np.ndarray, media_time_ns: int, codecs: dict[str, bool]) -> None:
        with self._noting("picture"):
            for mime_type, keyframe in codecs.items():
                if mime_type not in self._video:
                    self._video[mime_type] = VideoEncoder(mime_type)
                for packet in self._video[mime_type].encode(image, media_time_ns, keyframe):
                    self._loop.call_soon_threadsafe(self._send, packet, mime_type)
            self.encoded += 1
        self._waiting -= 1

    def _send(self, packet: av.Packet, codec: str) -> None:
        """Hand a packet to those whom it is for; `codec` is empty for sound."""
        for viewer in self.connected:
            if not codec:
                viewer.audio.push(packet)
            elif codec == viewer.codec:
                viewer.video.push(packet)
