"""Lowers a matmul layer: rows in the A buffer, weights streamed through B."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Gelu, Joined, Matmul, Norm, Patches
from firmware.compiler.lower.chunks import chunks_of
from firmware.compiler.lower.emit import Emitter
from firmware.compiler.lower.operations import Access
from firmware.compiler.lower.records import SHIFT_LIMIT, records
from firmware.compiler.place.output import OutputPlacement
from firmware.program.allocation import Allocation
from firmware.program.layout import SLAB_COLUMNS, pack_operand
from gateware.config import BEAT_BYTES, LANES
from gateware.isa import PostMode
from sim.reference.rescale import ResidualAdd

__all__ = ["Product", "lower_rows", "residual_registers"]

GROUP_TILES = 4  # output tiles of a weight group: 16 channels
CONSTANTS_A_LOAD = 256  # channels
RESIDUAL_LIMIT = 8  # of a residual's factors for 16 bits: its terms then fit the postprocessor's 20 bits
GROUPS_BEFORE_NORM = 4  # weight groups that are loaded before the constants of the norm that follows
NORM_GROWTH = 3  # of chunks of a map's rows behind a norm
GELU_BLOCKS = 4  # of a chunk of a map's rows behind a ShiftGELU, which is about as fast as the product of its rows
LAST_BLOCKS = 2  # blocks whose rows a transform may still be loading when the first group starts


class Product:
    """A layer whose rows are in A: gives the operations of any tiles of any blocks.

    Parameters
    ----------
    output, skip : where results go, and what they are added to
    track_max : keep the rows' maxima, for a ShiftGELU that follows
    """

    def __init__(
        self, emitter: Emitter, layer: Matmul, output: OutputPlacement, skip: Allocation | None, track_max: bool
    ) -> None:
        self.emitter, self.layer, self.output = emitter, layer, output
        self.skip, self.track_max = skip, track_max
        cfg, channels = emitter.config, len(layer.weight)
        depth = layer.weight.shape[1]
        if depth % 4:
            what = "patch" if isinstance(layer.operand, Patches) else "width"
            raise CompileError(f"{layer.name}: {depth} inputs must be a multiple of 4; change its {what}.")
        self.steps, self.tiles, self.r = depth // 4, -(-channels // 4), cfg.rows
        self.halves = isinstance(layer.operand, Norm) and layer.operand.wide
        # Of blocks in A: rows are loaded by whole slabs.
        self.stride = -(-self.steps // SLAB_COLUMNS) * SLAB_COLUMNS * (2 if self.halves else 1)
        self.count = 4 * self.tiles  # channels, the last tile's padding included
        self.offset = 0 if layer.front is None else len(layer.front)
        weight = np.zeros((self.count, depth), np.int64)
        weight[:channels] = layer.weight
        self.weights = emitter.memory.place(pack_operand(weight), layer.name)
        factor = None if layer.rescale is None else layer.rescale.factor
        table = records(layer.name, layer.bias, factor, channels, cfg.multiplier_bits)
        padding = np.zeros(BEAT_BYTES * (self.count - channels), np.uint8)
        self.table = emitter.memory.place(np.concatenate([table, padding]), layer.name)
        self.low = _clamped(layer)
        self.fixed: dict[str, int | Mapping[str, int]] = {}
        if layer.residual is not None:
            bits = 16, layer.residual.skip_bits
            self.fixed = residual_registers(layer.name, layer.residual.add, bits, cfg.multiplier_bits)
        self.group = min(GROUP_TILES, max(1, cfg.b_depth // 2 // self.steps))
        # All of a group's channels must have the same lower limit.
        while any(len(set(self.low[4 * t : 4 * (t + self.group)])) > 1 for t in range(0, self.tiles, self.group)):
            self.group -= 1
            if not self.group:
                raise CompileError(f"{layer.name}: lower limits must be the same for each four channels.")

    def load(self, source: Allocation, rows: tuple[int, int], place: int) -> None:
        """Rows of the operand into A."""
        if isinstance(self.layer.operand, Joined):
            for row in range(source.rows):
                part = place + row * (self.steps // source.rows)
                self.emitter.rows_to_a(source, row, row + 1, part, self.stride)
            return
        transform = self.layer.operand if isinstance(self.layer.operand, Norm | Gelu) else None
        self.emitter.rows_to_a(source, *rows, place, self.stride, transform)
        if self.halves:
            self.emitter.rows_to_a(source, *rows, place + self.steps, self.stride, transform, lower=True)

    def run(self, rows: tuple[int, int], tiles: tuple[int, int], a: int, b: int, constants: int) -> None:
        """Rows and tiles (half-open, rows from a block's start); `a`, `b`, `constants`: places of the first of each."""
        output, emitter, steps = self.output.allocation, self.emitter, self.steps
        blocks = -(-(rows[1] - rows[0]) // self.r)
        channels = (4 * tiles[0], 4 * tiles[1])
        matrix_rows = (rows[0] + self.offset, rows[1] + self.offset)
        out_rows = self.output.rows(matrix_rows)
        accesses = emitter.stores(output, out_rows, channels)
        # Row r is row r modulo max_rows from another base: registers count no more rows, and that is its place among
        # the maxima and in the row map.
        counted = (matrix_rows if self.output.table else out_rows)[0] % emitter.config.max_rows
        base = output.column_base(tiles[0] * output.size)
        if self.output.table is not None:
            accesses += emitter.modulo("row map", rows, event="written")
        else:
            base += out_rows[0] - counted
        registers: dict[str, int | Mapping[str, int]] = {
            "OUT_BASE": base,
            "OUT_SLAB": output.slab,
            "OUT_ROW": counted,
            **self.fixed,
        }
        if self.skip is not None:
            counted = matrix_rows[0] % emitter.config.max_rows
            registers |= {
                "SKIP_BASE": self.skip.column_base(2 * tiles[0]) + matrix_rows[0] - counted,
                "SKIP_SLAB": self.skip.slab,
                "SKIP_ROW": counted,
            }
            accesses.append(Access(self.skip.name, matrix_rows, channels, event="written"))
        if self.track_max:
            accesses += emitter.modulo("maxima", rows, write=True, event="written")
        post = {
            "mode": _mode(self.layer),
            "track_max": int(self.track_max),
            "max_first": int(self.track_max and tiles[0] == 0),
            "clamp_packed": int(self.low[4 * tiles[0]]),
            "scatter": int(self.output.table is not None),
            "octets": int(self.layer.widened),
        }
        emitter.execute(
            (a, self.stride),
            (b, steps),
            steps,
            tiles[1] - tiles[0],
            (blocks, rows[1] - rows[0] - (blocks - 1) * self.r),
            {name: value for name, value in post.items() if value or name == "mode"},
            (constants, LANES, channels[1] - channels[0]),
            registers,
            accesses,
            halves=self.halves,
        )


def lower_rows(
    emitter: Emitter, product: Product, source: Allocation, rows: tuple[int, int], reserve: int, final: bool = True
) -> None:
    """Rows (half-open) of `source` times the weights.

    Parameters
    ----------
    reserve : words of A that the next layer's rows take
    final : these are the layer's last rows
    """
    layer, output, cfg = product.layer, product.output, emitter.config
    # Half of the row map, so that the next rows' part can be loaded.
    most_rows = cfg.max_rows // 2 if output.table is not None else rows[1] - rows[0]
    # A norm is faster than the product of its rows.
    norm = isinstance(layer.operand, Norm) and layer.map is not None
    windowed = layer.residual is not None and layer.residual.branch_windows is not None
    growth = NORM_GROWTH if norm else int(isinstance(layer.operand, Gelu) or windowed)
    if isinstance(layer.operand, Gelu) and layer.map is not None:
        most_rows = min(most_rows, GELU_BLOCKS * cfg.rows)
    chunks: list[tuple[int, int]] = []
    for span in output.parts(rows):
        chunks += chunks_of(cfg, span, product.stride, layer.name, growth, most_rows, reserve)
        growth = 0
    fits = product.tiles * product.steps <= cfg.b_depth and product.count <= cfg.const_depth
    if len(chunks) == 1 and final and fits and rows[1] - rows[0] > cfg.rows and not product.low.any():
        _with_all_weights(emitter, product, source, rows)
        return
    for chunk in chunks:
        _streaming(emitter, product, source, chunk, final and chunk == chunks[-1])


def _operands(emitter: Emitter, product: Product, source: Allocation, rows: tuple[int, int]) -> int:
    """Rows into A, and their places into the row map; returns where they are in A."""
    a = emitter.a.take(-(-(rows[1] - rows[0]) // product.r) * product.stride, product.layer.name)
    product.load(source, rows, a)
    if product.output.table is not None:
        emitter.row_map(product.output.table.base, rows)
    return a


def _with_all_weights(emitter: Emitter, product: Product, source: Allocation, rows: tuple[int, int]) -> None:
    """Weights arrive while the first half of the rows uses them; the second half goes block by block, so that whoever
    reads those rows follows close behind.
    """
    name, steps, stride, r = product.layer.name, product.steps, product.stride, product.r
    blocks = -(-(rows[1] - rows[0]) // r)
    a = _operands(emitter, product, source, rows)
    constants = emitter.constants_to_chip(product.table, product.count, name)
    b = emitter.b.take(product.tiles * steps, name)
    half = blocks - blocks // 2
    middle = min(rows[1], rows[0] + half * r)
    for tile in range(0, product.tiles, product.group):
        last = min(product.tiles, tile + product.group)
        emitter.weights_to_b(product.weights + tile * steps, (last - tile) * steps, b + tile * steps)
        product.run((rows[0], middle), (tile, last), a, b + tile * steps, constants + 4 * tile)
    for block in range(half, blocks):
        span = (rows[0] + block * r, min(rows[1], rows[0] + (block + 1) * r))
        product.run(span, (0, product.tiles), a + block * stride, b, constants)
    emitter.norm_ahead(product.layer.operand)
    emitter.a.release(a)
    emitter.b.release(b)
    emitter.constants.release(constants)


def _streaming(emitter: Emitter, product: Product, source: Allocation, rows: tuple[int, int], final: bool) -> None:
    """One chunk of rows, perhaps the final one; weights pass through B group by group."""
    name, steps, stride, r = product.layer.name, product.steps, product.stride, product.r
    blocks = -(-(rows[1] - rows[0]) // r)
    a = _operands(emitter, product, source, rows)
    piece = 4 * product.group * max(1, CONSTANTS_A_LOAD // (4 * product.group))
    held, taken = 0, -1
    groups = range(0, product.tiles, product.group)
    for index, tile in enumerate(groups):
        last = min(product.tiles, tile + product.group)
        if 4 * tile % piece == 0:
            if taken >= 0:
                emitter.constants.release(taken)
            some = min(piece, product.count - 4 * tile)
            taken = emitter.constants_to_chip(product.table + 4 * tile, some, name)
            held = taken - 4 * tile
        b = emitter.b.take((last - tile) * steps, name)
        emitter.weights_to_b(product.weights + tile * steps, (last - tile) * steps, b)
        if tile == 0 and isinstance(product.layer.operand, Norm | Gelu) and blocks > LAST_BLOCKS:
            # The transform of the last rows may still be under way.
            middle = rows[0] + r * (blocks - LAST_BLOCKS)
            product.run((rows[0], middle), (tile, last), a, b, held + 4 * tile)
            product.run((middle, rows[1]), (tile, last), a + (blocks - LAST_BLOCKS) * stride, b, held + 4 * tile)
        else:
            product.run(rows, (tile, last), a, b, held + 4 * tile)
        emitter.b.release(b)
        if final and index == min(GROUPS_BEFORE_NORM, len(groups)) - 1:
            emitter.norm_ahead(product.layer.operand)
    emitter.a.release(a)
    emitter.constants.release(taken)


def _mode(layer: Matmul) -> PostMode:
    if layer.rescale is None:
        return PostMode.RAW
    if layer.residual is not None:
        return PostMode.RESIDUAL
    return PostMode.Q8 if layer.size == 1 else PostMode.Q16


def _clamped(layer: Matmul) -> npt.NDArray[np.bool_]:
    """For each channel, padding included, whether its results stop at -127."""
    count = -(-len(layer.weight) // 4) * 4
    if layer.rescale is None or layer.rescale.low is None:
        return np.zeros(count, bool)
    low = np.broadcast_to(layer.rescale.low, (len(layer.weight),)) == -127
    return np.concatenate([low, np.repeat(low[-1:], count - len(low))])


def residual_registers(
    name: str, add: ResidualAdd, bits: tuple[int, int], multiplier_bits: int
) -> dict[str, int | Mapping[str, int]]:
    """The factors of a residual's branch and skip, of so many bits.

    Raises
    ------
    CompileError : one that the machine's adder cannot hold
    """
    registers: dict[str, int | Mapping[str, int]] = {}
    shifts = {}
    for which, dyadic, width in (("BRANCH", add.branch, bits[0]), ("SKIP", add.skip, bits[1])):
        factor = dyadic.normalised(multiplier_bits)
        multiplier, shift = int(factor.multiplier), int(factor.shift)
        limit = RESIDUAL_LIMIT << 16 - width
        if shift < 0 or abs(multiplier) >= limit << shift:
            raise CompileError(
                f"{name}: a residual's {which.lower()} is multiplied by {multiplier / 2.0**shift:.3g}, and the "
                f"machine's limit for {width} bits is {limit}; quantise again with other calibration images."
            )
        registers |= {f"{which}_LO": multiplier & 0xFFFFFF, f"{which}_HI": multiplier >> 24 & 0xFF}
        shifts[which.lower()] = min(shift, SHIFT_LIMIT)
    return registers | {"SHIFTS": shifts}
