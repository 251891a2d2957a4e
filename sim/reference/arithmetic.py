"""The arithmetic as one object: what may vary between machines, with the presets `official` and `lean`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LEAN", "OFFICIAL", "PRESETS", "Arithmetic", "preset"]


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


OFFICIAL = Arithmetic("official")
LEAN = Arithmetic("lean", softmax_bits=8, softmax_half_up=True, multiplier_bits=16, packed_min=-127)
PRESETS = {arithmetic.name: arithmetic for arithmetic in (OFFICIAL, LEAN)}


def preset(name: str) -> Arithmetic:
    """The preset of that name. Raises ValueError for an unknown one."""
    if name not in PRESETS:
        raise ValueError(f"unknown arithmetic '{name}'; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
