"""The arrays of a weights file: safetensors, npz, or what `torch.save` writes. Nothing in a file is executed."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from firmware.checkpoints.torch_file import is_torch, load_state, tensors_of
from sim.reference.errors import UserError

__all__ = ["Arrays", "load_arrays"]

Arrays = dict[str, npt.NDArray[np.generic]]
BFLOAT16 = "BF16"
LENGTH_BYTES = 8  # of a safetensors header's length


def load_arrays(path: Path) -> Arrays:
    """Every array of a safetensors, npz or PyTorch file by name.

    bfloat16, which numpy lacks, becomes float32. In the state of a training run (`{"model": ..., "epoch": ...}`) the
    weights are looked for.

    Raises
    ------
    UserError
        The file is absent, truncated, of another kind, or holds pickled objects; or PyTorch is needed and absent.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; a .safetensors, .npz, .pth or .bin file is expected.")
    try:
        if is_torch(path):
            return tensors_of(load_state(path), path)
        with path.open("rb") as file:
            magic = file.read(2)
        return _load_npz(path) if magic == b"PK" else _load_safetensors(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error


def _load_npz(path: Path) -> Arrays:
    arrays: Arrays = {}
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
            f"{path} is truncated or damaged{where} ({_first_line(error)}); fetch or export it again."
        ) from error
    return arrays


def _load_safetensors(path: Path) -> Arrays:
    arrays: Arrays = {}
    key = ""
    try:
        with safe_open(path, framework="numpy") as file:
            # The library has checked the header by now: its places are inside the file.
            wide = _bfloat16(path)
            for key in file.keys():  # noqa: SIM118  a safetensors file is not a mapping
                arrays[key] = wide[key] if key in wide else file.get_tensor(key)
    except (SafetensorError, ValueError) as error:
        raise UserError(
            f"{path} is neither an .npz nor a whole .safetensors file ({_first_line(error)}); fetch or export it again."
        ) from error
    except (TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: {key!r} has an element type that numpy lacks ({_first_line(error)}); export it as float32."
        ) from error
    return arrays


def _bfloat16(path: Path) -> Arrays:
    """The tensors of a safetensors file that are bfloat16: the high halves of float32."""
    found: Arrays = {}
    with path.open("rb") as file:
        start = LENGTH_BYTES + int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(start - LENGTH_BYTES))
        for key, about in header.items():
            if key != "__metadata__" and about["dtype"] == BFLOAT16:
                first, end = about["data_offsets"]
                file.seek(start + first)
                halves = np.frombuffer(file.read(end - first), "<u2").astype(np.uint32)
                found[key] = (halves << 16).view(np.float32).reshape(about["shape"])
    return found


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
