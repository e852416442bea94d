"""Pictures and sound as packets: their times, where the clock is set back too, and what is told when one can't be made."""

import asyncio

import numpy as np
import pytest

from atl_display_node.encoders import VIDEO_CODECS, AudioEncoder, VideoEncoder
from atl_display_node.viewers import Audience, PacketTrack
from atl_display_node.web import WebSink


def picture(k):
    """A bar that moves."""
    image = np.full((64, 64, 3), 60, np.uint8)
    image[:, k % 56 :][:, :8] = 240
    return image


@pytest.mark.parametrize("mime_type", VIDEO_CODECS)
def test_each_picture_is_one_packet_with_its_own_time(mime_type):
    encoder = VideoEncoder(mime_type)
    for k in range(30):
        (packet,) = encoder.encode(picture(k), k * 40_000_000, keyframe=k == 20)
        assert packet.pts == k * 3600 and packet.is_keyframe == (k in (0, 20))
    (packet,) = encoder.encode(np.zeros((101, 63, 3), np.uint8), 30 * 40_000_000, False)
    assert packet.is_keyframe  # another size begins anew


@pytest.mark.parametrize("mime_type", VIDEO_CODECS)
def test_pictures_go_on_where_the_clock_was_set_back(mime_type):
    encoder = VideoEncoder(mime_type)
    for start_ns in (10**18, 10**18 - 3600 * 10**9, 10**18 - 3600 * 10**9):
        for k in range(3):
            (packet,) = encoder.encode(picture(k), start_ns + k * 40_000_000, False)
            assert packet.pts == (start_ns + k * 40_000_000) * 9 // 10**5 and packet.is_keyframe == (k == 0)


class Onlooker:
    """A viewer without a browser."""

    connected, codec = True, "video/VP8"

    def __init__(self):
        self.video, self.audio = PacketTrack("video"), PacketTrack("audio")


def test_packets_go_on_in_time_where_the_clock_was_set_back():
    async def look():
        audience, viewer = Audience(asyncio.get_running_loop()), Onlooker()
        audience.viewers.add(viewer)
        for start_ns in (10**18, 10**18 - 5 * 10**9):
            for k in range(5):
                audience.hear(np.zeros(320, np.int16), start_ns + k * 40_000_000)
                audience.show(picture(k), start_ns + k * 40_000_000)
                await asyncio.sleep(0.04)
        audience._encoder.shutdown()
        await asyncio.sleep(0)
        return [[(await track.recv()).pts for _ in range(10)] for track in (viewer.audio, viewer.video)]

    sound, pictures = asyncio.run(look())
    for times, rate in ((sound, 16_000), (pictures, 90_000)):
        steps = np.diff(times) / rate
        assert steps.min() > 0 and steps.max() < 0.5
    assert abs((pictures[-1] - pictures[0]) / 90_000 - (sound[-1] - sound[0]) / 16_000) < 0.05


def test_what_can_not_be_encoded_is_told_until_it_can():
    async def look():
        sink = WebSink("127.0.0.1", 0, 1)
        sink._audience = audience = Audience(asyncio.get_running_loop())
        told = []

        async def take(samples, image):
            sink.hear(samples, len(told) * 40_000_000)
            sink.show(image, len(told) * 40_000_000)
            await asyncio.to_thread(audience._encoder.submit(int).result)  # all before it is done
            told.append(sink.problem)

        viewer = Onlooker()
        audience.viewers.add(viewer)
        await take(np.zeros(320, np.int16), picture(0))
        await take(np.zeros(320, np.int16), "no picture")
        await take("no sound", picture(1))
        await take(np.zeros(320, np.int16), picture(2))
        await take("no sound", "no picture")
        audience.viewers.clear()
        await take(np.zeros(320, np.int16), picture(3))
        audience._encoder.shutdown()
        return told, sink.figures()

    told, figures = asyncio.run(look())
    assert [problem[:9] for problem in told] == ["", "a picture", "a sound c", "", "a picture", ""]
    assert figures["frames_encoded"] == 3 and figures["encoder"] == "ok"


def test_sound_packets_follow_media_time():
    encoder, times = AudioEncoder(), []
    for n in range(20):
        (packet,) = encoder.encode(np.zeros(320, np.int16), n * 20_000_000)
        times.append(packet.pts)
    assert set(np.diff(times)) == {320}
