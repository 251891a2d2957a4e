"""The arithmetic as one object: what may vary between machines, with the presets `official` and `lean`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["LEAN", "OFFICIAL", "OPERATIONS", "PRESETS", "Arithmetic", "preset"]

OPERATIONS = {
    "softmax": ("shift", "polynomial", "logarithm", "float"),
    "gelu": ("shift", "polynomial", "float"),
    "layernorm": ("root", "l1", "float"),
}
"""What each non-linear operation can be; the first is I-ViT's."""


@dataclass(frozen=True)
class Arithmetic:
    """Every choice that the integer definition leaves to a preset.

    Parameters
    ----------
    name : what model and program files call it
    softmax_bits : output bits of Shiftmax, 8 to 16; None means as the graph says (16 in ViT and DeiT, 8 in Swin)
    softmax_half_up : Shiftmax rounds half up and stops at the largest positive value, instead of flooring
    softmax_n, gelu_n : n of the two shift exponentials (paper, Algorithm 1)
    multiplier_bits : bits of a dyadic multiplier's magnitude, 12 to 31
    packed_min : smallest value of the operands K and V, which share a multiplier in pairs: -128 or -127
    gelu_slope_by_shifts : the paper's literal Algorithm 2, 1.702 x = x + (x>>1) + (x>>3) + (x>>4), instead of a scale
    half_shifted_first : ShiftExp halves r before it shifts, as the paper writes it; its last bit is then lost
    root_start_from_bits : the integer square root starts at 2^floor(bits/2) of the variance (paper, Eq. 20), not 2^16
    softmax : `shift` (Shiftmax), or what the paper compares it with: `polynomial` (I-BERT's exponential), `logarithm`
        (FQ-ViT's Log-Int-Softmax on it), `float` (FasterTransformer: floating point between integer tensors)
    gelu : `shift` (ShiftGELU), `polynomial` (I-BERT's erf) or `float`
    layernorm : `root` (I-LayerNorm), `l1` (Fully-8bit's mean absolute deviation) or `float`

    Raises
    ------
    ValueError : a parameter is out of range
    """

    name: str
    softmax_bits: int | None = None
    softmax_half_up: bool = False
    softmax_n: int = 15
    gelu_n: int = 23
    multiplier_bits: int = 31
    packed_min: int = -128
    gelu_slope_by_shifts: bool = False
    half_shifted_first: bool = False
    root_start_from_bits: bool = False
    softmax: str = "shift"
    gelu: str = "shift"
    layernorm: str = "root"

    def __post_init__(self) -> None:
        if self.softmax_bits is not None and not 8 <= self.softmax_bits <= 16:
            raise ValueError(f"softmax_bits must be None or 8 to 16, not {self.softmax_bits}")
        if not 8 <= self.softmax_n <= 15:
            raise ValueError(f"softmax_n must be 8 to 15, not {self.softmax_n}")
        if not 8 <= self.gelu_n <= 23:
            raise ValueError(f"gelu_n must be 8 to 23, not {self.gelu_n}")
        if not 12 <= self.multiplier_bits <= 31:
            raise ValueError(f"multiplier_bits must be 12 to 31, not {self.multiplier_bits}")
        if self.packed_min not in (-128, -127):
            raise ValueError(f"packed_min must be -128 or -127, not {self.packed_min}")
        for field, choices in OPERATIONS.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field} must be one of {', '.join(choices)}, not {getattr(self, field)!r}")

    @property
    def integer_only(self) -> bool:
        """Nothing in it is floating point, so a machine can have it."""
        return "float" not in (self.softmax, self.gelu, self.layernorm)


OFFICIAL = Arithmetic("official")
LEAN = Arithmetic("lean", softmax_bits=10, softmax_half_up=True, multiplier_bits=16, packed_min=-127)
PRESETS = {arithmetic.name: arithmetic for arithmetic in (OFFICIAL, LEAN)}


def preset(name: str) -> Arithmetic:
    """A preset, or a variant of one: `lean`, `lean:softmax=polynomial`, `official:softmax_bits=10,gelu_n=16`.

    The variant's name is that text with its fields in the order of the class, so one arithmetic has one name.

    Raises
    ------
    ValueError : an unknown preset or field, a field given twice, or a value out of range
    """
    base, colon, text = name.partition(":")
    if base not in PRESETS:
        raise ValueError(f"unknown arithmetic '{base}'; choose one of {', '.join(PRESETS)}")
    if not colon:
        return PRESETS[base]
    kinds = {field.name: field for field in dataclasses.fields(Arithmetic) if field.name != "name"}
    changes: dict[str, Any] = {}
    for item in text.split(","):
        key, _, value = item.partition("=")
        if key not in kinds or key in changes:
            raise ValueError(f"'{item}' of the arithmetic '{name}' is no field or given twice; use {', '.join(kinds)}")
        changes[key] = _parsed(key, value)
    ordered = {key: changes[key] for key in kinds if key in changes}
    full = base + ":" + ",".join(f"{key}={_written(value)}" for key, value in ordered.items())
    return dataclasses.replace(PRESETS[base], name=full, **ordered)


def _parsed(key: str, text: str) -> str | int | bool | None:
    if key in OPERATIONS:
        return text
    if isinstance(getattr(OFFICIAL, key), bool):
        if text not in ("yes", "no"):
            raise ValueError(f"{key} must be yes or no, not '{text}'")
        return text == "yes"
    if key == "softmax_bits" and text == "graph":
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 6):
        raise ValueError(f"{key} must be a whole number, not '{text}'")
    return int(text)


def _written(value: str | int | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "graph" if value is None else str(value)
