"""From an image file to the float tensor that a model takes; the integer model file carries these settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sim.reference.errors import UserError
from sim.reference.picture import read_picture

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""What counts as an image in a folder; a file named by itself may have any name."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize the short side to `resize` pixels (bicubic), crop the centre `crop` x `crop`, scale to 0..1, normalise."""

    resize: int
    crop: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
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
        """Plain values for a file's metadata."""
        return asdict(self)

    def load(self, path: Path) -> npt.NDArray[np.float32]:
        """The image file as float32 (3, crop, crop), red first. Raises UserError as `read_picture`."""
        return self.apply(read_picture(path))

    def apply(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        """A decoded picture (RGB) as float32 (3, crop, crop), red first."""
        scale = self.resize / min(picture.size)
        width, height = (max(self.resize, round(side * scale)) for side in picture.size)
        if (width, height) != picture.size:
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
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
