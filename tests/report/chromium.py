"""Pages in a browser without a window, where there is one; no driver, only its command line.

Chromium draws a page of ours beside a script of the test's, which writes what it measures into the
document that --dump-dom prints. Pages themselves have no scripts.
"""

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

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
LIGHT, DARK = 1, 0
MEASURE = """<!doctype html><meta charset="utf-8">
<body style="margin:0">%s<output></output><script>
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement, own = [];
    for (const e of page.body.querySelectorAll("*")) {
      const scrolls = e.closest(".scroll, .formula, pre, .hidden, thead, .of");
      const box = e.getBoundingClientRect();
      if (!scrolls && box.right > root.clientWidth + 1) own.push(e.outerHTML.slice(0, 80));
    }
    const style = getComputedStyle(page.body);
    return {width: root.clientWidth, scroll: root.scrollWidth, outside: own,
            ink: style.color, page: style.backgroundColor,
            images: [...page.images].every(i => i.complete && i.naturalWidth > 0)};
  });
  document.querySelector("output").textContent = JSON.stringify(found);
};
</script>"""

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


class Drawn(NamedTuple):
    """What a browser made of a page."""

    frames: list[dict[str, Any]]
    console: list[str]


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    """Start it with a profile of its own, and wait."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions",
             "--no-first-run", "--hide-scrollbars", "--enable-logging=stderr",
             f"--user-data-dir={profile}", *flags],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip


def draw(page: Path, widths: tuple[int, ...], scheme: int = LIGHT) -> Drawn:
    """Draw a page at several widths, side by side in one document.

    Args:
        page: an HTML file.
        widths: in pixels.
        scheme: the colours that the reader prefers.

    Returns:
        What was measured at each width, and what the console said.
    """
    text = escape(page.read_text(encoding="utf-8"))
    frames = "".join(
        f'<iframe style="border:0;width:{w}px;height:900px" srcdoc="{text}"></iframe>'
        for w in widths
    )
    harness = page.with_name("harness.html")
    harness.write_text(MEASURE % frames, encoding="utf-8")
    done = run(
        f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1400,1000",
        "--virtual-time-budget=5000", "--dump-dom", harness.as_uri(),
    )  # fmt: skip
    found = re.search(r"<output>(.*?)</output>", done.stdout, re.DOTALL)
    assert found is not None
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Drawn(json.loads(unescape(found[1])), console)


def print_out(page: Path) -> bytes:
    """The page as it is printed."""
    target = page.with_suffix(".pdf")
    run("--no-pdf-header-footer", f"--print-to-pdf={target}", page.as_uri())
    return target.read_bytes()
