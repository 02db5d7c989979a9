"""A real browser without a screen: Chromium, driven by chromedriver (W3C WebDriver over HTTP)."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element, by the standard
_STARTED = re.compile(r"started successfully on port (\d+)")
_FLAGS = (
    "--headless",
    "--no-sandbox",  # the tests may run as the superuser
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,860",
)


def missing() -> str:
    """Why there is no browser here, "" where there is one."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no browser: {' and '.join(absent)} is not installed" if absent else ""


class Browser:
    """One tab."""

    def __init__(self, client: httpx.AsyncClient, session: str) -> None:
        self._client = client
        self._at = f"/session/{session}"

    async def _ask(self, method: str, path: str, **fields: Any) -> Any:
        body = fields if method == "POST" else None
        answer = await self._client.request(method, self._at + path, json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    async def open(self, url: str) -> None:
        await self._ask("POST", "/url", url=url)

    async def run(self, script: str, *args: Any) -> Any:
        """What a function body in JavaScript returns."""
        return await self._ask("POST", "/execute/sync", script=script, args=list(args))

    async def wait(self, script: str, *args: Any) -> Any:
        """What a function body returns, as soon as that is true."""
        waiting = (
            "const args = [...arguments], done = args.pop(), body = args.shift();"
            "const again = () => { let found; try { found = body(...args); } catch {}"
            "found ? done(found) : setTimeout(again, 20); }; again();"
        )
        # The body stands in the script: making a function of a text is what the page forbids.
        inlined = waiting.replace("body = args.shift()", f"body = function () {{ {script} }}")
        return await self._ask("POST", "/execute/async", script=inlined, args=list(args))

    async def text(self, selector: str) -> str:
        """The text of an element as it is drawn."""
        found: str = await self.run(
            "return document.querySelector(arguments[0]).innerText", selector
        )
        return found

    async def click(self, selector: str) -> None:
        found = await self._ask("POST", "/element", using="css selector", value=selector)
        await self._ask("POST", f"/element/{found[_ELEMENT]}/click")

    async def keys(self, text: str) -> None:
        """Press keys one by one."""
        actions = [{"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")]
        device = {"type": "key", "id": "keyboard", "actions": actions}
        await self._ask("POST", "/actions", actions=[device])

    async def command(self, name: str, **fields: Any) -> Any:
        """A command of the DevTools protocol."""
        return await self._ask("POST", "/goog/cdp/execute", cmd=name, params=fields)

    async def screenshot(self) -> bytes:
        """What is drawn, as PNG."""
        return base64.b64decode(await self._ask("GET", "/screenshot"))

    async def complaints(self) -> list[str]:
        """What the browser has said of errors and broken policies since the last time."""
        return [entry["message"] for entry in await self._ask("POST", "/se/log", type="browser")]


@dataclass(frozen=True)
class Driver:
    """A browser that runs. Each test has a client of its own, in its own loop."""

    url: str
    session: str

    @contextlib.asynccontextmanager
    async def tab(self) -> AsyncIterator[Browser]:
        """The tab, with nothing in it yet."""
        async with httpx.AsyncClient(base_url=self.url, timeout=90) as client:
            tab = Browser(client, self.session)
            await tab.command("Emulation.clearDeviceMetricsOverride")
            try:
                yield tab
            finally:
                await tab.open("about:blank")
                await tab.complaints()


@contextlib.contextmanager
def driven(folder: Path) -> Iterator[Driver]:
    """A browser with a profile of its own.

    Args:
        folder: for the profile.
    """
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert driver.stdout is not None
    try:
        port = next(found[1] for line in driver.stdout if (found := _STARTED.search(line)))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            flags = [*_FLAGS, f"--user-data-dir={folder}"]
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": flags},
                "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"script": 50_000, "pageLoad": 50_000},
            }
            made = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
            assert made.status_code == 200, made.text
            session = made.json()["value"]["sessionId"]
            try:
                yield Driver(str(client.base_url), session)
            finally:
                client.delete(f"/session/{session}")
    finally:
        driver.terminate()
        driver.wait()
        driver.stdout.close()
