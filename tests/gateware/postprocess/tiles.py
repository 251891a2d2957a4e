"""Tiles for the postprocessor: operands, constants, and the results that `Rescale` and `ResidualAdd` give."""

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateware.config import LANES
from gateware.isa import PostMode
from sim.reference.rescale import Dyadic, Rescale
from sim.reference.rounding import clamp

__all__ = ["Tile", "random_tile"]

IntArray = npt.NDArray[np.int64]


@dataclass
class Tile:
    """One job with all that belongs to it. Arrays are (rows, 4); `bias`, `multiplier`, `shift` one a record."""

    mode: PostMode
    clamp_packed: bool
    int8: bool
    acc: IntArray
    rows: int
    bias: IntArray
    multiplier: IntArray
    shift: IntArray
    skip: IntArray
    branch_factor: tuple[int, int]
    skip_factor: tuple[int, int]

    def results(self) -> IntArray:
        """(counting rows, 4), from the reference."""
        total = self.acc[: self.rows] + self.bias
        if self.mode == PostMode.RAW:
            return total.astype(np.uint32).astype(np.int32).astype(np.int64)
        factor = Dyadic(self.multiplier, self.shift)
        bits = 8 if self.int8 or self.mode == PostMode.Q8 else 16
        low = np.array(-127) if self.clamp_packed and bits == 8 else None
        x = Rescale(factor, bits, low).apply(total)
        return clamp(self._sums(x), bits, low) if self.mode == PostMode.RESIDUAL else x

    def _sums(self, branch: IntArray) -> IntArray:
        factors = (Dyadic(np.array(m), np.array(e)) for m, e in (self.branch_factor, self.skip_factor))
        terms = [f.apply(x) for f, x in zip(factors, (branch, self.skip[: self.rows]), strict=True)]
        return terms[0] + terms[1]

    def masked(self) -> npt.NDArray[np.bool_] | None:
        """Which scores a residual in int8 masks; None where that means nothing."""
        if self.mode != PostMode.RESIDUAL or not self.int8:
            return None
        low = np.array(-127) if self.clamp_packed else None
        total = self.acc[: self.rows] + self.bias
        sums = self._sums(Rescale(Dyadic(self.multiplier, self.shift), 8, low).apply(total))
        # Where the terms fit the lanes' 20 bits; beyond, nothing is promised.
        return ((sums >= -(1 << 15)) & (sums < -(1 << 14))) if np.abs(sums).max() < 1 << 15 else None


def tie_value(multiplier: int, shift: int, limit: int, rng: random.Random) -> int:
    """A value whose product ends in exactly a half, or next to it, where there is one."""
    if not 0 < shift < 60:
        return rng.choice([0, 1, -1])
    odd = multiplier >> ((multiplier & -multiplier).bit_length() - 1)
    free = shift - 1 - ((multiplier & -multiplier).bit_length() - 1)
    if free < 0:
        return rng.randrange(-limit, limit)
    # value * multiplier == 2^(shift-1) modulo 2^shift
    value = (1 << free) * pow(odd, -1, 4) % (1 << (free + 2))
    value += (1 << (free + 1)) * rng.randrange(-4, 4)
    value += rng.choice([0, 0, 0, 1, -1, 1 << rng.randrange(free + 1)])
    return value if abs(value) < limit else rng.randrange(-limit, limit)


def random_tile(rng: random.Random, rows: int, acc_width: int, bits: int, mode: PostMode | None = None) -> Tile:
    """Results all over the output's range, out of it on either side, ties, and every extreme of shift and operand."""
    mode = PostMode(rng.randrange(4)) if mode is None else mode
    valid = rows if rng.random() < 0.5 else rng.randrange(1, rows + 1)
    top = 1 << (acc_width - 1)
    scale = rng.choice([acc_width - 1, acc_width - 6, 12])

    def multiplier() -> int:
        few = rng.randrange(1, 256, 2) << rng.randrange(bits - 7)  # bits, so that small values give ties
        size = rng.choice([1 << (bits - 1), (1 << bits) - 1, 1, rng.randrange(1 << (bits - 1), 1 << bits), few])
        return size * rng.choice([1, -1])

    wanted = 7 if mode == PostMode.Q8 else 15
    middle = max(0, scale + bits - wanted)
    near = [middle + offset for offset in (-2, -1, 0, 0, 1, 2)]
    bias = [
        rng.choice([0, rng.randrange(-(1 << 31), 1 << 31), -(1 << 31), (1 << 31) - 1])
        if mode == PostMode.RAW
        else rng.choice([0, 1, -1, top - 1, -top, rng.randrange(-(1 << scale), 1 << scale)])
        for _ in range(LANES)
    ]
    multipliers = [multiplier() for _ in range(LANES)]
    shifts = [max(0, rng.choice([*near, *near, rng.choice([0, 1, 31, 40, 63, 64, 127])])) for _ in range(LANES)]
    acc = np.empty((rows, LANES), np.int64)
    for row in range(rows):
        for column in range(LANES):
            kind = rng.randrange(8)
            value = rng.randrange(-(1 << scale), 1 << scale)
            if kind == 0:
                value = rng.choice([top - 1, -top, 0, 1, -1])
            elif kind < 4:
                value = tie_value(multipliers[column], shifts[column], top, rng) - bias[column]
            acc[row, column] = value if -top <= value < top else rng.randrange(-top, top)

    def factor() -> tuple[int, int]:
        return multiplier(), rng.choice([0, bits - 2, bits - 1, bits, bits, bits + 1, bits + 3, 60, 127])

    branch_factor, skip_factor = factor(), factor()
    while min(abs(m) / 2**e for m, e in (branch_factor, skip_factor)) > 8:
        skip_factor = factor()
    skip = np.array([[rng.randrange(-(1 << 15), 1 << 15) for _ in range(LANES)] for _ in range(rows)])
    skip[rng.randrange(rows)] = [-(1 << 15), (1 << 15) - 1, 1, -1]
    return Tile(
        mode, rng.random() < 0.5, rng.random() < 0.4, acc, valid, np.array(bias),
        np.array(multipliers), np.array(shifts),
        skip, branch_factor, skip_factor,
    )  # fmt: skip
