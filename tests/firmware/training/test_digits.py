"""The folder of digits: whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from firmware.training.digits import DigitSet, write_images
from sim.reference.errors import UserError


def some(count: int) -> DigitSet:
    images = np.full((count, 32, 32, 3), 7, np.uint8)
    return DigitSet(images, np.arange(count), np.arange(count) + 20)


def test_a_folder_that_is_there_gets_the_files(tmp_path: Path):
    write_images(some(2), tmp_path / "a" / "digits")
    write_images(some(1), tmp_path / "a" / "digits")
    found = tmp_path / "a" / "digits"
    assert (found / "labels.csv").read_text().split() == ["file,label", "digit_0020.png,0"]
    assert sorted(path.name for path in found.iterdir()) == [
        "class_names.txt",
        "digit_0020.png",
        "digit_0021.png",
        "labels.csv",
    ]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["digits"]


def test_nothing_is_left_of_a_command_that_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    saved: list[Path] = []

    def save(self: Image.Image, path: Path) -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(path)
        path.touch()

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(KeyboardInterrupt):
        write_images(some(2), tmp_path / "digits")
    assert saved and list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "digits").touch()
    with pytest.raises(UserError, match="digits is a file, but the output must be a folder"):
        write_images(some(1), tmp_path / "digits")
