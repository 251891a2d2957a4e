"""Labelled images for training: a tree of class folders as ImageNet has, a folder and a CSV file, MNIST's idx files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from firmware.quantiser.labels import labels_of
from sim.reference.errors import UserError
from sim.reference.picture import read_picture
from sim.reference.preprocess import SUFFIXES, Preprocessing, image_files

__all__ = ["AUGMENTATIONS", "Batch", "Images", "batch", "open_images", "read_idx"]

Pixels = npt.NDArray[np.float32]
Batch = tuple[Pixels, npt.NDArray[np.int64]]
LARGEST_IDX = 1 << 30  # bytes


class Images(Protocol):
    """Images and their classes, by number."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> npt.NDArray[np.int64]: ...

    def picture(self, index: int) -> Image.Image:
        """One image, decoded, RGB."""
        ...


@dataclass(frozen=True)
class Files:
    """Image files."""

    files: Sequence[Path]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.files)

    def picture(self, index: int) -> Image.Image:
        return read_picture(self.files[index])


@dataclass(frozen=True)
class Grey:
    """Grey images in memory: uint8 (count, height, width)."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def picture(self, index: int) -> Image.Image:
        return Image.fromarray(self.pixels[index]).convert("RGB")


def open_images(folder: Path, labels: Path | None, classes: int, split: str, part: slice) -> Images:
    """The images that a folder holds.

    Parameters
    ----------
    folder : with `labels`, image files; with MNIST's four idx files, those of `split`; else one folder a class, whose
        names in alphabetical order are the classes
    labels : CSV file with the columns file and label
    classes : of the model
    split : `train` or `held-out`
    part : which of the images, in the order of their names

    Raises
    ------
    UserError : there is no image, a class too many, or a damaged file
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; a folder of labelled images is expected.")
    if labels is not None:
        files = image_files(folder)[part]
        if not files:
            raise UserError(f"{folder}: the part {_text(part)} holds no image; choose another.")
        return Files(files, labels_of(labels, files, classes))
    if sorted(folder.glob("*-idx3-ubyte*")):
        prefix = "train" if split == "train" else "t10k"
        pixels, numbers = (_idx_file(folder, f"{prefix}-{kind}") for kind in ("images-idx3", "labels-idx1"))
        if len(pixels) != len(numbers) or pixels.ndim != 3 or numbers.ndim != 1:
            raise UserError(f"{folder}: {pixels.shape} images and {numbers.shape} labels do not belong together.")
        if numbers.max(initial=0) >= classes:
            raise UserError(f"{folder}: a label is {numbers.max()}, but the model has {classes} classes.")
        return Grey(pixels[part], numbers[part].astype(np.int64))
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not 1 <= len(names) <= classes:
        raise UserError(f"{folder} has {len(names)} class folders, but the model has {classes} classes.")
    found = [
        (path, number)
        for number, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ][part]
    if not found:
        raise UserError(f"{folder} holds no image in {_text(part)}; one folder of images a class is expected.")
    return Files([path for path, _ in found], np.array([number for _, number in found], np.int64))


def _text(part: slice) -> str:
    return f"{part.start or 0}:{'' if part.stop is None else part.stop}"


def _idx_file(folder: Path, stem: str) -> npt.NDArray[np.uint8]:
    for name in (f"{stem}-ubyte.gz", f"{stem}-ubyte"):
        if (folder / name).is_file():
            return read_idx(folder / name)
    raise UserError(f"{folder} lacks {stem}-ubyte.gz; MNIST's four files are expected.")


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The bytes of an idx file, gzipped or not, in its shape.

    Raises
    ------
    UserError : damaged, truncated, not of bytes, or larger than 1 GiB
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zero, kind, dimensions = struct.unpack(">HBB", file.read(4))
            if zero or kind != 8 or not 1 <= dimensions <= 4:
                raise UserError(f"{path} is not an idx file of bytes.")
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            if math.prod(shape) > LARGEST_IDX:
                raise UserError(f"{path} says that it holds {shape} bytes, more than {LARGEST_IDX}.")
            content = file.read(math.prod(shape))
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise UserError(f"{path} is truncated or damaged; fetch it again.") from error
    if len(content) != math.prod(shape):
        raise UserError(f"{path} is truncated: {len(content)} of {math.prod(shape)} bytes; fetch it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)


Augmentation = Callable[[Image.Image, np.random.Generator], Image.Image]


def _cropped(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random part of 25 to 100 % of the area, 3:4 to 4:3, mirrored half the time."""
    width, height = picture.size
    area, ratio = rng.uniform(0.25, 1.0) * width * height, math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
    w, h = min(width, round(math.sqrt(area * ratio))), min(height, round(math.sqrt(area / ratio)))
    left, top = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    part = picture.crop((left, top, left + w, top + h)).resize((width, height), Image.Resampling.BICUBIC)
    return part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part


def _moved(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Moved by up to 7 % of its side, black entering."""
    reach = max(1, round(min(picture.size) * 0.07))
    x, y = (int(value) for value in rng.integers(-reach, reach + 1, 2))
    moved = Image.new(picture.mode, picture.size)
    moved.paste(picture, (x, y))
    return moved


AUGMENTATIONS: dict[str, Augmentation | None] = {"none": None, "crop": _cropped, "move": _moved}


def batch(
    images: Images, indices: npt.NDArray[np.int64], preprocessing: Preprocessing, augment: str, seed: tuple[int, ...]
) -> Batch:
    """Preprocessed float images (batch, 3, H, W) and labels. An image's augmentation depends on `seed` and its number
    alone, not on the batch that it is in.
    """
    change = AUGMENTATIONS[augment]
    pictures = []
    for index in indices:
        picture = images.picture(int(index))
        if change is not None:
            picture = change(picture, np.random.default_rng((*seed, int(index))))
        pictures.append(preprocessing.apply(picture))
    return np.stack(pictures), images.labels[indices]
