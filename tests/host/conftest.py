"""A device for the tests of the host's own logic: it tells pictures by their brightness, in four classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from host.command.errors import HostError
from host.devices.base import Answer, Device, LoadedModel
from host.devices.registry import DEVICES, register

NAMES = ("black", "dark", "light", "white")


class BrightnessDevice(Device):
    """Logit of class c: minus the distance of the mean grey from the class's, in units that differ by class."""

    batch = 3

    def __init__(self, argument: str) -> None:
        super().__init__("brightness")
        self.argument = argument
        self.calls: list[int] = []
        self.closed = False
        self.off_by_one = argument == "wrong"
        self.counts_cycles = argument == "counting"

    def load_file(self, program: Path) -> LoadedModel:
        if not program.exists():
            raise HostError(f"Cannot read {program}: no such file.")

        def prepare(image: Image.Image) -> npt.NDArray[np.int8]:
            assert image.mode == "RGB"
            return (np.asarray(image, dtype=np.int16).transpose(2, 0, 1) - 128).astype(np.int8)

        return LoadedModel("brightness", "exact", NAMES, np.array([1.0, 0.5, 1.0, 2.0]) / 16, prepare)

    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        self.calls.append(len(images))
        means = np.round(images.astype(np.int64).mean(axis=(1, 2, 3)) + 128).astype(np.int64)
        centres, units = np.array([32, 96, 160, 224]), np.array([2, 4, 2, 1])
        cycles = 1000 if self.counts_cycles else None
        return [Answer(-abs(mean - centres) * units + self.off_by_one, cycles) for mean in means]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def brightness() -> Iterator[list[BrightnessDevice]]:
    """Registers the device for one test; the list holds every one that was opened."""
    opened: list[BrightnessDevice] = []

    def opener(argument: str) -> Device:
        opened.append(BrightnessDevice(argument))
        return opened[-1]

    register("brightness", opener)
    yield opened
    del DEVICES["brightness"]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"program")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight grey pictures, `grey_016.png` to `grey_240.png`, and a table in which one of them has a wrong label."""
    images = tmp_path / "images"
    images.mkdir()
    lines = ["label,file,author"]
    for grey in range(16, 256, 32):
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(images / f"grey_{grey:03}.png")
        lines.append(f"{0 if grey == 240 else grey // 64}, grey_{grey:03}.png, nobody")
    (images / "labels.csv").write_text("\n".join(lines) + "\n")
    return images
