"""Chromium without a window and without a network, driven through its own protocol: one start for many checks."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
KEYS = {"Enter": 13, "Escape": 27, "End": 35, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Browser:
    """One tab. `noted` collects what no page should do: requests, dialogs, errors."""

    def __init__(self, write: int, read: int, downloads: Path) -> None:
        self.write, self.read, self.downloads = write, read, downloads
        self.number, self.left, self.session = 0, b"", ""
        self.noted: list[str] = []
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **words: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": words}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])

    def receive(self) -> dict[str, Any]:
        """The next message; what no page should do is noted."""
        while b"\0" not in self.left:
            piece = os.read(self.read, 1 << 20)
            assert piece, "the browser has ended"
            self.left += piece
        first, _, self.left = self.left.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        about, name = message.get("params", {}), message.get("method", "")
        self.events.append({"method": name})
        if name == "Network.requestWillBeSent" and not about["request"]["url"].startswith(("data:", "blob:")) and (
                about.get("type") != "Document"):
            self.noted.append(f"request: {about['request']['url'][:200]}")
        if name == "Page.javascriptDialogOpening":
            self.noted.append(f"dialog: {about['message']}")
        if name == "Runtime.exceptionThrown":
            self.noted.append(f"exception: {json.dumps(about['exceptionDetails'])[:300]}")
        if name == "Log.entryAdded" and about["entry"]["level"] == "error":
            self.noted.append(f"error: {about['entry']['text']}")
        return message

    def open(self, page: Path, width: int = 1280, dark: bool = False, script: bool = True) -> float:
        """Opens a file; milliseconds to its load event."""
        self.shape(width, dark)
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while {"method": "Page.loadEventFired"} not in self.events:
            self.receive()
        return float(self.run("performance.getEntriesByType('navigation')[0].loadEventEnd || performance.now()"))

    def shape(self, width: int, dark: bool = False) -> None:
        """The window's width, and the colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, code: str) -> Any:
        """The value of an expression of JavaScript; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, *keys: str) -> None:
        """Keys as from a keyboard, into what has the focus."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            about = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper())), "text": text}
            self.call("Input.dispatchKeyEvent", type="keyDown", **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, element: str) -> None:
        """The mouse's left button in the middle of what an expression gives."""
        x, y = self.run(f"(() => {{ const e = {element}; e.scrollIntoView({{block: 'center'}}); "
                        "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def violations(self) -> list[str]:
        """What axe-core's default rules find, a line each."""
        if not self.run("typeof axe === 'object'"):
            self.run((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8") + ";0")
        found = self.run("axe.run({resultTypes: ['violations']}).then(r => r.violations.map(v => "
                         "`${v.id}: ${v.nodes.length} ${v.nodes[0].html.slice(0, 200)} ${v.nodes[0].failureSummary}`))")
        return list(found)

    def picture(self, file: Path, full: bool = True) -> None:
        """A screenshot of the window, or of the whole page."""
        size = self.run("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1] if full else 900, "scale": 1}
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=full, clip=clip)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A browser that can reach nothing; its profile and downloads lie in `folder`."""
    theirs, write = os.pipe()
    read, mine = os.pipe()

    def descriptors() -> None:  # the protocol's pipes are 3 and 4
        first, second = os.dup(theirs), os.dup(mine)
        os.dup2(first, 3)
        os.dup2(second, 4)

    process = subprocess.Popen([
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        "--proxy-server=127.0.0.1:9", f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"],
        preexec_fn=descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        one = Browser(write, read, folder / "downloads")
        one.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(one.downloads))
        yield one
    finally:
        process.kill()
        process.wait()
        for end in (theirs, write, read, mine):
            os.close(end)
