"""The page in a real browser: the face moves, its sound comes, it reconnects; and who is let in."""

import asyncio
import sys
import threading
import time

import aiohttp
import cv2
import numpy as np
import pytest
from aiortc import RTCPeerConnection
from chromium import Chromium, find_chromium

from atl_display_node.sinks import make_sink
from atl_display_node.viewers import choose_codec, without_mdns
from atl_display_node.web import WebSink, page_address
from atl_face.errors import UserError

needs_browser = pytest.mark.skipif(find_chromium() is None, reason="no Chromium (apt install chromium)")
SIZE = 256
OFFER = (
    "v=0\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\n"
    "a=candidate:1 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50000 typ host\r\n"
    "a=candidate:2 1 udp 2113937151 192.0.2.7 50000 typ host\r\na=end-of-candidates\r\n"
)


def picture(k):
    """A disc on its way round, on a plain ground."""
    image = np.full((SIZE, SIZE, 3), (40, 60, 110), np.uint8)
    angle = k / 25 * 2 * np.pi / 3
    centre = (int(128 + 70 * np.cos(angle)), int(128 + 70 * np.sin(angle)))
    return cv2.circle(image, centre, 30, (240, 190, 140), -1, cv2.LINE_AA)


class Feeder(threading.Thread):
    """Gives a sink moving pictures and a tone, in real time."""

    def __init__(self, sink):
        super().__init__(daemon=True)
        self.sink, self.halt = sink, threading.Event()

    def run(self):
        start_ns = time.time_ns()
        for n in range(10**6):
            media_ns = start_ns + n * 20_000_000
            if self.halt.wait(max(0.0, (media_ns - time.time_ns()) / 1e9)):
                return
            tone = np.sin((np.arange(320) + n * 320) * 2 * np.pi * 440 / 16000) * 8000
            self.sink.hear(tone.astype(np.int16), media_ns)
            if n % 2 == 0:
                self.sink.show(picture(n // 2), media_ns)


@pytest.fixture
def sink():
    sink = WebSink("127.0.0.1", 0, max_viewers=2)
    sink.open()
    feeder = Feeder(sink)
    feeder.start()
    yield sink
    feeder.halt.set()
    feeder.join()
    sink.close()


LIVE = "document.getElementById('state').dataset.state === 'live'"
# The video's pixels on a canvas: mean over channels of a coarse picture of it.
PIXELS = """(() => { const c = document.createElement('canvas'); c.width = c.height = 32;
  const d = c.getContext('2d'); d.drawImage(face, 0, 0, 32, 32);
  return [...d.getImageData(0, 0, 32, 32).data].filter((_, i) => i % 4 === 0); })()"""
STATS = """(async () => Object.fromEntries([...(await session.peer.getStats()).values()]
  .filter((r) => r.type === 'inbound-rtp').map((r) => [r.kind, r])))()"""


@needs_browser
def test_the_page_shows_moving_pictures_with_sound_in_a_browser_as_it_comes(sink):
    """No flag about addresses: the browser hides its own behind mDNS names, as people's browsers do."""

    async def look():
        async with Chromium() as browser:
            await browser.open(sink.address)
            await browser.wait_for(LIVE)
            await browser.wait_for("face.videoWidth === 256 && face.currentTime > 1")
            pictures, times = [], []
            for _ in range(6):
                pictures.append(np.array(await browser.run(PIXELS), float))
                times.append(await browser.run("face.currentTime"))
                await asyncio.sleep(0.3)
            stats = await browser.run(STATS)
            footer = await browser.run("document.querySelector('footer').innerText")
            figures = sink.figures()
            own = await browser.run(
                "performance.getEntriesByType('resource').every(e => e.name.startsWith(location.origin))"
            )
        return pictures, times, stats, footer, figures, own

    pictures, times, stats, footer, figures, own = asyncio.run(look())
    moved = [np.abs(later - earlier).max() for earlier, later in zip(pictures, pictures[1:], strict=False)]
    assert min(moved) > 60, "the picture stands still"
    assert np.all(np.diff(times) > 0.1), "the video's time stands still"
    assert stats["video"]["framesDecoded"] > 25 and stats["video"].get("packetsLost", 0) == 0
    assert stats["audio"]["totalAudioEnergy"] > 0.01 and stats["audio"]["packetsReceived"] > 50
    assert "synthetic" in footer and "art. 50" in footer
    assert figures["viewers"] == 1 and own
    for _ in range(40):  # the browser has gone: nobody is encoded for
        if not sink.figures()["viewers"]:
            break
        time.sleep(0.1)
    encoded = sink.figures()["frames_encoded"]
    time.sleep(0.5)
    assert sink.figures()["viewers"] == 0 and sink.figures()["frames_encoded"] <= encoded + 1


@needs_browser
def test_the_sound_button_and_a_small_screen(sink):
    async def look():
        async with Chromium("--autoplay-policy=document-user-activation-required") as browser:
            await browser.resize(390, 760, mobile=True)
            await browser.open(sink.address)
            await browser.wait_for(LIVE)
            muted = await browser.run("[face.muted, document.getElementById('sound').innerText]")
            box = await browser.run("(({x, y, width, height}) => [x, y, width, height])"
                                    "(document.getElementById('sound').getBoundingClientRect())")  # fmt: skip
            place = {"x": box[0] + box[2] / 2, "y": box[1] + box[3] / 2, "button": "left", "clickCount": 1}
            await browser.send("Input.dispatchMouseEvent", type="mousePressed", **place)
            await browser.send("Input.dispatchMouseEvent", type="mouseReleased", **place)
            await browser.wait_for("!face.muted && !face.paused")
            wide = await browser.run("document.documentElement.scrollWidth <= innerWidth")
            return muted, wide

    muted, wide = asyncio.run(look())
    assert muted == [True, "Turn sound on"]
    assert wide, "the page is wider than a phone"


@needs_browser
def test_the_page_comes_back_by_itself_when_the_node_was_restarted():
    async def look():
        first = WebSink("127.0.0.1", 0, 2)
        first.open()
        address, port = first.address, int(first.address.rsplit(":", 1)[1])
        feeder = Feeder(first)
        feeder.start()
        async with Chromium() as browser:
            await browser.open(address)
            await browser.wait_for(LIVE)
            feeder.halt.set()
            feeder.join()
            await asyncio.to_thread(first.close)
            await browser.wait_for("document.getElementById('state').dataset.state === 'lost'")
            second = WebSink("127.0.0.1", port, 2)
            await asyncio.to_thread(second.open)
            feeder = Feeder(second)
            feeder.start()
            await browser.wait_for(LIVE)
            feeder.halt.set()
            feeder.join()
        await asyncio.to_thread(second.close)

    asyncio.run(look())


@pytest.mark.parametrize(
    "host, address",
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("::", "http://[::1]:8080"),
        ("robot.local", "http://robot.local:8080"),
    ],
)
def test_the_address_that_is_told_can_be_opened(host, address):
    assert page_address(host, 8080) == address


@pytest.mark.parametrize("library", ["aiohttp", "aiortc.exceptions"])
def test_a_missing_library_is_a_sentence(monkeypatch, library):
    monkeypatch.delitem(sys.modules, "atl_display_node.web")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=f"{library}.*pip install"):
        make_sink("web", "127.0.0.1", 0, 1, "", False)


