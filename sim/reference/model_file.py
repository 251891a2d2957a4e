"""The integer model file: a safetensors file of every constant under the authors' names, with a checked header.

Tensors (int8, int16 or int32 integers, float32 scales):

| name | what |
|---|---|
| `<linear>.weight_integer`, `.bias_integer` | int8 (out, in, ...), int32 (out,) |
| `<linear>.fc_scaling_factor`, `patch_embed.proj.conv_scaling_factor` | scale of the weights, one an output channel |
| `<activation>.act_scaling_factor` | scale of a requantised activation, no dimensions |
| `<norm>.bias_integer`, `.norm_scaling_factor` | int32 and float32, one a channel; the scale has gamma's sign |
| `cls_token_integer`, `pos_embed_integer` | int32 on the scale of `patch_embed.qact`, int16 on that of `qact_pos` |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sim.reference.architecture import parse_architecture, spelled_out
from sim.reference.errors import UserError, replaced_when_complete
from sim.reference.preprocess import Preprocessing
from sim.reference.scales import INT32_MAX
from sim.reference.vit_shape import VitShape

FORMAT = "ivit-integer-model"
VERSION = "1"
ARITHMETICS = ("lean", "official")

Tensors = Mapping[str, npt.NDArray[np.generic]]
Layout = dict[str, tuple[tuple[int, ...], type[np.generic]]]

WIDTHS = {
    "qact_input": 8,
    "patch_embed.qact": 16,
    "qact_pos": 16,
    "qact1": 16,
    "blocks.qact1": 8,
    "blocks.attn.qact1": 8,
    "blocks.attn.qact_attn1": 8,
    "blocks.attn.qact2": 8,
    "blocks.attn.qact3": 16,
    "blocks.qact2": 16,
    "blocks.qact3": 8,
    "blocks.mlp.qact_gelu": 8,
    "blocks.mlp.qact1": 8,
    "blocks.mlp.qact2": 16,
    "blocks.qact4": 16,
    "qact2": 8,
}
"""Bits of each quantised activation by the authors' module name, block numbers left out."""


def linear_layers(shape: VitShape) -> dict[str, str]:
    """Name of each linear layer and of the constant that holds its weights' scales."""
    layers = {"patch_embed.proj": "conv_scaling_factor"}
    for index in range(shape.depth):
        for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"):
            layers[f"blocks.{index}.{name}"] = "fc_scaling_factor"
    return layers | {"head": "fc_scaling_factor"}


def norms(shape: VitShape) -> list[str]:
    """Name of each LayerNorm."""
    return [f"blocks.{index}.{norm}" for index in range(shape.depth) for norm in ("norm1", "norm2")] + ["norm"]


def activations(shape: VitShape) -> list[str]:
    """Name of each requantised activation."""
    names = []
    for name in WIDTHS:
        head, dot, rest = name.partition(".")
        if head == "blocks":
            names += [f"blocks.{index}{dot}{rest}" for index in range(shape.depth)]
        else:
            names.append(name)
    return names


def layout(shape: VitShape) -> Layout:
    """Shape and element type of every tensor of a model file."""
    weights = shape.weight_shapes()
    result: Layout = {}
    for name, scale in linear_layers(shape).items():
        result[f"{name}.weight_integer"] = (weights[f"{name}.weight"], np.int8)
        result[f"{name}.bias_integer"] = (weights[f"{name}.bias"], np.int32)
        result[f"{name}.{scale}"] = (weights[f"{name}.bias"], np.float32)
    for name in norms(shape):
        result[f"{name}.bias_integer"] = ((shape.dim,), np.int32)
        result[f"{name}.norm_scaling_factor"] = ((shape.dim,), np.float32)
    for name in activations(shape):
        result[f"{name}.act_scaling_factor"] = ((), np.float32)
    result["cls_token_integer"] = (weights["cls_token"], np.int32)
    result["pos_embed_integer"] = (weights["pos_embed"], np.int16)
    return result


def check_tensors(tensors: Tensors, shape: VitShape, source: str) -> None:
    """Raises UserError, naming `source` and the tensor, unless `tensors` are a whole and usable model of `shape`."""
    expected = layout(shape)
    if missing := sorted(expected.keys() - tensors.keys()):
        raise UserError(f"{source}: the tensor {missing[0]!r} is missing; a model of {spelled_out(shape)} has it.")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise UserError(f"{source}: {unknown[0]!r} is no tensor of a model of {spelled_out(shape)}.")
    for name, (dimensions, kind) in expected.items():
        tensor = tensors[name]
        if tensor.shape != dimensions or tensor.dtype != kind:
            raise UserError(
                f"{source}: {name!r} is {tensor.dtype} {tensor.shape}, but {np.dtype(kind)} {dimensions} is expected."
            )
        if kind is np.float32:
            _check_scale(np.asarray(tensor, np.float32), name, source)
    for name in linear_layers(shape):
        _check_accumulator(name, tensors, source)


