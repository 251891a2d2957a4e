"""The I-ViT authors' checkpoint: a bare state_dict in a .pth.tar, or an npz of the same keys, straight to integers."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from firmware.checkpoints.arrays import load_arrays
from firmware.checkpoints.checked import check_buffers
from firmware.checkpoints.torch_file import load_state, tensors_of
from firmware.quantiser.norm_constants import norm_constants
from sim.reference.errors import UserError
from sim.reference.model_check import check_tensors
from sim.reference.model_shape import INTEGERS, ModelShape, NormLayer
from sim.reference.scales import INT32_MAX, embedding_integers

Array = npt.NDArray[np.generic]
NPZ_PREFIX = "sd/"
UNUSED = (
    *("attn.qact_softmax", "attn.int_softmax", "attn.log_int_softmax", "attn.matmul_1", "attn.matmul_2"),
    "mlp.act",
)
"""Modules of a block whose saved scales are zero or follow from others."""


def load_checkpoint(path: Path) -> dict[str, Array]:
    """The arrays of a checkpoint by the authors' key. Nothing in the file is executed.

    Raises
    ------
    UserError
        The file is absent, damaged, holds anything but tensors, or PyTorch is needed and absent.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; a checkpoint (.pth.tar or .npz) is expected.")
    if _is_npz(path):
        arrays = load_arrays(path)
        prefixed = {key.removeprefix(NPZ_PREFIX): array for key, array in arrays.items() if key.startswith(NPZ_PREFIX)}
        return prefixed or arrays
    return tensors_of(load_state(path), path)


def _is_npz(path: Path) -> bool:
    if path.suffix == ".npz":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False


def import_checkpoint(
    arrays: Mapping[str, Array], shape: ModelShape, source: str, warnings: list[str] | None = None
) -> dict[str, Array]:
    """The tensors of the integer model (`ModelShape.layout`) from the authors' state.

    Integers and scales are taken as they are. Only where a LayerNorm's gamma is so near 0 that no integer can hold
    beta/gamma, the constants of that channel are those that `norm_constants` makes, and `warnings` gets a sentence.

    Raises
    ------
    UserError
        A key is missing, unknown or of another shape; an integer is none or out of range; a used scale is zero. The
        sentence names `source` and the key.
    """
    weights, layout, embeddings = shape.weight_shapes(), shape.layout(), shape.embeddings()
    used = {embedding.name: embedding.shape for embedding in embeddings}
    used |= {key: layout[key][0] for key in layout.keys() - {embedding.integer for embedding in embeddings}}
    unused = {f"{block}.{name}.act_scaling_factor" for block in shape.block_names() for name in UNUSED}
    known = {*weights, *used, *unused, *shape.buffers(), "act_out.act_scaling_factor"}
    for key in arrays:
        if key not in known:
            raise UserError(f"{source}: {key!r} is no key of this architecture's checkpoint; check the ARCH argument.")
    check_buffers(arrays, shape, source)
    arrays = _with_raised_gammas(arrays, shape, source, warnings if warnings is not None else [])
    tensors: dict[str, Array] = {}
    for key, dimensions in used.items():
        _check_key(arrays, key, dimensions, source)
        if key not in layout:
            continue
        kind = layout[key][1]
        if issubclass(kind, np.signedinteger):
            tensors[key] = _integers(arrays, key, kind, source)
        else:
            tensors[key] = arrays[key].astype(np.float32).reshape(dimensions)
        if dimensions == () and tensors[key] == 0:
            # check_tensors would refuse it too; this sentence says where such a checkpoint comes from.
            raise UserError(f"{source}: the scale {key!r} is 0: the model was saved before it had seen an image.")
    scales = {activation.name: np.float32(tensors[activation.scale]) for activation in shape.activations()}
    for embedding in embeddings:
        values = arrays[embedding.name].astype(np.float32)
        integers = embedding_integers(values, scales[embedding.target], embedding.bits)
        tensors[embedding.integer] = integers.astype(INTEGERS[embedding.bits])
    check_tensors(tensors, shape, source)
    return tensors


def _with_raised_gammas(
    arrays: Mapping[str, Array], shape: ModelShape, source: str, warnings: list[str]
) -> Mapping[str, Array]:
    """The state, with constants that the integer model can hold in the channels whose gamma is too near 0."""
    repaired = dict(arrays)
    for layer in shape.layers():
        keys = [f"{layer.name}.{part}" for part in ("bias_integer", "norm_scaling_factor", "weight", "bias")]
        if not isinstance(layer, NormLayer) or any(key not in arrays for key in keys):
            continue
        bias, scale = (arrays[key] for key in keys[:2])
        if (
            bias.shape != (layer.channels,)
            or scale.shape != bias.shape
            or {bias.dtype.kind, scale.dtype.kind} - {*"fiu"}
        ):
            continue  # the checks of every key have a sentence for it
        lost = np.flatnonzero(~(np.abs(bias.astype(np.float64)) <= INT32_MAX) | (scale == 0))
        if not lost.size:
            continue
        for key in keys[2:]:
            _check_key(arrays, key, (layer.channels,), source)
        found: list[str] = []
        gamma, beta = (arrays[key].astype(np.float32) for key in keys[2:])
        constants, raised = norm_constants(layer.name, gamma, beta, found)
        if set(lost) <= set(raised):  # else gamma is not the reason, and the file is damaged
            warnings += found
            for key, values in constants.items():
                repaired[key] = arrays[key].astype(np.float64)
                repaired[key][raised] = values[raised]
    return repaired


def _check_key(arrays: Mapping[str, Array], key: str, dimensions: tuple[int, ...], source: str) -> None:
    if key not in arrays:
        raise UserError(f"{source}: the key {key!r} is missing; a tensor of shape {dimensions} is expected.")
    array = arrays[key]
    # A scale without dimensions is saved with one or with none, depending on the module.
    if array.shape != dimensions and not (dimensions == () and array.shape == (1,)):
        raise UserError(f"{source}: {key!r} has shape {array.shape}, but {dimensions} is expected; check ARCH.")
    if array.dtype.kind not in "fiu":
        raise UserError(f"{source}: {key!r} holds {array.dtype}, but numbers are expected.")
    if not np.isfinite(array).all():
        raise UserError(f"{source}: {key!r} holds NaN or infinity, but finite numbers are expected.")


def _integers(arrays: Mapping[str, Array], key: str, kind: type[np.signedinteger], source: str) -> Array:
    values = arrays[key].astype(np.float64)
    if (values != np.rint(values)).any():
        wrong = values[values != np.rint(values)][0]
        raise UserError(f"{source}: {key!r} holds {wrong:g}, but integers are expected.")
    limits = np.iinfo(kind)
    low, high = values.min(), values.max()
    if low < limits.min or high > limits.max:
        wrong = high if high > limits.max else low
        raise UserError(
            f"{source}: {key!r} holds {wrong:.0f}, beyond {limits.min}..{limits.max}"
            + ("; the gamma beside it is not near 0 there, so the file is damaged." if "norm" in key else ".")
        )
    return values.astype(kind)
