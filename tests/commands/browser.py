# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium that a test types into, by the WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DRIVER = shutil.which("chromedriver")
TAB, ENTER, CONTROL, RIGHT = "\ue004", "\ue007", "\ue009", "\ue014"  # the protocol's names of keys
_ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Browser:
    """An open window."""

    def __init__(self, session: str) -> None:
        self._session = session

    def open(self, address: str) -> None:
        """Go to a page."""
        _post(f"{self._session}/url", {"url": address})

    def run(self, script: str) -> Any:
        """What a script in the page returns."""
        return _post(f"{self._session}/execute/sync", {"script": script, "args": []})

    def wait_for(self, script: str, seconds: float = 30) -> Any:
        """The first value of the script that counts as true."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < end, f"not within {seconds} s: {script}"
            time.sleep(0.05)
        return found

    def press(self, keys: str, held: str = "") -> None:
        """Press keys one after the other, while those of `held` are down."""
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        down, up = ([{"type": kind, "value": key} for key in held] for kind in ("keyDown", "keyUp"))
        actions = [{"type": "key", "id": "keyboard", "actions": [*down, *pressed, *up]}]
        _post(f"{self._session}/actions", {"actions": actions})


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser of its own."""
    assert DRIVER is not None
    driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert driver.stdout is not None
    with driver.stdout:
        try:
            port = next(found[1] for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line)))
            options = {"args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
            asked = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
            session = f"http://127.0.0.1:{port}/session"
            session += "/" + _post(session, asked)["sessionId"]
            try:
                yield Browser(session)
            finally:
                _send(urllib.request.Request(session, method="DELETE"))
        finally:
            driver.terminate()
            driver.wait()


def _post(address: str, body: dict[str, Any]) -> Any:
    return _send(urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"}))


def _send(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["value"]
