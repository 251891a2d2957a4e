"""An index: the vectors of a folder's pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from host.embeddings.tensor_file import TensorFile, packed_names, unpacked_names
from host.embeddings.vectors import Vectors

__all__ = ["Index", "load_index", "save_index"]

FILE = TensorFile(
    format="ivit index",
    version="1",
    noun="an index",
    maker="host.index",
    types={"names": (np.uint8, 1), "vectors": (np.float32, 2), "versions": (np.int64, 2)},
)
LENGTH_ERROR = 1e-3
"""By which a vector's length may differ from 1."""


@dataclass(frozen=True, eq=False)
class Index:
    """The vectors of pictures.

    Parameters
    ----------
    folder : that the pictures are in, absolute
    fingerprint : of the encoder (`Encoder.fingerprint`)
    names : of the pictures within the folder, (count,)
    versions : size in bytes and time of change in nanoseconds of each, int64 (count, 2)
    vectors : (count, channels), of length 1
    """

    folder: str
    fingerprint: str
    names: tuple[str, ...]
    versions: npt.NDArray[np.int64]
    vectors: Vectors


def save_index(index: Index, path: Path) -> None:
    """Writes the file; it appears only when it is complete."""
    tensors: dict[str, npt.NDArray[Any]] = {"versions": index.versions, "vectors": index.vectors}
    tensors["names"] = packed_names(index.names)
    FILE.save(path, {"folder": index.folder, "model": index.fingerprint}, tensors)


def load_index(path: Path) -> Index:
    """Reads and checks an index.

    Raises
    ------
    HostError : it is absent, damaged, or something else
    """
    facts, tensors = FILE.load(path)
    names, vectors = unpacked_names(tensors["names"]), tensors["vectors"]
    if "folder" not in facts or "model" not in facts:
        raise FILE.damaged(path, "its header lacks the folder or the model")
    if tensors["versions"].shape != (len(names), 2) or len(vectors) != len(names) or len({*names}) != len(names):
        raise FILE.damaged(path, f"it has {len(names)} names and {len(vectors)} vectors")
    if not are_units(vectors):
        raise FILE.damaged(path, "a vector's length is not 1")
    return Index(facts["folder"], facts["model"], names, tensors["versions"], vectors)


def are_units(vectors: npt.NDArray[Any]) -> bool:
    """Whether there are channels, and each vector has length 1 or is zero."""
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return bool(vectors.shape[1] and ((np.abs(squares - 1) < 2 * LENGTH_ERROR) | (squares == 0)).all())
