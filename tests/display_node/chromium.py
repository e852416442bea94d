"""Drives a headless Chromium over its DevTools protocol, for the tests of the web page."""

import asyncio
import base64
import itertools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import aiohttp

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--mute-audio",
    "--disable-dev-shm-usage",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
    "--window-size=1280,860",
]


def find_chromium() -> str | None:
    """Path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Chromium:
    """One browser with one page; use it as an async context manager."""

    def __init__(self, *flags: str):
        self._flags, self._ids = flags, itertools.count(1)

    async def __aenter__(self) -> "Chromium":
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        command = [
            find_chromium(),
            *FLAGS,
            *self._flags,
            f"--user-data-dir={self._folder.name}",
            "about:blank",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = Path(self._folder.name) / "DevToolsActivePort"
        for _ in range(300):
            if port_file.exists() and port_file.read_text().count("\n"):
                break
            await asyncio.sleep(0.1)
        port = port_file.read_text().split("\n")[0]
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as reply:
            pages = [target for target in await reply.json() if target["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
        return self

    async def __aexit__(self, *exc) -> None:
        await self._socket.close()
        await self._session.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    async def send(self, method: str, **params) -> dict:
        """One DevTools command and its result."""
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async for message in self._socket:
            reply = json.loads(message.data)
            if reply.get("id") == number:
                assert "error" not in reply, reply
                return reply["result"]
        raise ConnectionError("Chromium has gone")

    async def run(self, script: str):
        """Value of a JavaScript expression; promises are awaited."""
        reply = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def wait_for(self, script: str, timeout_s: float = 20.0):
        """Poll an expression until it is true; returns its value."""
        for _ in range(int(timeout_s / 0.2)):
            if value := await self.run(script):
                return value
            await asyncio.sleep(0.2)
        raise TimeoutError(f"{script} stayed {value!r}")

    async def open(self, address: str) -> None:
        """Go to a page and wait until it is there."""
        await self.send("Page.navigate", url=address)
        await self.wait_for(f"location.href.startsWith({address!r}) && document.readyState === 'complete'")

    async def resize(self, width: int, height: int, mobile: bool = False) -> None:
        """Set the size of the page."""
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            mobile=mobile,
            deviceScaleFactor=1,
        )

    async def screenshot(self, path: Path) -> None:
        """Write a PNG of the page."""
        picture = await self.send("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(picture["data"]))
