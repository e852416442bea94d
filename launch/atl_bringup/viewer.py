"""A WebRTC viewer without a screen, for measuring: `python -m atl_bringup.viewer http://127.0.0.1:8080 SECONDS`."""

import asyncio
import contextlib
import sys

import aiohttp
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole

START_S, PAUSE_S = 30.0, 0.25  # a graph on a busy machine takes a while to start


async def reach(session: aiohttp.ClientSession, address: str) -> aiohttp.ClientWebSocketResponse:
    """The page's WebSocket, as soon as the page is there; raises the last refusal after START_S."""
    for wait_s in [PAUSE_S] * round(START_S / PAUSE_S):
        try:
            return await session.ws_connect(address)
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(wait_s)
    return await session.ws_connect(address)


async def answer_pings(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read what the page says for ever: aiohttp answers its heartbeat only while somebody reads."""
    async for _ in socket:
        pass


async def watch(address: str, seconds: float) -> int:
    """Look at the page's face for a while; returns the number of frames that came."""
    connection, sink, seen = RTCPeerConnection(), MediaBlackhole(), 0

    async def count(track) -> None:
        nonlocal seen
        while True:
            await track.recv()
            seen += 1

    @connection.on("track")
    def on_track(track) -> None:
        if track.kind == "video":
            counting.append(asyncio.ensure_future(count(track)))
        else:
            sink.addTrack(track)

    counting: list[asyncio.Future] = []
    for kind in ("video", "audio"):
        connection.addTransceiver(kind, direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    async with aiohttp.ClientSession() as session, await reach(session, address + "/ws") as socket:
        await socket.send_json({"offer": connection.localDescription.sdp})
        answer = (await socket.receive_json())["answer"]
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        await sink.start()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(answer_pings(socket), seconds)
        for task in counting:
            task.cancel()
        await connection.close()
    return seen


if __name__ == "__main__":
    print(f"viewer: {asyncio.run(watch(sys.argv[1], float(sys.argv[2])))} frames", file=sys.stderr)
