"""Runs an integer model and writes every tensor.

python -m sim.reference MODEL INPUT -o TENSORS
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError, exit_status, replaced_when_complete
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model

MOST_IMAGES = 1024


def read_input(path: Path, model: IntegerModel) -> npt.NDArray[np.float32]:
    """The float images (batch, 3, H, W) of an image file, or of an .npy that holds them preprocessed.

    Raises
    ------
    UserError : the file is unreadable, or not float images of the model's size
    """
    if path.suffix != ".npy":
        return model.preprocessing.load_batch([path])
    side = model.shape.image
    try:
        # Mapped, not read: the header is checked before anything of the array's claimed size is allocated.
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise UserError(f"{path} is not a readable .npy file of numbers.") from error
    if images.dtype.kind != "f" or images.ndim != 4 or images.shape[1:] != (3, side, side):
        raise UserError(
            f"{path} holds {images.dtype} {images.shape}, but float images (batch, 3, {side}, {side}) are expected."
        )
    if not 1 <= len(images) <= MOST_IMAGES:
        raise UserError(f"{path} holds {len(images)} images, but 1 to {MOST_IMAGES} are expected.")
    if not np.isfinite(images).all():
        raise UserError(f"{path} holds NaN or infinity, but finite numbers are expected.")
    return np.asarray(images, np.float32)


def run(arguments: argparse.Namespace) -> int:
    """Runs the model and writes the tensors; 0."""
    model = load_model(arguments.model)
    vit = IntegerVit(model)
    tensors = vit.run(vit.quantised(read_input(arguments.input, model)))
    with replaced_when_complete(arguments.output) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **{name: _smallest(tensor) for name, tensor in tensors.items()})
    print(f"{arguments.output}: {len(tensors)} tensors of {len(tensors['head'])} images, arithmetic {model.arithmetic}")
    return 0


def _smallest(tensor: npt.NDArray[np.int64]) -> npt.NDArray[np.signedinteger]:
    """The tensor in 32-bit integers where they hold it, else as it is."""
    fits = np.abs(tensor).max(initial=0) < 2**31
    return tensor.astype(np.int32) if fits else tensor


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(prog="python -m sim.reference", description=(__doc__ or "").splitlines()[0])
    result.add_argument("model", type=Path, metavar="MODEL", help="integer model file")
    result.add_argument("input", type=Path, metavar="INPUT", help="image, or .npy of float images (batch, 3, H, W)")
    result.add_argument("-o", "--output", type=Path, required=True, metavar="TENSORS", help="the .npz to write")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
