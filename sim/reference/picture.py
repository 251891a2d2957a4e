"""From an image file, as cameras and painting programs make them, to a picture of 8-bit red, green and blue."""

from __future__ import annotations

import io
import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sim.reference.errors import UserError

__all__ = ["BACKGROUND", "MOST_PIXELS", "decode_picture", "read_picture"]

MOST_PIXELS = 80_000_000  # 240 MB decoded, and below what Pillow itself warns of
BACKGROUND = (255, 255, 255)
"""What is seen through transparent pixels."""
SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, struct.error, MemoryError)
"""What Pillow's decoders answer damaged and hostile files with."""
TOO_LARGE = (Image.DecompressionBombError, Image.DecompressionBombWarning)


def on_standard_error(sentence: str) -> None:
    """What a command says beside its answers."""
    print(sentence, file=sys.stderr, flush=True)


def read_picture(path: Path, say: Callable[[str], None] = on_standard_error) -> Image.Image:
    """The picture in a file.

    It is turned as the camera says (EXIF); of 16 bits a colour the high 8 are taken; transparent pixels show
    `BACKGROUND`; of an animated file the first picture is taken.

    Parameters
    ----------
    say : is told, in a sentence, of what a file has beside the picture that is taken

    Raises
    ------
    UserError : the file is missing, not an image, damaged, or has more than `MOST_PIXELS` pixels
    """
    return _decoded(path, MOST_PIXELS, f"image {path}", say)


def decode_picture(content: bytes, most_pixels: int, say: Callable[[str], None]) -> Image.Image:
    """The same for bytes from somebody who is not trusted, of which no more than so many pixels are ever decoded."""
    return _decoded(io.BytesIO(content), most_pixels, "picture", say)


def _decoded(source: Path | BinaryIO, most_pixels: int, name: str, say: Callable[[str], None]) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Odd but harmless metadata is no reason to refuse an image that decodes, nor to talk about it.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as image:
                if image.width * image.height > most_pixels:
                    raise UserError(
                        f"The {name} has {image.width} x {image.height} pixels, and {most_pixels:,} are the most: make "
                        "it smaller."
                    )
                frames = getattr(image, "n_frames", 1)
                image.seek(0)  # to count them is to have gone to the last one
                picture = _rgb(ImageOps.exif_transpose(image))
    except TOO_LARGE as error:
        raise UserError(f"The {name} has more than {most_pixels:,} pixels: make it smaller.") from error
    except DECODING_ERRORS as error:
        raise UserError(f"Cannot read the {name}: {_reason(error)}.") from error
    if frames > 1:
        say(f"The {name} has {frames} pictures; the first is taken.")
    return picture


def _rgb(image: Image.Image) -> Image.Image:
    """Raises ValueError for pixels whose white is not known."""
    if image.mode in SIXTEEN_BITS:
        return _of_sixteen_bits(image)
    if image.mode == "F":
        raise ValueError(
            "its pixels are floating-point numbers, of which white is not known; save it with 8 or 16 bits"
        )
    if image.mode == "RGB" and isinstance(hole := image.info.get("transparency"), tuple) and max(hole) > 255:
        image.info["transparency"] = tuple(value >> 8 for value in hole)  # as Pillow did with the pixels
    if not image.has_transparency_data:
        return image.convert("RGB")
    shown = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", shown.size, (*BACKGROUND, 255)), shown).convert("RGB")


def _of_sixteen_bits(image: Image.Image) -> Image.Image:
    """Grey. Raises ValueError for values of more than 16 bits."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() >= 1 << 16:
        raise ValueError("its pixels have more than 16 bits, of which white is not known; save it with 8 or 16 bits")
    high = np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    hole = image.info.get("transparency")
    if isinstance(hole, int):
        high[grey == hole] = BACKGROUND
    return Image.fromarray(high)


def _reason(error: BaseException) -> str:
    """Part of a sentence."""
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image that Pillow knows"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")
