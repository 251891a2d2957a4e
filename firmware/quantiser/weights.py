"""Float checkpoints: safetensors or npz files with timm's names, checked strictly against an architecture."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape

FloatArray = npt.NDArray[np.float32]


def load_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every array of a safetensors or npz file by name; nothing in the file is executed.

    Raises
    ------
    UserError
        The file is absent, truncated, of another kind, or holds pickled objects.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; a .safetensors or .npz file is expected.")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
        if magic[:2] == b"PK":
            return _load_npz(path)
        return _load_safetensors(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error


def _load_npz(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    arrays = {}
    key = ""
    try:
        # Opened here, because numpy leaves a file that it cannot read as an archive to the garbage collector.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for key in archive.files:
                array = archive[key]
                if not isinstance(array, np.ndarray):
                    raise UserError(
                        f"{path}: the member {key!r} is not a numpy array; an .npz of plain arrays is expected."
                    )
                arrays[key] = array
    except (ValueError, EOFError, KeyError, SyntaxError, NotImplementedError, MemoryError, RuntimeError) as error:
        where = f" at {key!r}" if key else ""
        raise UserError(
            f"{path} is damaged or not an .npz of plain arrays{where} ({_first_line(error)}); "
            "pickled objects are not accepted."
        ) from error
    except (zipfile.BadZipFile, zlib.error) as error:
        where = f" at {key!r}" if key else ""
        raise UserError(
            f"{path} is truncated or damaged{where} ({_first_line(error)}); fetch or export it anew."
        ) from error
    return arrays


def _load_safetensors(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    arrays = {}
    key = ""
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118  a safetensors file is not a mapping
                arrays[key] = file.get_tensor(key)
    except (SafetensorError, ValueError) as error:
        raise UserError(
            f"{path} is neither an .npz nor a whole .safetensors file ({_first_line(error)}); fetch or export it anew."
        ) from error
    except (TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: {key!r} has an element type that numpy lacks ({_first_line(error)}); export it as float32."
        ) from error
    return arrays


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def checked_weights(
    arrays: Mapping[str, npt.NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, FloatArray]:
    """`arrays` as float32 when they are exactly the tensors of `shapes`, all finite.

    Raises
    ------
    UserError
        A tensor is missing, unknown, of another shape or element type, or holds NaN or infinity.
    """
    for key in shapes:
        if key not in arrays:
            raise UserError(f"{path}: the weight {key!r} is missing; {_shape(shapes[key])} is expected.")
    for key in arrays:
        if key not in shapes:
            raise UserError(f"{path}: {key!r} is no weight of this architecture; check the ARCH argument.")
    weights = {}
    for key, shape in shapes.items():
        array = arrays[key]
        if array.shape != shape:
            raise UserError(f"{path}: {key!r} has shape {_shape(array.shape)}, but {_shape(shape)} is expected.")
        if array.dtype.kind != "f":
            raise UserError(f"{path}: {key!r} holds {array.dtype}, but floating-point weights are expected.")
        with np.errstate(over="ignore"):
            weights[key] = array.astype(np.float32)
        if not np.isfinite(weights[key]).all():
            raise UserError(f"{path}: {key!r} holds NaN or infinity, but finite float32 weights are expected.")
    return weights


def check_buffers(arrays: Mapping[str, npt.NDArray[np.generic]], shape: ModelShape, source: str | Path) -> None:
    """Raises UserError when a tensor that follows from the dimensions is there and not as they would have it."""
    for key, expected in shape.buffers().items():
        if key in arrays and not np.array_equal(arrays[key], expected):
            raise UserError(f"{source}: {key!r} is not that of this architecture; check the ARCH argument.")


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
