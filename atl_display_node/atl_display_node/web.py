"""The web page: aiohttp serves it and carries the WebRTC handshake; the face comes through aiortc. No outside
server."""

import asyncio
import contextlib
import ipaddress
import threading
from errno import EADDRINUSE
from pathlib import Path
from socket import gethostname
from urllib.parse import urlsplit

import numpy as np
from aiohttp import WSMsgType, web
from aiortc.exceptions import InvalidAccessError, InvalidStateError

from atl_display_node.viewers import Audience, Viewer, offer_loopback
from atl_face.errors import UserError

STATIC = Path(__file__).parent / "static"
HEADERS = {
    # Nothing from elsewhere can be loaded into the page, nor the page into another one.
    "Content-Security-Policy": "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # hosts that are bound to every address -> the loopback's
HEARTBEAT_S = 5.0  # a browser that vanished without a word is noticed after two of them
START_TIMEOUT_S = 10.0


class WebSink:
    """Serves the page from a thread of its own.

    Args:
        host: address to bind; 127.0.0.1, the default, is seen from this machine only.
        port: TCP port, 0 for any free one.
        max_viewers: more are told to come back later: each costs about 2 % of a core.
    """

    finished, warning = False, ""

    def __init__(self, host: str, port: int, max_viewers: int, page_names: str = ""):
        self._host, self._port, self._max_viewers = host, port, max_viewers
        self._names = {"localhost", gethostname().lower(), host.lower(), *_names_in(page_names)}
        self.address = ""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._audience: Audience | None = None
        self._error: OSError | None = None
        self._ready, self._stop = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="web", daemon=True)

    def open(self) -> None:
        offer_loopback()
        self._thread.start()
        if not self._ready.wait(START_TIMEOUT_S):
            raise UserError("The web page didn't start within 10 s: the machine is overloaded.", "web_failed")
        if self._error is not None:
            place, reason = f"port {self._port} of {self._host}", self._error.strerror or self._error
            taken = self._error.errno == EADDRINUSE
            advice = "end what uses it, or choose another `port`" if taken else "choose another `host` or `port`"
            sentence = f"The page can't use {place} ({reason}): {advice}."
            raise UserError(sentence, "port_in_use")

    def hear(self, samples: np.ndarray, media_time_ns: int) -> None:
        self._audience.hear(samples, media_time_ns)

    def show(self, image: np.ndarray, media_time_ns: int) -> None:
        self._audience.show(image, media_time_ns)

    def idle(self) -> None:
        """Nothing to do here: the page has its own thread."""

    def figures(self) -> dict[str, object]:
        audience = self._audience
        if audience is None:
            return {}
        viewers = audience.connected
        return {
            "viewers": len(viewers),
            "codecs": " ".join(sorted({viewer.codec.split("/")[1] for viewer in viewers})),
            "encoder": self.problem or "ok",
            "frames_encoded": audience.encoded,
            "frames_dropped_by_encoder": audience.dropped,
            "packets_dropped": sum(viewer.video.dropped + viewer.audio.dropped for viewer in viewers),
        }

    @property
    def problem(self) -> str:
        return self._audience.problem if self._audience is not None else ""

    def close(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join(3.0)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._audience = Audience(self._loop)
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/ws", self._meet)
        app.router.add_static("/static", STATIC)
        app.on_response_prepare.append(_add_headers)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port)
            await site.start()
            port = runner.addresses[0][1]
            self.address = page_address(self._host, port)
            if self._host in EVERYWHERE:
                self.address += f" (from elsewhere: http://{gethostname()}:{port})"
        except OSError as error:
            self._error = error
            self._stop.set()
        self._ready.set()
        await self._stop.wait()
        await self._audience.close()
        await runner.cleanup()

    async def _page(self, request: web.Request) -> web.FileResponse:
        if not self._is_ours(host := _host_of(request)):
            raise web.HTTPForbidden(text=f"{host} is none of this page's names: open it by the robot's address, or add the name "
                                    "to the display's parameter page_names.")  # fmt: skip
        return web.FileResponse(STATIC / "index.html")

    async def _meet(self, request: web.Request) -> web.WebSocketResponse:
        """One browser, from its offer until it goes: its WebSocket lives as long as it looks on."""
        if not self._is_own_page(request):
            raise web.HTTPForbidden(text="Only the page of this address may connect.")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S)
        await socket.prepare(request)
        if len(self._audience.viewers) >= self._max_viewers:
            await socket.send_json({"busy": f"{self._max_viewers} viewers are here already."})
            await socket.close()
            return socket
        viewer = Viewer()
        self._audience.viewers.add(viewer)
        try:
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await self._negotiate(viewer, message.json(), socket)
        except (ValueError, KeyError, TypeError, InvalidAccessError, InvalidStateError):
            await socket.close(code=1003, message=b"not a WebRTC offer")
        finally:
            self._audience.viewers.discard(viewer)
            await viewer.close()
        return socket

    async def _negotiate(self, viewer: Viewer, message: dict, socket: web.WebSocketResponse) -> None:
        await socket.send_json({"answer": await viewer.answer(message["offer"])})

    def _is_own_page(self, request: web.Request) -> bool:
        """False for pages of other sites: they could otherwise look on through a visitor's browser.

        The Origin must be our own, and the Host an address or a name of ours: a foreign name that resolves to this machine (DNS
        rebinding) would else count as our own.
        """
        origin = request.headers.get("Origin")
        return self._is_ours(_host_of(request)) and (origin is None or origin.partition("://")[2] == request.host)

    def _is_ours(self, host: str) -> bool:
        if host in self._names or host.endswith(".local"):
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def _host_of(request: web.Request) -> str:
    """What the page is called in a request, without port and the dot that may end a name; "" for nonsense."""
    try:
        return (urlsplit(f"//{request.host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _names_in(page_names: str) -> list[str]:
    """The names of the parameter page_names. Raises UserError: one of them is no name."""
    names = page_names.lower().replace(",", " ").split()
    for name in names:
        if set(name) & set(":/*"):
            sentence = f"page_names has {name!r}: give names alone, such as robot.example.org, without http://, port or *."
            raise UserError(sentence, "bad_parameter")
    return [name.removesuffix(".") for name in names]


def page_address(host: str, port: int) -> str:
    """What to open in this machine's browser: bound to every address, the page is at the loopback's, too."""
    host = EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
