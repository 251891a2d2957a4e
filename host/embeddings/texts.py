"""Classes of texts: the embeddings that a text encoder gave them, in an .npz or safetensors file of the user's."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from host.command.errors import HostError, reason
from host.embeddings.class_names import check_names
from host.embeddings.judged import Judge
from host.embeddings.vectors import Vectors, normalised

__all__ = ["Texts", "load_texts"]

WANTED = ("names", "embeddings", "temperature")
MOST_BYTES = 1 << 30
"""Of an array of an .npz: 300,000 texts of 768 numbers."""


@dataclass(frozen=True, eq=False)
class Texts(Judge):
    """Texts by their embeddings.

    Parameters
    ----------
    names : the texts, or what they are called
    vectors : their embeddings, of length 1, (texts, channels)
    temperature : of the model: what a cosine is divided by
    source : the file, for messages
    """

    names: tuple[str, ...]
    vectors: Vectors
    temperature: float
    source: str

    def scores(self, vectors: Vectors) -> Vectors:
        return np.asarray(vectors @ self.vectors.T / np.float32(self.temperature))


def load_texts(path: Path) -> Texts:
    """Reads and checks a file of texts.

    An .npz has the arrays `names` (texts,), `embeddings` (texts, channels) and `temperature` (); a safetensors file the
    tensors `embeddings` and `temperature`, and the names as a JSON list under `names` in its metadata.

    Raises
    ------
    HostError : it is absent, damaged, or something in it is missing or not as said
    """
    if not path.is_file():
        raise HostError(f"{path} is not a file, but an .npz or .safetensors file of texts is expected.")
    try:
        with path.open("rb") as file:
            found = _of_npz(file) if file.read(2) == b"PK" else _of_safetensors(path)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError, EOFError, SyntaxError) as error:
        raise _unreadable(path, error) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, RecursionError) as error:
        raise _unreadable(path, error) from error
    names, embeddings, temperature = found
    check_names(names, str(path))
    if embeddings.dtype.kind != "f" or embeddings.ndim != 2 or len(embeddings) != len(names) or not embeddings.size:
        raise HostError(
            f"{path}: `embeddings` is {embeddings.dtype} {embeddings.shape}, but a row of floating-point numbers for "
            f"each of {len(names)} names is expected."
        )
    vectors = normalised(embeddings.astype(np.float32))
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise HostError(f"{path}: an embedding is zero or not finite: compute it anew.")
    if temperature.size != 1 or temperature.dtype.kind not in "fiu" or not 0 < float(temperature.reshape(())) < np.inf:
        raise HostError(f"{path}: `temperature` must be a positive number; of CLIP it is 1 / exp(logit_scale), 0.01.")
    return Texts(names, vectors, float(temperature.reshape(())), str(path))


Found = tuple[tuple[str, ...], npt.NDArray[Any], npt.NDArray[Any]]


def _of_npz(file: IO[bytes]) -> Found:
    with zipfile.ZipFile(file) as archive:
        names, embeddings, temperature = (_member(archive, name) for name in WANTED)
    if names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError(f"`names` is {names.dtype} {names.shape}, not a row of texts")
    return tuple(str(name) for name in names), embeddings, temperature


def _member(archive: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """An array, for which nothing is allocated before its size is known to be the member's.

    Raises ValueError for what is missing, too large, pickled, or says another size than it has.
    """
    try:
        about = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise ValueError(f"`{name}` is missing") from None
    with archive.open(about) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"`{name}` is an array of version {version}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = read(member)
        count = 1
        for side in shape:
            count *= side
        size = count * kind.itemsize
        if kind.hasobject or size > MOST_BYTES or size > about.file_size:
            raise ValueError(f"`{name}` is pickled, or says that it has {size:,} bytes")
        content = member.read(size)
    if len(content) != size:
        raise ValueError(f"`{name}` is cut short")
    return np.frombuffer(content, kind).reshape(shape, order="F" if fortran else "C")


def _of_safetensors(path: Path) -> Found:
    with safe_open(path, framework="numpy") as file:
        names = json.loads((file.metadata() or {}).get("names", "null"))
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("its metadata have no list of texts under `names`")
        tensors = {name: file.get_tensor(name) for name in file.keys() if name in WANTED}  # noqa: SIM118
    if missing := [name for name in WANTED[1:] if name not in tensors]:
        raise ValueError(f"`{missing[0]}` is missing")
    return tuple(names), tensors["embeddings"], tensors["temperature"]


def _unreadable(path: Path, error: Exception) -> HostError:
    return HostError(f"{path} cannot be used as texts ({reason(error)}): write it as docs/embeddings.md shows.")
