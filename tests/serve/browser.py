"""A real browser without a screen: Chromium, driven by chromedriver (W3C WebDriver over HTTP)."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
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
)


def missing() -> str:
    """Why there is no browser here, "" where there is one."""
    absent = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    return f"no browser: {' and '.join(absent)} is not installed" if absent else ""


class Browser:
    """One tab."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._at = f"/session/{session}"

    def _ask(self, method: str, path: str, **fields: Any) -> Any:
        body = fields if method == "POST" else None
        answer = self._client.request(method, self._at + path, json=body)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def open(self, url: str) -> None:
        self._ask("POST", "/url", url=url)

    def run(self, script: str, *args: Any) -> Any:
        """What a function body in JavaScript returns."""
        return self._ask("POST", "/execute/sync", script=script, args=list(args))

    def wait(self, script: str, *args: Any) -> Any:
        """The first value of a function body that is true, looked at each time it is drawn."""
        waiting = (
            "const args = [...arguments], done = args.pop(), look = new Function(args.shift());"
            "const again = () => { let found; try { found = look(...args); } catch {}"
            "found ? done(found) : setTimeout(again, 20); }; again();"
        )
        return self._ask("POST", "/execute/async", script=waiting, args=[script, *args])

    def text(self, selector: str) -> str:
        """The text of an element as it is drawn."""
        found: str = self.run("return document.querySelector(arguments[0]).innerText", selector)
        return found

    def click(self, selector: str) -> None:
        found = self._ask("POST", "/element", using="css selector", value=selector)
        self._ask("POST", f"/element/{found[_ELEMENT]}/click")

    def keys(self, text: str) -> None:
        """Press keys one by one."""
        actions = [
            {"type": kind, "value": key} for key in text for kind in ("keyDown", "keyUp")
        ]
        device = {"type": "key", "id": "keyboard", "actions": actions}
        self._ask("POST", "/actions", actions=[device])

    def command(self, name: str, **fields: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._ask("POST", "/goog/cdp/execute", cmd=name, params=fields)

    def screenshot(self) -> bytes:
        """What is drawn, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def complaints(self) -> list[str]:
        """What the browser has said of errors and broken policies since the last time."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", type="browser")]


@contextlib.contextmanager
def browser(folder: Path, width: int = 1280, height: int = 860) -> Iterator[Browser]:
    """A browser with a profile of its own, which is gone afterwards.

    Args:
        folder: for the profile.
    """
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert driver.stdout is not None
        port = next(found[1] for line in driver.stdout if (found := _STARTED.search(line)))
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=90) as client:
            flags = [*_FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}"]
            wanted = {
                "browserName": "chrome",
                "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": flags},
                "goog:loggingPrefs": {"browser": "ALL"},
                "timeouts": {"script": 60_000, "pageLoad": 60_000},
            }
            made = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}})
            assert made.status_code == 200, made.text
            session = made.json()["value"]["sessionId"]
            try:
                yield Browser(client, session)
            finally:
                client.delete(f"/session/{session}")
    finally:
        driver.terminate()
        driver.wait()
        assert driver.stdout is not None
        driver.stdout.close()
