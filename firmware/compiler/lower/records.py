"""Channels' constants as they lie in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware.compiler.errors import CompileError
from gateware.config import BEAT_BYTES
from gateware.isa import Constants, fields_of
from sim.reference.rescale import Dyadic
from sim.reference.rounding import IntArray

__all__ = ["SHIFT_LIMIT", "records"]

SHIFT_LIMIT = 127
_FIELDS = fields_of(Constants)
RECORD = np.dtype(
    {
        "names": [field.name for field in _FIELDS],
        "formats": ["u1" if field.width == 8 else f"<i{field.width // 8}" for field in _FIELDS],
        "offsets": [field.low // 8 for field in _FIELDS],
        "itemsize": BEAT_BYTES,
    }
)
"""`Constants` for numpy: a shift has one byte and no sign, the numbers beside it are two's complement."""


def records(
    name: str, bias: IntArray | None, factor: Dyadic | None, count: int, multiplier_bits: int
) -> npt.NDArray[np.uint8]:
    """The constant beats of `count` channels: bias, multiplier and shift.

    Raises
    ------
    CompileError : a factor that the machine's shifter cannot hold
    """
    table = np.zeros(count, RECORD)
    if bias is not None:
        table["bias"] = bias
    if factor is not None:
        held = factor.normalised(multiplier_bits)
        if (held.shift < 0).any():
            raise CompileError(
                f"{name}: a rescale multiplies by 2^{-int(held.shift.min())}, but the machine only divides; "
                "quantise again with other calibration images."
            )
        table["multiplier"], table["shift"] = held.multiplier, np.minimum(held.shift, SHIFT_LIMIT)
    return table.view(np.uint8)
