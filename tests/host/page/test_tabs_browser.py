"""The page's other tabs in a real browser: pictures like one, and classes of some pictures each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from firmware.training import digits
from host.devices.registry import open_device
from host.embeddings.vectors import nearest, unit_vectors
from tests.host.page.browser import SHIPPED, browser, served_page, until

__all__ = ["browser"]  # a fixture

KINDS = (1, 4, 7)
EACH = 5


@pytest.fixture(scope="module")
def address(browser: Any) -> Iterator[str]:
    with served_page("reference") as address:
        yield address


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    """Six pictures of each kind of digit: five to show first, one to ask about."""
    held_out, folder = digits.load("held-out"), tmp_path_factory.mktemp("digits")
    found: dict[int, list[Path]] = {}
    for kind in KINDS:
        for number, row in enumerate(np.flatnonzero(held_out.labels == kind)[: EACH + 1]):
            path = folder / f"{kind}-{number}.png"
            Image.fromarray(held_out.images[row]).save(path)
            found.setdefault(kind, []).append(path)
    return found


@pytest.fixture
def page(browser: Any, address: str) -> Any:
    browser.get(address)
    until(browser, lambda b: "lean arithmetic" in b.find_element(By.ID, "about").text)
    return browser


def give(browser: Any, element: Any, paths: list[Path]) -> None:
    element.send_keys("\n".join(map(str, paths)))


def text(browser: Any, name: str) -> str:
    return browser.find_element(By.ID, name).text


def shows(selector: str, wanted: str) -> Callable[[Any], bool]:
    """Whether the first such element has that text; it may be made anew at any time."""
    script = "return document.querySelector(arguments[0])?.textContent"
    return lambda browser: browser.execute_script(script, selector) == wanted


def severe(browser: Any) -> list[Any]:
    """What the policy forbids, what is missing, what a script does wrong."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_pictures_like_one(page: Any, files: dict[int, list[Path]]):
    """The same pictures in the same order as numpy finds them."""
    page.find_element(By.ID, "tab-like").click()
    shown, asked = [path for kind in KINDS for path in files[kind][:EACH]], files[4][EACH]
    give(page, page.find_element(By.ID, "gallery-files"), shown)
    until(page, lambda b: text(b, "gallery-count") == "15 pictures")
    give(page, page.find_element(By.ID, "file"), [asked])
    until(page, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#similar img")) == 6)
    with open_device("reference") as device:
        device.load(SHIPPED, ("embedding",))
        vectors = np.stack(
            list(unit_vectors(device.embed(Image.open(path).convert("RGB") for path in [*shown, asked])))
        )
    wanted = nearest(vectors[:-1], vectors[-1], 6)
    assert [one.text for one in page.find_elements(By.CSS_SELECTOR, "#similar b")] == [
        shown[row].name for row, _ in wanted
    ]
    cosines = [float(one.text) for one in page.find_elements(By.CSS_SELECTOR, "#similar span")]
    np.testing.assert_allclose(cosines, [cosine for _, cosine in wanted], atol=6e-4)
    assert not page.find_element(By.ID, "labels").is_displayed() and severe(page) == []
    # The labels of the same picture, without giving it again.
    page.find_element(By.ID, "tab-labels").click()
    until(page, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#top .line")) == 5)


def new_class(page: Any, name: str, paths: list[Path]) -> None:
    page.find_element(By.ID, "class-name").send_keys(name, Keys.ENTER)
    until(page, lambda b: b.find_elements(By.CSS_SELECTOR, f"input[aria-label='Pictures of {name}']"))
    if paths:
        give(page, page.find_element(By.CSS_SELECTOR, f"input[aria-label='Pictures of {name}']"), paths)
        until(page, shows("#classes li:last-child .line span", f"{len(paths)} pictures"))


def test_my_classes(page: Any, files: dict[int, list[Path]]):
    page.find_element(By.ID, "tab-own").click()
    for kind in KINDS:
        new_class(page, f"kind {kind}", files[kind][:EACH])
    give(page, page.find_element(By.ID, "file"), [files[7][EACH]])
    until(page, lambda b: len(b.find_elements(By.CSS_SELECTOR, "#named .line")) == 3)
    assert page.find_element(By.CSS_SELECTOR, "#named b").text == "kind 7"
    assert "times as far off as the loneliest" in text(page, "unusual") and severe(page) == []
    # The camera's picture goes the same way.
    page.find_element(By.ID, "camera").click()
    until(page, lambda b: b.execute_script("return turn") >= 3)
    assert text(page, "unusual").startswith("Unusual")
    page.find_element(By.ID, "camera").click()


def test_mistakes_are_sentences(page: Any, files: dict[int, list[Path]], tmp_path: Path):
    page.find_element(By.ID, "tab-own").click()
    new_class(page, "cup", files[1][:2])
    page.find_element(By.ID, "class-name").send_keys("Cup", Keys.ENTER)
    until(page, lambda b: "There is a class Cup already" in text(b, "error"))
    page.find_element(By.ID, "class-name").clear()
    new_class(page, "spoon", [])
    give(page, page.find_element(By.ID, "file"), [files[1][3]])
    until(page, lambda b: "The class 'spoon' has no pictures" in text(b, "error"))
    (tmp_path / "text.png").write_text("no picture")
    give(page, page.find_element(By.CSS_SELECTOR, "input[aria-label='Pictures of spoon']"), [tmp_path / "text.png"])
    until(page, lambda b: "text.png: Cannot read the picture" in text(b, "error"))
    severe(page)  # the answers 400 stand there


def test_dropping_on_a_class_and_keys(page: Any, files: dict[int, list[Path]]):
    """A picture that is let go over a class is its; the arrow keys go through the tabs."""
    page.find_element(By.ID, "tab-labels").send_keys(Keys.ARROW_LEFT)
    assert page.switch_to.active_element.get_attribute("id") == "tab-own"
    new_class(page, "one", [])
    page.execute_script(
        """
        const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(arguments[0])], "digit.png", { type: "image/png" }));
        const place = document.querySelector("[data-class]");
        place.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
        """,
        list(files[1][0].read_bytes()),
    )
    until(page, shows("#classes .line span", "1 picture"))
    assert not page.find_element(By.ID, "picture").is_displayed()


def test_a_phone(page: Any, files: dict[int, list[Path]]):
    """Nothing is wider than the screen."""
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    )
    for tab in ("tab-like", "tab-own"):
        page.find_element(By.ID, tab).click()
        assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
