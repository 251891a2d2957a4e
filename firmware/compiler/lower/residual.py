"""The factors of a residual's branch and skip, in the form of EXEC's registers."""

from __future__ import annotations

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.records import SHIFT_LIMIT
from firmware.compiler.lower.registers import ResidualRegisters, Shifts
from gateware.isa import low_and_high
from sim.reference.rescale import Dyadic, ResidualAdd

__all__ = ["residual_registers"]

LIMIT = 8  # of a factor for values of 16 bits: terms then fit the postprocessor's 20 bits


def residual_registers(
    name: str, add: ResidualAdd, *, branch_bits: int, skip_bits: int, multiplier_bits: int
) -> ResidualRegisters:
    """The factors of a branch and a skip of so many bits.

    Raises
    ------
    CompileError : one that the machine's adder cannot hold
    """
    branch, branch_shift = _held(f"{name}: a residual's branch", add.branch, branch_bits, multiplier_bits)
    skip, skip_shift = _held(f"{name}: a residual's skip", add.skip, skip_bits, multiplier_bits)
    branch_lo, branch_hi = low_and_high(branch)
    skip_lo, skip_hi = low_and_high(skip)
    return ResidualRegisters(
        branch_lo=branch_lo,
        branch_hi=branch_hi,
        skip_lo=skip_lo,
        skip_hi=skip_hi,
        shifts=Shifts(branch=branch_shift, skip=skip_shift),
    )


def _held(what: str, factor: Dyadic, bits: int, multiplier_bits: int) -> tuple[int, int]:
    """Multiplier and shift of a factor for values of so many bits."""
    held = factor.normalised(multiplier_bits)
    multiplier, shift = int(held.multiplier), int(held.shift)
    limit = LIMIT << 16 - bits
    if shift < 0 or abs(multiplier) >= limit << shift:
        raise CompileError(
            f"{what} is multiplied by {multiplier / 2.0**shift:.3g}, but the machine's limit for {bits} bits is "
            f"{limit}; quantise again with other calibration images."
        )
    return multiplier, min(shift, SHIFT_LIMIT)
