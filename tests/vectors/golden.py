"""The I-ViT authors' integers: slices that lie in this folder, and the full vectors where a machine has them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from tests.shared_data import shared_data
from tests.vectors.slices import DIGESTS, FOLDER, INTEGER_SUFFIX

__all__ = ["SOURCES", "GoldenModel", "golden", "golden_model"]

SLICES, FULL = SOURCES = ("slices", "full")


def golden(name: str, source: str = SLICES) -> dict[str, np.ndarray]:
    """The vectors of one operation; integers as int64, scales and floats as they are.

    Skips the calling test where `source` is `full` and the full vectors are absent.
    """
    arrays = _arrays(name, source)
    return {key: array.astype(np.int64) if array.dtype.kind in "iu" else array for key, array in arrays.items()}


@dataclass(frozen=True)
class GoldenModel:
    """A whole small model as the authors' code ran it.

    Members
    -------
    images : float32 (count, 3, side, side)
    state : the checkpoint in the authors' format; the slices lack the float weights that have integers
    rows : float weights by their keys, of the first output channels in the slices
    tensors : of each tensor all integers, or in the slices the first ones, without its shape
    digests : of each tensor's shape and all of its integers (`tests.vectors.slices.digest`)
    """

    images: np.ndarray
    state: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    tensors: dict[str, np.ndarray]
    digests: dict[str, str]


def golden_model(name: str, source: str = SLICES) -> GoldenModel:
    """One of the whole models. Skips as `golden`."""
    arrays = _arrays(name, source)
    groups: dict[str, dict[str, np.ndarray]] = {kind: {} for kind in ("sd", "rows", "tr")}
    for key, array in arrays.items():
        kind, _, rest = key.partition("/")
        if rest:
            groups[kind][rest] = array
    # The authors keep integers as float32, the slices as small as they can be.
    state = {
        key: array.astype(np.float32) if key.endswith(INTEGER_SUFFIX) else array for key, array in groups["sd"].items()
    }
    rows = groups["rows"] or {key: array for key, array in state.items() if f"{key}{INTEGER_SUFFIX}" in state}
    tensors = {key: array.reshape(-1).astype(np.int64) for key, array in groups["tr"].items()}
    digests = json.loads((FOLDER / DIGESTS).read_text())[name]
    return GoldenModel(arrays["img"], state, rows, tensors, digests)


def _arrays(name: str, source: str) -> dict[str, np.ndarray]:
    path = FOLDER / f"{name}.npz" if source == SLICES else shared_data("vectors", f"{name}.npz")
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
