"""The page in a real browser: a picture is dropped, the camera runs, errors are shown, it fits a phone, keys do."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from firmware import digits
from host.device import Device

selenium = pytest.importorskip("selenium", reason="selenium is not installed")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models" / "digits.safetensors"
SECONDS = 60


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The address of a page whose device is the emulated board."""
    command = [sys.executable, "-m", "host.serve", "--device", "sim:tiny", "--port", "0", str(SHIPPED)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = shutil.which("chromedriver")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if not driver or not binary:
        pytest.skip("no chromium with its chromedriver on PATH: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,1000"),
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield made
    made.quit()


def until(browser: Any, condition: Callable[[Any], Any]) -> Any:
    return WebDriverWait(browser, SECONDS).until(condition)


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
    with Device.open("reference") as device:
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
