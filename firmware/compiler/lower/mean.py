"""Lowers the mean over tokens: a product with ones, whose rescale divides."""

from __future__ import annotations

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Mean
from firmware.compiler.lower.array import Product
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.records import records
from firmware.compiler.lower.registers import OutputRegisters, Post
from firmware.compiler.span import Span, Strided
from firmware.program.allocation import Allocation
from firmware.program.layout import SLAB_COLUMNS
from gateware.config import LANES
from gateware.isa import PostMode
from sim.reference.reciprocal import exact_reciprocal
from sim.reference.rounding import ceil_div

__all__ = ["lower_mean"]


def lower_mean(emitter: Emitter, layer: Mean, source: Allocation, output: Allocation) -> None:
    """One row of `output` (int8, two columns a channel): means over the rows of `source` (int16) of its bytes.

    Raises
    ------
    CompileError : no factor rounds as the mean over so many rows does
    """
    cfg, name, steps = emitter.config, layer.name, ceil_div(source.rows, LANES)
    counted = np.arange(source.rows)[None] >= layer.first
    ones = emitter.memory.constant(f"{name}.ones", counted.astype(np.int64), 1)
    factor = layer.factor or exact_reciprocal(source.rows, cfg.multiplier_bits)
    if factor is None:
        raise CompileError(
            f"{name}: no {cfg.multiplier_bits}-bit multiplier rounds the mean over {source.rows} tokens exactly; "
            "take lean arithmetic, or an image and patch size that leave another number "
            "of tokens."
        )
    table = emitter.memory.place(records(name, None, factor, LANES, cfg.multiplier_bits), name)
    constants = emitter.constants.channels(table, LANES)
    stride = ceil_div(steps, SLAB_COLUMNS) * SLAB_COLUMNS  # rows are loaded by whole slabs
    a = Strided(emitter.a.take(stride, name), stride)
    emitter.operands.rows_to_a(ones, Span(0, 1), a)
    used = ceil_div(output.columns, LANES)
    tiles = ceil_div(used, SLAB_COLUMNS) * SLAB_COLUMNS
    part = max(SLAB_COLUMNS, min(tiles, cfg.b_depth // 2 // steps // SLAB_COLUMNS * SLAB_COLUMNS))
    for columns in Span(0, tiles).parts(part):
        b = Strided(emitter.b.take(columns.size * steps, name), steps)
        emitter.operands.slabs_to_b(source, Span(0, source.rows), columns, b, transposed=True)
        means = Span(columns.start, min(columns.stop, used))
        product = Product(
            a=a,
            b=b,
            steps=steps,
            rows=1,
            tiles=means.size,
            constants=Strided(constants, 0),
            post=Post(mode=PostMode.Q8),
        )
        place = OutputRegisters(out_base=output.column_base(means.start), out_slab=output.slab, out_row=0)
        channels = Span(LANES * means.start, LANES * means.stop)
        emitter.array.execute(product, [place], emitter.array.stores(output, Span(0, 1), channels))
        emitter.b.release(b.base)
    emitter.a.release(a.base)
    emitter.channels.release(constants)
