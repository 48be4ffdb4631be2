"""Make the pictures of `docs/reviewing.md` from the run of its walk: `python docs/reviewing/make_pictures.py FOLDER`.

FOLDER holds `page.html`, which the last command of the walk writes. Needs Chromium, playwright and pillow, as tests do.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
WIDTH = 1000
LARGEST = 120_000
"""Bytes of a picture."""

# Name → where to go, what must be in sight at the top, and how high the picture is.
PICTURES = {
    "overview.png": ("overview", "#overview", 1430),
    "diff.png": ("experiment-3", "#e3-diff-27", 620),
    "reached-for.png": ("experiment-3", "#experiment-3 .attempts", 680),
    "other-policies.png": ("experiment-2", "#e2-others", 460),
    "integrity.png": ("integrity", "#integrity", 760),
}


def make(report: Path, folder: Path) -> None:
    """Write all of them into a folder."""
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(color_scheme="light")
        for name, (hash_, top, height) in PICTURES.items():
            page.set_viewport_size({"width": WIDTH, "height": height})
            page.goto("about:blank")
            page.goto(f"{report.absolute().as_uri()}#{hash_}")
            save(taken(page, top), folder / name)
        browser.close()


def taken(page: Any, top: str) -> bytes:
    """What is in sight, from that element on, where it stands in something folded opened first."""
    page.locator(top.split(maxsplit=1)[0]).wait_for(state="visible")
    page.evaluate(
        """top => {
            const it = document.querySelector(top);
            for (let up = it.closest("details"); up; up = up.parentElement.closest("details")) up.open = true;
            it.scrollIntoView();
            scrollBy(0, -110);
        }""",
        top,
    )
    return bytes(page.screenshot())


def save(picture: bytes, path: Path) -> None:
    """Of few colours, and small enough for a repository."""
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(colors=64, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    size = path.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{path} takes {size} bytes, more than {LARGEST}; make it less high.")
    print(f"{path}: {size} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Name the folder of the walk, which holds page.html.")
    make(Path(sys.argv[1]) / "page.html", HERE)
