"""Finding and decoding image files; what happens to a decoded picture is up to `sim.reference.preprocess`."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageOps

from host.command.errors import HostError, reason
from sim.reference.preprocess import SUFFIXES

DECODING_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    KeyError,
    struct.error,
    MemoryError,
    Image.DecompressionBombError,
)
"""What Pillow's decoders answer damaged and hostile files with."""


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


def read_image(path: Path) -> Image.Image:
    """The decoded picture, RGB whatever the file holds.

    Raises
    ------
    HostError : the file is missing, not an image, or damaged
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except DECODING_ERRORS as error:
        raise HostError(f"Cannot read the image {path}: {_complaint(error)}.") from error


def decode_image(content: bytes, most_pixels: int) -> Image.Image:
    """The same for bytes from somebody who is not trusted: no more than so many pixels are ever decoded.

    Raises
    ------
    HostError : it is no image, damaged, or too large
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > most_pixels:
                raise HostError(
                    f"The picture has {image.width} x {image.height} pixels, and {most_pixels:,} are the most: make it "
                    "smaller."
                )
            return ImageOps.exif_transpose(image).convert("RGB")
    except DECODING_ERRORS as error:
        raise HostError(f"Cannot read the picture: {_complaint(error)}.") from error


def _complaint(error: BaseException) -> str:
    return "it is not an image that Pillow knows" if "cannot identify" in str(error) else reason(error)
