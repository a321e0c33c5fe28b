"""Headless Chromium over its debugging pipe: no port, no driver, no package."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-extensions", "--hide-scrollbars", "--remote-debugging-pipe"),
]

LIMIT = 180.0

UNPACKED = Path(__file__).parents[1] / ".browser" / "chromium"
"""Where `make browser` puts one."""


def chromium() -> str:
    """The browser's path; the test is skipped, by name, where there is none."""
    found = next(filter(None, map(shutil.which, (str(UNPACKED), "chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs a browser: make browser, or install Debian's package chromium")
    return found


class Browser:
    """One page of a headless browser.

    Attributes:
        console: errors of the page: exceptions, refused by its policy, failed requests.
        requests: addresses that the page asked for.
        dialogs: texts of alerts; hostile input that runs shows one.
    """

    def __init__(self, profile: Path, size: tuple[int, int] = (1280, 800)) -> None:
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()
        command = [chromium(), *FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", "about:blank"]

        def place() -> None:
            # The pipe's ends are descriptors 3 and 4 of the browser; through high numbers, lest one is put upon the other.
            reading, writing = os.dup2(to_child, 63), os.dup2(from_child, 64)
            os.dup2(reading, 3)
            os.dup2(writing, 4)

        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=place, close_fds=False
        )
        os.close(to_child)
        os.close(from_child)
        self._buffer, self._id = b"", 0
        self.console: list[str] = []
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        target = self._call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self._session = self._call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.resize(*size)

    def _call(self, method: str, parameters: dict[str, Any], session: str | None = None) -> dict[str, Any]:
        self._id += 1
        message = {"id": self._id, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + LIMIT
        while time.monotonic() < deadline:
            answer = self._next()
            if answer.get("id") == self._id:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
        raise TimeoutError(method)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            data = os.read(self._read, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, found: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(found["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and found["entry"]["level"] in ("error", "warning"):
            self.console.append(found["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and found["type"] in ("error", "warning"):
            self.console.append(json.dumps(found["args"])[:500])
        elif method == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(found["message"])

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        return self._call(method, parameters, self._session)

    def resize(self, width: int, height: int) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dark(self, dark: bool) -> None:
        value = "dark" if dark else "light"
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def open(self, path: Path, fragment: str = "") -> None:
        """Open the file and wait until the page says that it is ready."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=path.as_uri() + fragment)
        self.wait("document.documentElement && document.documentElement.dataset.ready === 'yes'")

    def run(self, code: str) -> Any:
        """The value of an expression in the page."""
        done = self.send("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(f"{code}: {done['exceptionDetails']}")
        return done["result"].get("value")

    def wait(self, code: str, limit: float = LIMIT) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + limit
        while not self.run(code):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{code}; {self.console}")
            time.sleep(0.02)

    def go(self, fragment: str) -> None:
        """Change the page's fragment and let it draw."""
        self.run(f"location.hash = {json.dumps(fragment)}")
        self.frame()

    def frame(self) -> None:
        """Wait for two frames."""
        self.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))")

    def key(self, key: str) -> None:
        """Press and release a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.frame()

    def texts(self, selector: str) -> list[str]:
        """Text of every element that a selector finds."""
        found: list[str] = self.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((each) => each.textContent)")
        return found

    def shot(self, path: Path, ready: Callable[[], object] | None = None) -> None:
        """A picture of what is to be seen."""
        if ready:
            ready()
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
