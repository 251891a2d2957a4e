"""Takes the picture of the page that the docs show: `python -m tests.host.page_picture DEVICE FILE`."""

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from firmware.training import digits
from tests.host.page.browser import headless, served_page, until

DIGIT = 84  # of the held-out ones; one that is not plain


def main(device: str, file: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, served_page(device) as page, headless(1100, 700) as browser:
        picture = Path(folder) / "digit.png"
        Image.fromarray(digits.load("held-out").images[DIGIT]).save(picture)
        browser.get(page)
        until(browser, lambda b: "arithmetic" in b.find_element("id", "about").text)
        browser.find_element("id", "file").send_keys(str(picture))
        until(browser, lambda b: len(b.find_elements("css selector", "#top .line")) == 5)
        browser.execute_script("document.activeElement.blur()")
        # The bars grow.
        browser.execute_async_script("setTimeout(arguments[0], 1000)")
        shot = browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": whole(browser)}
        )
        file.write_bytes(base64.b64decode(shot["data"]))


def whole(browser: Any) -> dict[str, float]:
    """The page's size, whatever the window's."""
    return {**browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"], "scale": 1}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
