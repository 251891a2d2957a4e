"""A matmul layer as operations: rows of its operand into A, any tiles of any blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Joined, Matmul, Norm, Patches, Transformed
from firmware.compiler.lower.array import Product, Setup
from firmware.compiler.lower.constants import modulo
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.operations import Access, EventKind, Space
from firmware.compiler.lower.records import records
from firmware.compiler.lower.registers import OutputRegisters, Post, ResidualRegisters, SkipRegisters
from firmware.compiler.lower.residual import residual_registers
from firmware.compiler.place.output import OutputPlacement
from firmware.compiler.span import Span, Strided
from firmware.program.allocation import Allocation
from firmware.program.layout import SLAB_COLUMNS, pack_operand
from gateware.config import BEAT_BYTES, LANE_BYTES, LANES
from gateware.isa import PostMode
from sim.reference.rounding import ceil_div

__all__ = ["MatmulOperations", "Places"]

GROUP_TILES = 4  # output tiles of a weight group: 16 channels


@dataclass(frozen=True)
class Places:
    """The places on the chip of the first of some rows, of the first of some tiles, and of the tiles' constants."""

    a: int
    b: int
    constants: int


class MatmulOperations:
    """Gives the operations of a layer whose weights and constants are placed in memory.

    Parameters
    ----------
    output, skip : where results go, and what they are added to
    track_max : keep the rows' maxima, for a ShiftGELU that follows

    Attributes
    ----------
    steps, tiles, count : steps a tile, output tiles, and channels, the last tile's padding included
    stride : words of a block in A
    group : tiles whose weights are loaded at once; all of them have the same lower limit
    weights, table : beat addresses of weights and of channels' constants
    low : for each channel whether its results stop at -127
    """

    def __init__(
        self, emitter: Emitter, layer: Matmul, output: OutputPlacement, skip: Allocation | None, track_max: bool
    ) -> None:
        self.emitter, self.layer, self.output = emitter, layer, output
        self.skip, self.track_max = skip, track_max
        channels, depth = layer.weight.shape
        if depth % LANE_BYTES:
            what = "patch" if isinstance(layer.operand, Patches) else "width"
            raise CompileError(f"{layer.name}: {depth} inputs must be a multiple of 4; change its {what}.")
        self.steps, self.tiles = depth // LANE_BYTES, ceil_div(channels, LANES)
        self.halves = isinstance(layer.operand, Norm) and layer.operand.wide
        # Rows are loaded by whole slabs.
        self.stride = ceil_div(self.steps, SLAB_COLUMNS) * SLAB_COLUMNS * (2 if self.halves else 1)
        self.count = LANES * self.tiles
        self.offset = 0 if layer.front is None else len(layer.front)
        self.weights, self.table = self._weights(), self._constants()
        self.low = _clamped(layer)
        self.factors = self._factors()
        self.group = self._group()

    def _weights(self) -> int:
        channels, depth = self.layer.weight.shape
        weight = np.zeros((self.count, depth), np.int64)
        weight[:channels] = self.layer.weight
        return self.emitter.memory.place(pack_operand(weight), self.layer.name)

    def _constants(self) -> int:
        layer, channels = self.layer, len(self.layer.weight)
        factor = None if layer.rescale is None else layer.rescale.factor
        table = records(layer.name, layer.bias, factor, channels, self.emitter.config.multiplier_bits)
        padding = np.zeros(BEAT_BYTES * (self.count - channels), np.uint8)
        return self.emitter.memory.place(np.concatenate([table, padding]), layer.name)

    def _factors(self) -> ResidualRegisters | None:
        residual = self.layer.residual
        if residual is None:
            return None
        return residual_registers(
            self.layer.name,
            residual.add,
            branch_bits=8 if self.layer.widened else 16,
            skip_bits=residual.skip_bits,
            multiplier_bits=self.emitter.config.multiplier_bits,
        )

    def _group(self) -> int:
        """How many tiles half of B holds, at most `GROUP_TILES`."""
        for group in range(min(GROUP_TILES, max(1, self.emitter.config.b_depth // 2 // self.steps)), 0, -1):
            tiles = Span(0, self.tiles).parts(group)
            if all(len(set(self.low[LANES * part.start : LANES * part.stop])) == 1 for part in tiles):
                return group
        raise CompileError(f"{self.layer.name}: lower limits must be the same for each four channels.")

    def load(self, source: Allocation, rows: Span, place: int) -> None:
        """Loads rows of the operand into A, and their destinations into the row map."""
        operands, layer = self.emitter.operands, self.layer
        if isinstance(layer.operand, Joined):
            for row in range(source.rows):
                part = Strided(place + row * (self.steps // source.rows), self.stride)
                operands.rows_to_a(source, Span(row, row + 1), part)
        else:
            transform = layer.operand if isinstance(layer.operand, Transformed) else None
            operands.rows_to_a(source, rows, Strided(place, self.stride), transform)
            if self.halves:
                operands.rows_to_a(source, rows, Strided(place + self.steps, self.stride), transform, lower=True)
        if self.output.table is not None:
            self.emitter.constants.row_map(self.output.table.base, rows)

    def run(self, rows: Span, tiles: Span, places: Places) -> None:
        """Computes some tiles of the rows from the start of a block on."""
        output, skip = self._output(rows, tiles), self._skip(rows, tiles)
        product = Product(
            a=Strided(places.a, self.stride),
            b=Strided(places.b, self.steps),
            steps=self.steps,
            rows=rows.size,
            tiles=tiles.size,
            constants=Strided(places.constants, LANES),
            post=self._post(tiles),
            halves=self.halves,
        )
        setup: list[Setup] = [output]
        if self.factors is not None:
            setup.append(self.factors)
        if skip is not None:
            setup.append(skip)
        self.emitter.array.execute(product, setup, self._accesses(rows, tiles))

    def _post(self, tiles: Span) -> Post:
        return Post(
            mode=_mode(self.layer),
            track_max=self.track_max,
            max_first=self.track_max and tiles.start == 0,
            clamp_packed=bool(self.low[LANES * tiles.start]),
            scatter=self.output.table is not None,
            int8=self.layer.widened,
        )

    def _output(self, rows: Span, tiles: Span) -> OutputRegisters:
        """Row r is row r modulo `max_rows` from another base: registers count no more rows, and that is its place among
        the maxima and in the row map.
        """
        tensor, matrix_rows = self.output.allocation, rows.moved(self.offset)
        base = tensor.column_base(tiles.start * tensor.size)
        if self.output.table is not None:
            counted = matrix_rows.start % self.emitter.config.max_rows
        else:
            first = self.output.rows(matrix_rows).start
            counted = first % self.emitter.config.max_rows
            base += first - counted
        return OutputRegisters(out_base=base, out_slab=tensor.slab, out_row=counted)

    def _skip(self, rows: Span, tiles: Span) -> SkipRegisters | None:
        if self.skip is None:
            return None
        first = rows.start + self.offset
        counted = first % self.emitter.config.max_rows
        base = self.skip.column_base(self.skip.size * tiles.start) + first - counted
        return SkipRegisters(skip_base=base, skip_slab=self.skip.slab, skip_row=counted)

    def _accesses(self, rows: Span, tiles: Span) -> list[Access]:
        """To results, skip, row map and maxima."""
        cfg, name, matrix_rows = self.emitter.config, self.emitter.operations.layer, rows.moved(self.offset)
        channels = Span(LANES * tiles.start, LANES * tiles.stop)
        accesses = self.emitter.array.stores(self.output.allocation, self.output.rows(matrix_rows), channels)
        if self.output.table is not None:
            accesses += modulo(cfg, name, Space.ROW_MAP, rows, event=EventKind.WRITTEN)
        if self.skip is not None:
            accesses.append(Access(self.skip.name, matrix_rows, channels, event=EventKind.WRITTEN))
        if self.track_max:
            accesses += modulo(cfg, name, Space.MAXIMA, rows, write=True, event=EventKind.WRITTEN)
        return accesses


def _mode(layer: Matmul) -> PostMode:
    if layer.rescale is None:
        return PostMode.RAW
    if layer.residual is not None:
        return PostMode.RESIDUAL
    return PostMode.Q8 if layer.size == 1 else PostMode.Q16


def _clamped(layer: Matmul) -> npt.NDArray[np.bool_]:
    """For each channel, padding included: whether its results are clamped at -127."""
    channels = len(layer.weight)
    count = ceil_div(channels, LANES) * LANES
    if layer.rescale is None or layer.rescale.low is None:
        return np.zeros(count, bool)
    low = np.broadcast_to(layer.rescale.low, (channels,)) == -127
    return np.concatenate([low, np.repeat(low[-1:], count - channels)])
