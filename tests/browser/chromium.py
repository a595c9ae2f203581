"""Pages in headless Chromium: what a script finds and does on them, what the console says, what they look like."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from html import escape, unescape
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

ASK = """
<script>
addEventListener("load", async () => {
  const place = document.createElement("pre");
  place.id = "answer-of-the-test";
  try { place.textContent = JSON.stringify({answer: await (async () => { %s })()}); }
  catch (error) { place.textContent = JSON.stringify({error: String(error)}); }
  document.body.append(place);
});
</script></body>"""


class Visit(NamedTuple):
    """What was found: the answer of the script, and the lines that the console wrote."""

    answer: Any
    console: list[str]


def visit(page: Path, script: str = "return null;", size: tuple[int, int] = (1280, 900)) -> Visit:
    """Open ``page`` without a network and run ``script``, the body of an async function, when it has loaded.

    Raises:
        AssertionError: if the script failed.
    """
    asking = page.with_name(f"asked-{page.name}")
    asking.write_text(page.read_text(encoding="utf-8").replace("</body>", ASK.replace("%s", script)), encoding="utf-8")
    done = chromium(asking, size, "--dump-dom", "--enable-logging=stderr", "--v=0")
    asking.unlink()
    found = re.search(r'<pre id="answer-of-the-test">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the page did not load: {done.stderr[-2000:]}"
    answer = json.loads(unescape(found[1]))
    assert "error" not in answer, answer["error"]
    console = [line.split("CONSOLE", 1)[1] for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(answer["answer"], console)


def screenshot(page: Path, picture: Path, size: tuple[int, int] = (1280, 2400)) -> None:
    """Save what ``page`` looks like in a window of ``size``."""
    chromium(page, size, f"--screenshot={picture}")


def chromium(page: Path, size: tuple[int, int], *options: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory() as profile:
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
            f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--virtual-time-budget=20000", f"--window-size={size[0]},{size[1]}", *options, page.resolve().as_uri(),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def on_phone(page: Path, width: int = 375, height: int = 800) -> Path:
    """Write a page with ``page`` in a frame: Chromium's own window is not narrower than 500 pixels.

    There a script finds the page as ``frames[0]``.
    """
    path = page.with_name(f"phone-{page.name}")
    style = f"border: 0; display: block; width: {width}px; height: {height}px"
    inside = f'<iframe srcdoc="{escape(page.read_text(encoding="utf-8"))}" style="{style}"></iframe>'
    head = '<!doctype html><html><head><meta charset="utf-8"></head>'
    path.write_text(f'{head}<body style="margin: 0">{inside}</body></html>', encoding="utf-8")
    return path
