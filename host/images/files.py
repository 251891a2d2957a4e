"""Finding image files; `sim.reference.picture` decodes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from host.command.errors import HostError, reason
from sim.reference.errors import UserError
from sim.reference.picture import read_picture
from sim.reference.preprocess import SUFFIXES


def find_images(arguments: Iterable[Path]) -> list[Path]:
    """The files named, and for each folder the images right in it, by name.

    Raises
    ------
    HostError : a path does not exist, or a folder has no images
    """
    found: list[Path] = []
    for path in arguments:
        try:
            if not path.is_dir():
                if not path.exists():
                    raise HostError(f"{path} does not exist: name an image file or a folder of images.")
                found.append(path)
                continue
            inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
        except OSError as error:
            raise HostError(f"Cannot look into {path}: {reason(error)}.") from error
        if not inside:
            raise HostError(f"The folder {path} has no images: name one with {', '.join(sorted(SUFFIXES))} files.")
        found += inside
    return found


class Pictures:
    """The pictures in files, one after another; of one that cannot be read a sentence goes to standard error.

    Members
    -------
    read : the files of the pictures so far
    refused : of each file that cannot be read, why
    """

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = files
        self.read: list[Path] = []
        self.refused: dict[Path, str] = {}

    def __iter__(self) -> Iterator[Image.Image]:
        for file in self._files:
            try:
                picture = read_picture(file)
            except UserError as error:
                print(error, file=sys.stderr, flush=True)
                self.refused[file] = str(error)
                continue
            self.read.append(file)
            yield picture