def _check_scale(scale: npt.NDArray[np.float32], name: str, source: str) -> None:
    # Only LayerNorm's scales carry the sign of gamma.
    magnitude = np.abs(scale) if name.endswith("norm_scaling_factor") else scale
    if not np.isfinite(scale).all():
        raise UserError(f"{source}: the scale {name!r} holds NaN or infinity, but a finite number is expected.")
    if not (magnitude > 0).all():
        worst = scale.reshape(-1)[int(magnitude.reshape(-1).argmin())]
        raise UserError(
            f"{source}: the scale {name!r} holds {worst:g}, but a scale must not be zero"
            + ("." if magnitude is not scale else " or negative.")
        )


def _check_accumulator(name: str, tensors: Tensors, source: str) -> None:
    weight = tensors[f"{name}.weight_integer"].astype(np.int64)
    bias = np.abs(tensors[f"{name}.bias_integer"].astype(np.int64))
    magnitude = np.abs(weight.reshape(len(weight), -1)).sum(axis=1) * 128 + bias
    if magnitude.max() > INT32_MAX:
        channel = int(magnitude.argmax())
        raise UserError(
            f"{source}: output channel {channel} of {name!r} can reach {magnitude[channel]}, beyond the 32-bit "
            f"accumulator's {INT32_MAX}; its bias is too large for its weights."
        )


@dataclass(frozen=True)
class IntegerModel:
    """A quantised ViT or DeiT.

    Parameters
    ----------
    shape : dimensions
    arithmetic : `official` or `lean`
    preprocessing : what happens to an image before it is quantised
    tensors : as `layout` lists them
    class_names : one a class, or none at all
    """

    shape: VitShape
    arithmetic: str
    preprocessing: Preprocessing
    tensors: Tensors
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.arithmetic not in ARITHMETICS:
            raise UserError(f"arithmetic must be one of {', '.join(ARITHMETICS)}, not {self.arithmetic!r}.")
        if self.preprocessing.crop != self.shape.image:
            raise UserError(
                f"crop must be the model's image side of {self.shape.image}, not {self.preprocessing.crop} pixels."
            )
        if self.class_names and len(self.class_names) != self.shape.classes:
            raise UserError(
                f"There are {len(self.class_names)} class names, but the model has {self.shape.classes} classes."
            )

    def checksum(self) -> str:
        """SHA-256 over names, element types, shapes and bytes of all tensors in the order of their names."""
        digest = hashlib.sha256()
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
            digest.update(tensor.tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Writes the model file; `path` appears only when it is complete."""
        check_tensors(self.tensors, self.shape, str(path))
        header = {
            "format": FORMAT,
            "version": VERSION,
            "architecture": spelled_out(self.shape),
            "arithmetic": self.arithmetic,
            "preprocessing": json.dumps(self.preprocessing.to_dict()),
            "checksum": self.checksum(),
        }
        if self.class_names:
            header["class_names"] = json.dumps(self.class_names)
        with replaced_when_complete(path) as temporary:
            content = save({name: np.asarray(tensor, order="C") for name, tensor in self.tensors.items()}, header)
            temporary.write_bytes(sorted_header(content))


def sorted_header(content: bytes) -> bytes:
    """A safetensors file with its header's keys in order: the library writes metadata in an order that changes from run
    to run, and one model must give one file.
    """
    start, end = 8, 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[start:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    encoded = header.encode()
    # Tensors stay aligned to 8 bytes; the format allows spaces after the header.
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded + content[end:]


def load_model(path: Path) -> IntegerModel:
    """Reads and checks a model file.

    Raises
    ------
    UserError
        The file is absent, damaged, of another kind or version, or its tensors are not a usable model.
    """
    if not path.is_file():
        raise UserError(f"{path} is not a file; an integer model file is expected.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"{path} is truncated, damaged or not an integer model file ({reason}); make it anew."
        ) from error
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise UserError(
            f"{path} has format {header.get('format')!r}, version {header.get('version')!r}, but {FORMAT!r}, version "
            f"{VERSION!r} is expected; firmware.quantize and firmware.import_ivit write it."
        )
    shape = parse_architecture(header.get("architecture", ""))
    check_tensors(tensors, shape, str(path))
    model = IntegerModel(
        shape,
        header.get("arithmetic", ""),
        _preprocessing(header.get("preprocessing", ""), path),
        tensors,
        _class_names(header.get("class_names", "[]"), path),
    )
    if model.checksum() != header.get("checksum"):
        raise UserError(
            f"{path}: the checksum of the tensors differs from the header's; the file is damaged, make it anew."
        )
    return model


def _preprocessing(text: str, path: Path) -> Preprocessing:
    try:
        fields = json.loads(text)
        means, stds = (tuple(float(value) for value in fields.pop(name)) for name in ("mean", "std"))
        return Preprocessing(**{key: int(value) for key, value in fields.items()}, mean=means, std=stds)  # type: ignore[arg-type]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: the header's preprocessing {text!r} is not understood; resize, crop, mean and std are expected."
        ) from error


def _class_names(text: str, path: Path) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: the header's class_names are {text:.60}, but a list of names is expected.")
    return tuple(names)