def test_a_port_in_use_is_a_sentence(sink):
    with pytest.raises(UserError, match="choose another `port`"):
        WebSink("127.0.0.1", int(sink.address.rsplit(":", 1)[1]), 2).open()


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),  # DNS rebinding
        ({}, 101),
    ],
)
def test_pages_of_other_sites_are_not_let_in(sink, headers, status):
    async def connect():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{sink.address}/ws", headers=headers) as socket:
                return socket._response.status

    try:
        got = asyncio.run(connect())
    except aiohttp.WSServerHandshakeError as error:
        got = error.status
    assert got == status


def test_a_name_that_is_not_ours_is_told_and_one_that_was_given_is_let_in():
    async def open_as(address, host):
        async with aiohttp.ClientSession() as session:
            async with session.get(address, headers={"Host": host}) as page:
                return page.status, await page.text()

    sink = WebSink("127.0.0.1", 0, 1, "face.example.org, robot.example.org")
    sink.open()
    try:
        for ours in ("Robot.example.org:80", "face.example.org.", "localhost.", "[::1]:8080"):
            assert asyncio.run(open_as(sink.address, ours))[0] == 200
        assert asyncio.run(open_as(sink.address, "[::1"))[0] == 403
        status, text = asyncio.run(open_as(sink.address, "evil.example"))
    finally:
        sink.close()
    assert status == 403 and "page_names" in text and "evil.example" in text


@pytest.mark.parametrize("wrong", ["http://robot.example.org", "robot.example.org:8080", "*.example.org"])
def test_a_page_name_that_can_match_nothing_is_told(wrong):
    with pytest.raises(UserError, match="give names alone"):
        WebSink("127.0.0.1", 0, 1, f"face.example.org {wrong}")


def test_a_third_viewer_of_two_is_told_so_and_nonsense_is_sent_away(sink):
    async def connect():
        async with aiohttp.ClientSession() as session:
            first = await session.ws_connect(f"{sink.address}/ws")
            second = await session.ws_connect(f"{sink.address}/ws")
            third = await session.ws_connect(f"{sink.address}/ws")
            busy = (await third.receive()).json()
            for socket, nonsense in ((first, "what?"), (second, '{"offer": 3}')):
                await socket.send_str(nonsense)
                assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            fourth = await session.ws_connect(f"{sink.address}/ws")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(fourth.receive(), 0.5)
            return busy

    assert "2 viewers" in asyncio.run(connect())["busy"]


def test_a_second_offer_on_one_socket_is_sent_away(sink):
    async def connect():
        browser = RTCPeerConnection()
        for kind in ("video", "audio"):
            browser.addTransceiver(kind, direction="recvonly")
        await browser.setLocalDescription(await browser.createOffer())
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{sink.address}/ws") as socket:
            for _ in range(2):
                await socket.send_json({"offer": browser.localDescription.sdp})
            replies = [await socket.receive() for _ in range(2)]
        await browser.close()
        return replies

    answered, refused = asyncio.run(connect())
    assert "v=0" in answered.json()["answer"]
    assert (refused.type, refused.data) == (aiohttp.WSMsgType.CLOSE, 1003)


def test_offers_are_cleaned_and_the_cheapest_codec_is_chosen():
    cleaned = without_mdns(OFFER)
    assert ".local" not in cleaned and "end-of-candidates" not in cleaned and "192.0.2.7" in cleaned
    assert choose_codec(OFFER) == "video/H264"
    assert choose_codec(OFFER.replace("H264", "VP9")) == "video/VP8"
