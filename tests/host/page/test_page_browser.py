"""The page in a real browser: a picture is dropped, the camera runs, errors are shown, it fits a phone, keys do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from firmware.training import digits
from host.devices.registry import open_device
from tests.host.page.browser import SHIPPED, browser, served_page, until

__all__ = ["browser"]  # a fixture


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[str]:
    """The address of a page whose device is the emulated board."""
    with served_page("sim:tiny") as address:
        yield address


def text(browser: Any, name: str) -> str:
    return browser.find_element(By.ID, name).text


def names(browser: Any) -> list[str]:
    return [line.text for line in browser.find_elements(By.CSS_SELECTOR, "#top .line b")]


@pytest.fixture
def shown(browser: Any, page: str) -> Any:
    browser.get(page)
    until(browser, lambda b: "lean arithmetic" in text(b, "about"))
    return browser


@pytest.fixture
def digit(tmp_path: Path) -> tuple[Path, str]:
    """A file, and what the reference calls it."""
    picture = Image.fromarray(digits.load("held-out").images[3])
    picture.save(tmp_path / "digit.png")
    with open_device("reference") as device:
        device.load(SHIPPED)
        return tmp_path / "digit.png", device.infer(picture).name


def test_a_picture(shown: Any, digit: tuple[Path, str]):
    path, label = digit
    shown.find_element(By.ID, "file").send_keys(str(path))
    until(shown, lambda b: len(names(b)) == 5)
    assert names(shown)[0] == label
    assert int(text(shown, "cycles").replace(",", "")) > 50_000
    assert float(text(shown, "rate").replace(",", "")) > 100
    assert len(shown.find_elements(By.CSS_SELECTOR, "#engines li")) == 5
    assert shown.find_element(By.ID, "picture").is_displayed()
    assert not shown.find_element(By.ID, "error").is_displayed()
    # Nothing that the policy forbids, nothing that is missing.
    assert [entry for entry in shown.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_no_picture(shown: Any, tmp_path: Path):
    (tmp_path / "text.png").write_text("no picture")
    shown.find_element(By.ID, "file").send_keys(str(tmp_path / "text.png"))
    until(shown, lambda b: "not an image" in text(b, "error"))
    shown.get_log("browser")  # the answer 400 stands in it


def test_dropping(shown: Any, digit: tuple[Path, str]):
    """As when a file is let go over the page."""
    shown.execute_script(
        """
        const bytes = Uint8Array.from(arguments[0]);
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "digit.png", { type: "image/png" }));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        """,
        list(digit[0].read_bytes()),
    )
    until(shown, lambda b: names(b)[:1] == [digit[1]])


def test_the_camera_by_keyboard(shown: Any):
    """The button is reached with the tabulator; pictures come one after another until it is pressed again."""
    body = shown.find_element(By.TAG_NAME, "body")
    for _ in range(3):
        body.send_keys(Keys.TAB)
        if shown.switch_to.active_element.get_attribute("id") == "camera":
            break
    button = shown.switch_to.active_element
    assert button.get_attribute("id") == "camera"
    button.send_keys(Keys.ENTER)
    until(shown, lambda b: len(names(b)) == 5)
    assert shown.find_element(By.ID, "video").is_displayed() and button.get_attribute("aria-pressed") == "true"
    seen = shown.execute_script("return turn")
    until(shown, lambda b: b.execute_script("return turn") >= seen + 3)
    button.send_keys(Keys.ENTER)
    until(shown, lambda b: button.get_attribute("aria-pressed") == "false")
    assert not shown.find_element(By.ID, "video").is_displayed()


def test_a_phone(shown: Any, digit: tuple[Path, str]):
    """Nothing is wider than the screen."""
    size = shown.get_window_size()
    shown.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    )
    shown.find_element(By.ID, "file").send_keys(str(digit[0]))
    until(shown, lambda b: len(names(b)) == 5)
    assert shown.execute_script("return document.documentElement.scrollWidth") <= 360
    shown.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    shown.set_window_size(size["width"], size["height"])


def test_the_server_ends(browser: Any, page: str):
    """What the page says when nobody answers any more."""
    browser.get(page)
    until(browser, lambda b: "lean arithmetic" in text(b, "about"))
    browser.set_network_conditions(offline=True, latency=0, throughput=0)
    try:
        browser.execute_script("ask(new Blob(['x'], { type: 'image/png' }))")
        until(browser, lambda b: "does not answer" in text(b, "error"))
    finally:
        browser.delete_network_conditions()
