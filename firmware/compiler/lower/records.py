"""Channels' constants as they lie in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware.compiler.errors import CompileError
from sim.reference.rescale import Dyadic
from sim.reference.rounding import IntArray

__all__ = ["SHIFT_LIMIT", "records"]

SHIFT_LIMIT = 127
RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<i4"), ("shift", "u1"), ("unused", "u1", 7)])


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
                f"{name}: a rescale multiplies by 2^{-int(held.shift.min())}, and the machine only divides; "
                "quantise again with other calibration images."
            )
        table["multiplier"], table["shift"] = held.multiplier, np.minimum(held.shift, SHIFT_LIMIT)
    return table.view(np.uint8)
