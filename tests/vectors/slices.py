"""Cuts the slices of this folder out of the full golden vectors (README.md beside this file).

python -m tests.vectors.slices FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.reference.errors import replaced_when_complete

__all__ = ["DIGESTS", "FOLDER", "INTEGER_SUFFIX", "cut_all", "digest", "smallest"]

Array = npt.NDArray[np.generic]
Arrays = dict[str, Array]
FOLDER = Path(__file__).parent
DIGESTS = "digests.json"
SEED = 380
HEAD = 1024
"""So many integers of each tensor of the whole models are kept as they are; the digest is of all."""
FLOAT_ROWS = 4
"""Output channels of which the float weights of the whole models are kept: enough to see that they become integers."""
INTEGER_SUFFIX = "_integer"  # of the authors' keys
INFORMATION = "_official_f32"  # the authors' float32 results beside the exact ones: nothing tests them


@dataclass(frozen=True)
class Cut:
    """What is kept of an operation's vectors, chosen by `SEED`.

    Members
    -------
    cases : so many along the first axis
    rows : the first ones of arrays (cases, rows, columns)
    columns : so many along the last axis; 0 keeps all, as what works on whole rows needs them
    extremes : an array; the cases of its least and largest value are among those kept
    """

    cases: int
    rows: int
    columns: int = 0
    extremes: str = ""


RESCALE = Cut(cases=10, rows=8, columns=24)
CUTS = {
    **{
        f"quantact_{name}": RESCALE
        for name in (
            *("acc32to16_per-ch", "acc32to8_per-ch", "attn8prpb8to8", "gelu16to8", "ln31to8_per-ch_signed"),
            *("residual_16p16to16", "residual_saturating", "ties_pow2_ratio"),
        )
    },
    "softmax_o16_n197": Cut(cases=10, rows=8, extremes="x0"),
    "softmax_o16_n64": Cut(cases=12, rows=8, extremes="x0"),
    "softmax_o8_n197": Cut(cases=10, rows=8, extremes="x0"),
    "softmax_o8_n49": Cut(cases=12, rows=8, extremes="x0"),
    "gelu_c384": Cut(cases=10, rows=4, extremes="x0"),
    "gelu_c768": Cut(cases=6, rows=4, extremes="x0"),
    "layernorm_c96": Cut(cases=10, rows=4, extremes="std"),
    "layernorm_c192": Cut(cases=8, rows=4, extremes="std"),
    "layernorm_c768": Cut(cases=4, rows=2, extremes="std"),
}
CHANNELS = {"linear_192_576": 40, "conv_16_192": 24}  # so many output channels
MODELS = ("e2e_vit_small", "e2e_swin_small")


def generator(name: str) -> np.random.Generator:
    """The one that chooses from the vectors `name`."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def chosen(name: str, total: int, count: int, always: tuple[int, ...] = ()) -> npt.NDArray[np.int64]:
    """`count` of `total` indices in order, `always` among them."""
    others = [index for index in generator(name).permutation(total).tolist() if index not in always]
    return np.array(sorted([*set(always), *others][:count]), np.int64)


def cut_operation(name: str, full: Mapping[str, Array], cut: Cut) -> Arrays:
    """Some cases, rows and columns of an operation's vectors."""
    values = full["x" if "x" in full else "q"]
    extremes = full[cut.extremes].reshape(len(values), -1) if cut.extremes else None
    always = () if extremes is None else (int(extremes.min(axis=1).argmin()), int(extremes.max(axis=1).argmax()))
    cases = chosen(name, len(values), cut.cases, always)
    columns = chosen(f"{name} columns", values.shape[-1], cut.columns or values.shape[-1])
    kept: Arrays = {}
    for key, array in full.items():
        part = array[cases] if array.ndim else array
        part = part[:, : cut.rows] if array.ndim == 3 else part
        whole = array.ndim >= 2 and array.shape[-1] == values.shape[-1]
        kept[key] = part[..., columns] if whole else part
    return kept


def cut_channels(name: str, full: Mapping[str, Array], count: int) -> Arrays:
    """Some output channels of a linear operation; its input stays whole."""
    channels = len(full["w_int"])
    kept = chosen(name, channels, count)
    return {
        key: array[kept] if array.ndim and len(array) == channels
        else array[..., kept] if array.ndim and array.shape[-1] == channels
        else array
        for key, array in full.items()
    }  # fmt: skip


def cut_model(full: Mapping[str, Array]) -> tuple[Arrays, dict[str, str]]:
    """A whole model: its images, its state without the float weights that have integers, the first integers of every
    tensor; and the digest of every tensor.
    """
    kept: Arrays = {"img": full["img"]}
    digests = {}
    for key, array in full.items():
        kind, _, name = key.partition("/")
        if kind == "sd" and f"{key}{INTEGER_SUFFIX}" in full and array.ndim > 1:
            kept[f"rows/{name}"] = array[:FLOAT_ROWS]
        elif kind == "sd":
            kept[key] = array.astype(np.int64) if key.endswith(INTEGER_SUFFIX) else array
        elif kind == "tr":
            kept[key] = array.reshape(-1)[:HEAD]
            digests[name] = digest(array)
    return kept, digests


def digest(tensor: Array) -> str:
    """SHA-256 of the shape and of all integers, as little-endian int64."""
    content = np.ascontiguousarray(tensor, "<i8")
    return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()


def smallest(array: Array) -> Array:
    """The same integers in the smallest signed type; anything else as it is."""
    if array.dtype.kind not in "iu":
        return array
    fitting = (kind for kind in (np.int8, np.int16, np.int32) if np.array_equal(array.astype(kind), array))
    return array.astype(next(fitting, np.int64))


def cut_all(full: Path) -> tuple[dict[str, Arrays], dict[str, dict[str, str]]]:
    """Every slice by its name, and the digests of the whole models, out of the folder of the full vectors."""
    slices: dict[str, Arrays] = {}
    digests: dict[str, dict[str, str]] = {}
    for name in (*CUTS, *CHANNELS, "quantact_input", *MODELS):
        with np.load(full / f"{name}.npz", allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files if not key.endswith(INFORMATION)}
        if name in CUTS:
            slices[name] = cut_operation(name, arrays, CUTS[name])
        elif name in CHANNELS:
            slices[name] = cut_channels(name, arrays, CHANNELS[name])
        elif name in MODELS:
            slices[name], digests[name] = cut_model(arrays)
        else:
            slices[name] = {key: array[:1] if array.ndim else array for key, array in arrays.items()}
    return slices, digests


def main() -> None:
    """Writes every slice and the digests into this folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.vectors.slices", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("full", type=Path, metavar="FOLDER", help="the folder of the full vectors")
    slices, digests = cut_all(parser.parse_args().full)
    for name, arrays in slices.items():
        with replaced_when_complete(FOLDER / f"{name}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **{key: smallest(array) for key, array in arrays.items()})
    with replaced_when_complete(FOLDER / DIGESTS) as temporary:
        temporary.write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    main()
