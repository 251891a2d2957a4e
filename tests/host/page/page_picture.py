"""Takes the pictures of the page that the docs show: `python -m tests.host.page.page_picture DEVICE FOLDER`."""

import base64
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from firmware.training import digits
from tests.host.page.browser import headless, served_page, until

DIGIT = 84  # of the held-out ones; one that is not plain
GALLERY = 60
KINDS, EACH = (2, 3, 5, 8), 5  # classes, and pictures of each


def pictures(folder: Path) -> list[Path]:
    """The held-out digits in files."""
    paths = []
    for number, image in enumerate(digits.load("held-out").images):
        paths.append(folder / f"digit-{number:03}.png")
        Image.fromarray(image).save(paths[-1])
    return paths


def labels(browser: Any, paths: list[Path]) -> None:
    ask(browser, paths[DIGIT], "#top .line", 5)


def like(browser: Any, paths: list[Path]) -> None:
    browser.find_element("id", "tab-like").click()
    shown = [path for number, path in enumerate(paths) if number != DIGIT][: GALLERY + DIGIT][-GALLERY:]
    browser.find_element("id", "gallery-files").send_keys("\n".join(map(str, shown)))
    until(browser, lambda b: b.find_element("id", "gallery-count").text == f"{GALLERY} pictures")
    ask(browser, paths[DIGIT], "#similar img", 6)


def own(browser: Any, paths: list[Path]) -> None:
    browser.find_element("id", "tab-own").click()
    kinds = digits.load("held-out").labels
    for kind in KINDS:
        browser.find_element("id", "class-name").send_keys(digits.CLASS_NAMES[kind], "\n")
        rows = [row for row in np.flatnonzero(kinds == kind) if row != DIGIT][:EACH]
        place = browser.find_element("css selector", "#classes li:last-child input")
        place.send_keys("\n".join(str(paths[row]) for row in rows))
        text = "return document.querySelector('#classes li:last-child .line span').textContent"
        until(browser, lambda b, text=text: b.execute_script(text) == f"{EACH} pictures")
    ask(browser, paths[DIGIT], "#named .line", len(KINDS))


def ask(browser: Any, picture: Path, selector: str, count: int) -> None:
    browser.find_element("id", "file").send_keys(str(picture))
    until(browser, lambda b: len(b.find_elements("css selector", selector)) == count)


PICTURES: dict[str, Callable[[Any, list[Path]], None]] = {"page": labels, "page_like": like, "page_own": own}


def main(device: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name, served_page(device) as page, headless(1100, 700) as browser:
        paths = pictures(Path(name))
        for file, show in PICTURES.items():
            browser.get(page)
            until(browser, lambda b: "arithmetic" in b.find_element("id", "about").text)
            show(browser, paths)
            browser.execute_script("document.activeElement.blur()")
            # The bars grow.
            browser.execute_async_script("setTimeout(arguments[0], 1000)")
            shot = browser.execute_cdp_cmd(
                "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": whole(browser)}
            )
            (folder / f"{file}.png").write_bytes(base64.b64decode(shot["data"]))


def whole(browser: Any) -> dict[str, float]:
    """The page's size, whatever the window's."""
    return {**browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"], "scale": 1}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
