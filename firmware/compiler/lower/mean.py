"""Lowers the mean over tokens: a product with ones, whose rescale divides."""

from __future__ import annotations

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.emit import Emitter
from firmware.compiler.lower.records import records
from firmware.program.allocation import Allocation
from gateware.isa import PostMode
from sim.reference.rescale import Dyadic
from sim.reference.rounding import divide_rne

__all__ = ["exact_reciprocal", "lower_mean"]

MOST_SHIFT = 62


def exact_reciprocal(name: str, count: int, multiplier_bits: int) -> Dyadic:
    """The factor whose rescale of every sum of `count` int8 is their mean, rounded half to even.

    Raises
    ------
    CompileError : there is none
    """
    sums = np.arange(-128 * count, 127 * count + 1)
    means = divide_rne(sums, count)
    for shift in range(MOST_SHIFT):
        multiplier = round((1 << shift) / count)
        if multiplier >= 1 << multiplier_bits:
            break
        factor = Dyadic(np.array(multiplier), np.array(shift))
        if np.array_equal(factor.apply(sums), means):
            return factor
    raise CompileError(
        f"{name}: the mean over {count} tokens is no product with a {multiplier_bits}-bit multiplier that rounds as "
        "the mean does; choose an image size and patch size that leave another number of tokens."
    )


def lower_mean(emitter: Emitter, name: str, source: Allocation, output: Allocation) -> None:
    """One row of `output` (int8, two columns a channel): means over the rows of `source` (int16) of its bytes."""
    cfg, steps = emitter.config, -(-source.rows // 4)
    ones = emitter.memory.constant(f"{name}.ones", np.ones((1, source.rows), np.int64), 1)
    factor = exact_reciprocal(name, source.rows, cfg.multiplier_bits)
    constants = emitter.constants_to_chip(
        emitter.memory.place(records(name, None, factor, 4, cfg.multiplier_bits), name), 4, name
    )
    stride = -(-steps // 4) * 4  # rows are loaded by whole slabs
    a = emitter.a.take(stride, name)
    emitter.rows_to_a(ones, 0, 1, a, stride)
    used_tiles = -(-2 * source.columns // 4)
    tiles = -(-used_tiles // 4) * 4
    part = max(4, min(tiles, cfg.b_depth // 2 // steps // 4 * 4))
    for first in range(0, tiles, part):
        last = min(tiles, first + part)
        b = emitter.b.take((last - first) * steps, name)
        emitter.slabs_to_b(source, (0, source.rows), (first, last), b, steps, transposed=True)
        used = min(last, used_tiles)
        emitter.execute(
            (a, stride),
            (b, steps),
            steps,
            used - first,
            (1, 1),
            {"mode": PostMode.Q8},
            (constants, 0, 4),
            {"OUT_BASE": output.column_base(first), "OUT_SLAB": output.slab, "OUT_ROW": 0},
            emitter.stores(output, (0, 1), (4 * first, 4 * used)),
        )
        emitter.b.release(b)
    emitter.a.release(a)
    emitter.constants.release(constants)
