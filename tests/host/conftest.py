"""A device for the tests of the host's own logic: it tells pictures by their brightness, in four classes. What it gives
as an embedding is the mean colour.
"""

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
    """Logit of class c: minus the distance of the mean grey from the class's, in units that differ by class. Embedding:
    mean red, green and blue, less 128; `tokens`: that of the upper and of the lower half.
    """

    batch = 3

    def __init__(self, argument: str) -> None:
        super().__init__("brightness")
        self.argument = argument
        self.calls: list[int] = []
        self.closed = False
        self.off_by_one = argument == "wrong"
        self.counts_cycles = argument == "counting"
        self.fingerprint = argument if argument == "another" else "brightness"

    def load_file(self, program: Path, outputs: Sequence[str] = ()) -> LoadedModel:
        if not program.exists():
            raise HostError(f"Cannot read {program}: no such file.")

        def prepare(image: Image.Image) -> npt.NDArray[np.int8]:
            assert image.mode == "RGB"
            return (np.asarray(image, dtype=np.int16).transpose(2, 0, 1) - 128).astype(np.int8)

        self.outputs = tuple(outputs) or ("classes",)
        known = {
            "classes": np.array([1.0, 0.5, 1.0, 2.0]) / 16,
            "embedding": np.full(3, 0.5),
            "tokens": np.full(3, 0.5),
        }
        scales = {kind: known[kind] for kind in self.outputs}
        names = NAMES if "classes" in scales else ()
        return LoadedModel("brightness", "exact", names, scales, self.fingerprint, prepare)

    def run(self, images: npt.NDArray[np.int8]) -> Sequence[Answer]:
        self.calls.append(len(images))
        means = np.round(images.astype(np.int64).mean(axis=(1, 2, 3)) + 128).astype(np.int64)
        centres, units = np.array([32, 96, 160, 224]), np.array([2, 4, 2, 1])
        cycles = 1000 if self.counts_cycles else None
        logits = [-abs(mean - centres) * units + self.off_by_one for mean in means]
        halves = [
            np.rint(half.mean(axis=(2, 3))).astype(np.int64) for half in np.array_split(images.astype(float), 2, 2)
        ]
        colours = np.rint(images.mean(axis=(2, 3), dtype=float)).astype(np.int64)
        found = [
            {"classes": row[None], "embedding": colour[None], "tokens": np.stack([upper, lower])}
            for row, colour, upper, lower in zip(logits, colours, *halves, strict=True)
        ]
        return [Answer({kind: one[kind] for kind in self.outputs}, cycles) for one in found]

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
