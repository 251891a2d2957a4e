"""The integer model file: a safetensors file of every constant under the authors' names, with a checked header.

Tensors (int8, int16 or int32 integers, float32 scales), as `ModelShape.layout` lists them:

| name | what |
|---|---|
| `<linear>.weight_integer`, `.bias_integer` | int8 (out, in, ...), int32 (out,) |
| `<linear>.fc_scaling_factor`, `patch_embed.proj.conv_scaling_factor` | scale of the weights, one an output channel |
| `<activation>.act_scaling_factor` | scale of a requantised activation, no dimensions |
| `<norm>.bias_integer`, `.norm_scaling_factor` | int32 and float32, one a channel; the scale has gamma's sign |
| `cls_token_integer`, `pos_embed_integer` | ViT: int32 on the scale of `patch_embed.qact`, int16 on `qact_pos`'s |
| `<block>.attn.relative_position_bias_table_integer` | Swin: int8 on the scale of `<block>.attn.qact_table` |
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
from sim.reference.arithmetic import LEAN, preset
from sim.reference.errors import UserError, replaced_when_complete
from sim.reference.model_check import check_tensors
from sim.reference.model_shape import ModelShape
from sim.reference.outputs import Output
from sim.reference.preprocess import Preprocessing

FORMAT = "ivit-integer-model"
VERSION = "2"
EIGHT_BIT_VERSION = "1"  # the same, but that `lean` had probabilities of 8 bits

Tensors = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True)
class IntegerModel:
    """A quantised model.

    Parameters
    ----------
    shape : dimensions
    arithmetic : `official`, `lean`, or a variant (`sim.reference.arithmetic.preset`)
    preprocessing : what happens to an image before it is quantised
    tensors : as `ModelShape.layout` lists them
    class_names : one a class, or none at all
    """

    shape: ModelShape
    arithmetic: str
    preprocessing: Preprocessing
    tensors: Tensors
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            arithmetic = preset(self.arithmetic)
        except ValueError as error:
            raise UserError(f"{error}.") from error
        if self.shape.activation == "quick_gelu" and arithmetic.gelu != "shift":
            raise UserError(
                f"The model has QuickGELU, and {self.arithmetic} has a GELU by the error function; take gelu=shift."
            )
        if self.preprocessing.crop != self.shape.image:
            raise UserError(
                f"crop must be the model's image side of {self.shape.image}, not {self.preprocessing.crop} pixels."
            )
        if self.class_names and len(self.class_names) != self.shape.classes:
            raise UserError(
                f"There are {len(self.class_names)} class names, but the model has {self.shape.classes} classes."
            )

    @property
    def image_scale(self) -> np.float32:
        """Scale of the quantised image."""
        return np.float32(self.tensors["qact_input.act_scaling_factor"])

    @property
    def logit_scales(self) -> npt.NDArray[np.float32]:
        """What the integers of `head` are multiplied by, one a class: fl(Sw[c] * Sx)."""
        head = self.shape.head
        weights = np.asarray(self.tensors[head.scale], np.float32)
        return weights * np.float32(self.tensors[f"{head.source}.act_scaling_factor"])

    def scales(self, output: Output) -> npt.NDArray[np.float32]:
        """What the integers of an output are multiplied by: one a channel, or one for all, (1,)."""
        if not output.scale:
            return self.logit_scales
        return np.array([self.tensors[f"{output.scale}.act_scaling_factor"]], np.float32)

    def fingerprint(self) -> str:
        """What an embedding is told by that came of this model: SHA-256 over everything that decides its integers."""
        facts = [spelled_out(self.shape), self.arithmetic, json.dumps(self.preprocessing.to_dict()), self.checksum()]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

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
            f"{path} is truncated, damaged or not an integer model file ({reason}); make it again."
        ) from error
    if header.get("format") != FORMAT or header.get("version") not in (VERSION, EIGHT_BIT_VERSION):
        raise UserError(
            f"{path} has format {header.get('format')!r}, version {header.get('version')!r}, but {FORMAT!r}, version "
            f"{VERSION!r} is expected; firmware.quantize and firmware.import_ivit write it."
        )
    shape = parse_architecture(header.get("architecture", ""))
    check_tensors(tensors, shape, str(path))
    model = IntegerModel(
        shape,
        _arithmetic(header),
        _preprocessing(header.get("preprocessing", ""), path),
        tensors,
        _class_names(header.get("class_names", "[]"), path),
    )
    if model.checksum() != header.get("checksum"):
        raise UserError(
            f"{path}: the checksum of the tensors differs from the header's; the file is damaged, make it again."
        )
    return model


def _arithmetic(header: Mapping[str, str]) -> str:
    """The name of the model's arithmetic, which is always what it was when the file was written."""
    name = header.get("arithmetic", "")
    base, _, changes = name.partition(":")
    if header.get("version") == EIGHT_BIT_VERSION and base == LEAN.name and "softmax_bits=" not in changes:
        return f"{base}:softmax_bits=8{changes and ','}{changes}"
    return name


def _preprocessing(text: str, path: Path) -> Preprocessing:
    try:
        return Preprocessing.from_dict(json.loads(text))
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
