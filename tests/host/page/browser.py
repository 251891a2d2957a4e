"""A real browser without a window, and a page of host.serve for it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.skips import Skip

__all__ = ["SHIPPED", "browser", "headless", "served_page", "until"]

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ROOT / "models" / "digits.safetensors"
SECONDS = 60
END_SECONDS = 30


def _binaries() -> tuple[str | None, str | None]:
    return shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")


def browser_there() -> bool:
    """Whether Chromium and its driver are on PATH."""
    return all(_binaries())


@contextmanager
def headless(width: int = 1280, height: int = 1000, scale: float = 1) -> Iterator[Any]:
    """A Chromium with a camera that shows a test pattern; its messages are kept."""
    from selenium import webdriver

    driver, binary = _binaries()
    options = webdriver.ChromeOptions()
    options.binary_location = binary or ""
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"),
        *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
        *(f"--window-size={width},{height}", f"--force-device-scale-factor={scale}"),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


@contextmanager
def served_page(device: str) -> Iterator[str]:
    """The address of a page with that device and the shipped model; its process must end when it is asked to."""
    command = [sys.executable, "-m", "host.serve", "--device", device, "--port", "0", str(SHIPPED)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            try:
                assert process.wait(END_SECONDS) == 0
            finally:
                process.kill()


def until(browser: Any, condition: Callable[[Any], Any]) -> Any:
    """Waits for something to become true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, SECONDS).until(condition)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One for all tests of a module."""
    if not browser_there():
        Skip.BROWSER.now()
    with headless() as made:
        yield made
