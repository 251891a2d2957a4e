"""From an image file to the float tensor that a model takes; the integer model file carries these settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sim.reference.errors import UserError
from sim.reference.picture import read_picture

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image in a folder; a file named by itself may have any name."""


INTERPOLATIONS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}
LARGEST_SIDE = 1 << 14  # pixels that a picture is resized to


@dataclass(frozen=True)
class Preprocessing:
    """Resize, crop the centre, scale to 0..1, normalise.

    Parameters
    ----------
    resize : pixels of the short side; with `squash` of both sides
    crop : side of the square that is cut out
    mean, std : are taken off, and divided by, one a colour
    interpolation : one of INTERPOLATIONS
    squash : the picture's proportions are not kept
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bicubic"
    squash: bool = False

    def __post_init__(self) -> None:
        if self.resize > LARGEST_SIDE:
            raise UserError(f"resize must be at most {LARGEST_SIDE} pixels, not {self.resize}.")
        if self.interpolation not in INTERPOLATIONS:
            raise UserError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not {self.interpolation!r}.")
        if not 1 <= self.crop <= self.resize:
            raise UserError(f"resize must be at least the image's side of {self.crop} pixels, not {self.resize}.")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise UserError(f"{name} must be three finite numbers, one a colour, not {values}.")
        if min(self.std) <= 0:
            raise UserError(f"std must be above 0, not {self.std}.")

    @classmethod
    def default(cls, image: int) -> Preprocessing:
        """ImageNet's way: 256 then 224 for models of 224 pixels; others are resized to their own side."""
        return cls(resize=256 if image == 224 else image, crop=image)

    def to_dict(self) -> dict[str, object]:
        """Plain values for a file's metadata: size, mean and deviation, and what else is not as it is by default."""
        extra = {one.name: one.default for one in fields(self)[4:]}
        return {name: value for name, value in asdict(self).items() if extra.get(name, MISSING) != value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """What `to_dict` gave, from a file that nobody has checked.

        Raises
        ------
        KeyError, TypeError, ValueError, AttributeError : it is something else
        UserError : a value that no preprocessing has
        """
        mean, std = (tuple(map(float, values[name])) for name in ("mean", "std"))
        known = {one.name for one in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"{unknown[0]!r} is not known")
        interpolation, squash = values.get("interpolation", cls.interpolation), values.get("squash", cls.squash)
        if not isinstance(interpolation, str) or not isinstance(squash, bool):
            raise TypeError("interpolation must be a name, squash true or false")
        return cls(int(values["resize"]), int(values["crop"]), mean, std, interpolation, squash)  # type: ignore[arg-type]

    def describe(self) -> str:
        """In words, for a command to print."""
        what = "both sides" if self.squash else "the short side"
        mean, std = (",".join(f"{value:.4g}" for value in values) for values in (self.mean, self.std))
        return (
            f"{what} to {self.resize} pixels ({self.interpolation}), the centre of {self.crop}, mean {mean}, "
            f"deviation {std}"
        )

    def load(self, path: Path) -> npt.NDArray[np.float32]:
        """The image file as float32 (3, crop, crop), red first. Raises UserError as `read_picture`."""
        return self.apply(read_picture(path))

    def apply(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        """A decoded picture (RGB) as float32 (3, crop, crop), red first."""
        scale = self.resize / min(picture.size)
        width, height = (self.resize if self.squash else max(self.resize, round(s * scale)) for s in picture.size)
        if (width, height) != picture.size:
            picture = picture.resize((width, height), INTERPOLATIONS[self.interpolation])
        left, top = (width - self.crop) // 2, (height - self.crop) // 2
        picture = picture.crop((left, top, left + self.crop, top + self.crop))
        pixels = np.asarray(picture, dtype=np.float32) / np.float32(255)
        normalised = (pixels - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def load_batch(self, paths: Sequence[Path]) -> npt.NDArray[np.float32]:
        """Image files as float32 (batch, 3, crop, crop)."""
        return np.stack([self.load(path) for path in paths])


def image_files(folder: Path) -> list[Path]:
    """The image files of a folder in the order of their names.

    Raises
    ------
    UserError
        The folder does not exist or holds no image file.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; a folder of images is expected.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{folder} holds no image; files ending in {', '.join(sorted(SUFFIXES))} are expected.")
    return files
