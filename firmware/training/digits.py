"""The handwritten digits that the shipped model is trained and shown on.

The 1,797 images of 8 x 8 pixels (values 0 to 16) come with scikit-learn (`sklearn.datasets.load_digits`, the test part
of the UCI set "Optical Recognition of Handwritten Digits"); nothing is downloaded. Each is enlarged to 32 x 32 by
bicubic interpolation and stored as grey repeated in three channels, so that it takes the way of any photograph through
the preprocessing. 36 images of each class, drawn with a fixed seed, are held out and never trained on.

    python -m firmware.digits --split held-out -o DIR    # PNG files, labels.csv, class_names.txt
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from sim.reference.errors import UserError, filled_when_complete

CLASS_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
IMAGE_SIZE = 32
"""Height and width of an enlarged image, in pixels."""
HELD_OUT_PER_CLASS = 36
SPLIT_SEED = 20
SPLITS = ("train", "held-out")


@dataclass(frozen=True)
class DigitSet:
    """One split of the digits.

    Members
    -------
    images : uint8, (count, 32, 32, 3)
    labels : int64, (count,), the digit, 0 to 9
    indices : int64, (count,), positions in scikit-learn's data set, ascending
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


def enlarge(digit: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """An 8 x 8 digit with values 0 to 16 as uint8 (32, 32, 3), grey in three channels."""
    grey = Image.fromarray(np.round(digit * (255 / 16)).astype(np.uint8))
    large = grey.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    return np.repeat(np.asarray(large)[:, :, None], 3, axis=2)


def load(split: str) -> DigitSet:
    """One split, `"train"` (1,437 images) or `"held-out"` (360 images, 36 a class).

    Raises
    ------
    ValueError : the split has another name
    ImportError : scikit-learn is not installed
    """
    if split not in SPLITS:
        raise ValueError(f"the digits have the splits {' and '.join(SPLITS)}, not {split!r}: name one of these.")
    from sklearn.datasets import load_digits  # only here: it takes a second to import

    digits, labels = load_digits(return_X_y=True)
    generator = np.random.default_rng(SPLIT_SEED)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in range(len(CLASS_NAMES)):
        held_out[generator.permutation(np.flatnonzero(labels == label))[:HELD_OUT_PER_CLASS]] = True
    indices = np.flatnonzero(held_out if split == "held-out" else ~held_out)
    images = np.stack([enlarge(digits[index].reshape(8, 8)) for index in indices])
    return DigitSet(images, labels[indices].astype(np.int64), indices)


def write_images(digits: DigitSet, folder: Path) -> None:
    """Writes `digit_NNNN.png` (NNNN: position in scikit-learn's set), `labels.csv` (file, 0-based class) and the
    classes' names, `class_names.txt`: all of them or none. Raises UserError where the folder cannot be written."""
    with filled_when_complete(folder) as temporary:
        (temporary / "class_names.txt").write_text("".join(f"{name}\n" for name in CLASS_NAMES))
        with (temporary / "labels.csv").open("w", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(("file", "label"))
            for image, label, index in zip(digits.images, digits.labels, digits.indices, strict=True):
                name = f"digit_{index:04d}.png"
                Image.fromarray(image).save(temporary / name)
                table.writerow((name, int(label)))


def main(arguments: list[str] | None = None) -> int:
    """The command; 0. Raises UserError without scikit-learn, or where the folder cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m firmware.digits", description=__doc__.splitlines()[0])
    parser.add_argument("--split", choices=SPLITS, default="held-out", help="default: %(default)s")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder to write")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error(f"--limit must be at least 1, not {options.limit}.")
    try:
        digits = load(options.split)
    except ImportError as error:
        raise UserError(
            "The digits come with scikit-learn, which is not installed; run `pip install scikit-learn`."
        ) from error
    keep = slice(options.limit)
    digits = DigitSet(digits.images[keep], digits.labels[keep], digits.indices[keep])
    try:
        write_images(digits, options.output)
    except OSError as error:
        raise UserError(f"The images cannot be written to {options.output}: {error.strerror or error}.") from error
    print(f"{len(digits)} images and labels.csv in {options.output}")
    return 0
