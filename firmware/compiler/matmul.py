"""Lowers a matmul layer: rows in the A buffer, weights streamed through B."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from firmware.compiler.emit import SHIFT_LIMIT, Emitter, records
from firmware.compiler.errors import CompileError
from firmware.compiler.layers import Gelu, Matmul, Norm
from firmware.compiler.memory import Home
from firmware.compiler.operations import Access
from firmware.layout import BEAT, LANES, SLAB_COLUMNS, pack_operand
from gateware.isa import PostMode

__all__ = ["lower_matmul"]

GROUP_TILES = 4  # output tiles of a weight group: 16 channels
CONSTANTS_A_LOAD = 256  # channels
RESIDUAL_LIMIT = 8  # of a residual's factors: its terms then fit the postprocessor's 20 bits
GROUPS_BEFORE_NORM = 4  # weight groups that are loaded before the constants of the norm that follows
FIRST_BLOCKS = 2  # of the first chunk behind a ShiftGELU, which can start only when the layer before has ended
LAST_BLOCKS = 2  # blocks whose rows a transform may still be loading when the first group starts


def _chunks(
    emitter: Emitter, rows: tuple[int, int], stride: int, what: str, behind_gelu: bool, reserve: int
) -> list[tuple[int, int]]:
    """Row ranges that fit the A buffer: all at once, or half of it, so that one is loaded while another is used.

    `reserve` words are left, if possible, to the rows of the layer that follows.
    """
    r, depth = emitter.config.rows, emitter.config.a_depth
    first, last = rows
    blocks = -(-(last - first) // r)
    if stride > depth:
        raise CompileError(
            f"{what}: a row of {4 * stride} columns takes {stride} words of the A buffer, which has {depth}; enlarge "
            "a_depth in the configuration."
        )
    if blocks * stride <= depth:
        return [rows]
    reserve = reserve if (depth - reserve) // 2 >= 2 * stride else 0
    most = max(1, (depth - reserve) // 2 // stride)
    head = FIRST_BLOCKS if behind_gelu and most > FIRST_BLOCKS else 0
    count = -(-(blocks - head) // most)
    sizes = [head] * (head > 0) + [-(-(blocks - head) // count)] * count
    starts = [first + r * sum(sizes[:index]) for index in range(len(sizes))]
    return [(start, min(last, start + r * size)) for start, size in zip(starts, sizes, strict=True) if start < last]


class _Rows:
    """A layer whose rows are in A: gives the operations of any tiles of any blocks."""

    def __init__(self, emitter: Emitter, layer: Matmul, output: Home, skip: Home | None, track_max: bool) -> None:
        self.emitter, self.layer, self.output, self.skip, self.track_max = emitter, layer, output, skip, track_max
        cfg, channels = emitter.config, len(layer.weight)
        depth = layer.weight.shape[1]
        if depth % 4:
            what = "patch" if layer.patches else "width"
            raise CompileError(f"{layer.name}: {depth} inputs must be a multiple of 4; change its {what}.")
        self.steps, self.tiles, self.r = depth // 4, -(-channels // 4), cfg.rows
        self.stride = -(-self.steps // SLAB_COLUMNS) * SLAB_COLUMNS  # of blocks in A: rows are loaded by whole slabs
        self.count = 4 * self.tiles  # channels, the last tile's padding included
        self.offset = 1 if layer.token is not None else 0
        weight = np.zeros((self.count, depth), np.int64)
        weight[:channels] = layer.weight
        self.weights = emitter.memory.place(pack_operand(weight), layer.name)
        factor = None if layer.rescale is None else layer.rescale.factor
        table = records(layer.name, layer.bias, factor, channels, cfg.multiplier_bits)
        padding = np.zeros(BEAT * (self.count - channels), np.uint8)
        self.table = emitter.memory.place(np.concatenate([table, padding]), layer.name)
        self.low = _clamped(layer)
        self.fixed = _residual_registers(layer, cfg.multiplier_bits)
        self.group = min(GROUP_TILES, max(1, cfg.b_depth // 2 // self.steps))
        # All of a group's channels must have the same lower limit.
        while any(len(set(self.low[4 * t : 4 * (t + self.group)])) > 1 for t in range(0, self.tiles, self.group)):
            self.group -= 1
            if not self.group:
                raise CompileError(f"{layer.name}: lower limits must be the same for each four channels.")

    def run(self, rows: tuple[int, int], tiles: tuple[int, int], a: int, b: int, constants: int) -> None:
        """Rows and tiles (half-open, rows from a block's start); `a`, `b`, `constants`: places of the first of each."""
        output, emitter, steps = self.output, self.emitter, self.steps
        blocks = -(-(rows[1] - rows[0]) // self.r)
        channels = (4 * tiles[0], 4 * tiles[1])
        matrix_rows = (rows[0] + self.offset, rows[1] + self.offset)
        accesses = [Access(output.name, matrix_rows, channels, write=True, event="written")]
        registers: dict[str, int | Mapping[str, int]] = {
            "OUT_BASE": output.column_base(tiles[0] * output.size),
            "OUT_SLAB": output.slab,
            "OUT_ROW": matrix_rows[0],
            **self.fixed,
        }
        if self.skip is not None:
            registers |= {"SKIP_BASE": self.skip.column_base(2 * tiles[0]), "SKIP_SLAB": self.skip.slab}
            accesses.append(Access(self.skip.name, matrix_rows, channels, event="written"))
        if self.track_max:
            accesses.append(Access("maxima", rows, write=True, event="written"))
        emitter.execute(
            (a, self.stride),
            (b, steps),
            steps,
            tiles[1] - tiles[0],
            (blocks, rows[1] - rows[0] - (blocks - 1) * self.r),
            {
                "mode": _mode(self.layer),
                "track_max": int(self.track_max),
                "max_first": int(self.track_max and tiles[0] == 0),
                "clamp_packed": int(self.low[4 * tiles[0]]),
            },
            (constants, LANES, channels[1] - channels[0]),
            registers,
            accesses,
        )


def lower_matmul(
    emitter: Emitter,
    layer: Matmul,
    source: Home,
    rows: tuple[int, int],
    output: Home,
    skip: Home | None,
    track_max: bool,
    reserve: int,
) -> None:
    """Rows (half-open) of `source` times the weights.

    Parameters
    ----------
    output, skip : where results go, and what they are added to
    track_max : keep the rows' maxima, for a ShiftGELU that follows
    reserve : words of A that the next layer's rows take
    """
    lowering = _Rows(emitter, layer, output, skip, track_max)
    transform = layer.source if isinstance(layer.source, Norm | Gelu) else None
    chunks = _chunks(emitter, rows, lowering.stride, layer.name, isinstance(transform, Gelu), reserve)
    cfg = emitter.config
    fits = lowering.tiles * lowering.steps <= cfg.b_depth and lowering.count <= cfg.const_depth
    if len(chunks) == 1 and fits and rows[1] - rows[0] > cfg.rows and not lowering.low.any():
        _with_all_weights(emitter, lowering, source, transform, rows)
        return
    for chunk in chunks:
        _streaming(emitter, lowering, source, transform, chunk, chunk == chunks[-1])


def _with_all_weights(
    emitter: Emitter, lowering: _Rows, source: Home, transform: Norm | Gelu | None, rows: tuple[int, int]
) -> None:
    """Weights arrive while the first half of the rows uses them; the second half goes block by block, so that whoever
    reads those rows follows close behind.
    """
    name, steps, stride, r = lowering.layer.name, lowering.steps, lowering.stride, lowering.r
    blocks = -(-(rows[1] - rows[0]) // r)
    a = emitter.a.take(blocks * stride, name)
    emitter.rows_to_a(source, *rows, a, stride, transform)
    constants = emitter.constants_to_chip(lowering.table, lowering.count, name)
    b = emitter.b.take(lowering.tiles * steps, name)
    half = blocks - blocks // 2
    middle = min(rows[1], rows[0] + half * r)
    for tile in range(0, lowering.tiles, lowering.group):
        last = min(lowering.tiles, tile + lowering.group)
        emitter.weights_to_b(lowering.weights + tile * steps, (last - tile) * steps, b + tile * steps)
        lowering.run((rows[0], middle), (tile, last), a, b + tile * steps, constants + 4 * tile)
    for block in range(half, blocks):
        span = (rows[0] + block * r, min(rows[1], rows[0] + (block + 1) * r))
        lowering.run(span, (0, lowering.tiles), a + block * stride, b, constants)
    emitter.norm_ahead(transform)
    emitter.a.release(a)
    emitter.b.release(b)
    emitter.constants.release(constants)


def _streaming(
    emitter: Emitter,
    lowering: _Rows,
    source: Home,
    transform: Norm | Gelu | None,
    rows: tuple[int, int],
    final: bool,
) -> None:
    """One chunk of rows, perhaps the final one; weights pass through B group by group."""
    name, steps, stride, r = lowering.layer.name, lowering.steps, lowering.stride, lowering.r
    blocks = -(-(rows[1] - rows[0]) // r)
    a = emitter.a.take(blocks * stride, name)
    emitter.rows_to_a(source, *rows, a, stride, transform)
    piece = 4 * lowering.group * max(1, CONSTANTS_A_LOAD // (4 * lowering.group))
    held, taken = 0, -1
    groups = range(0, lowering.tiles, lowering.group)
    for index, tile in enumerate(groups):
        last = min(lowering.tiles, tile + lowering.group)
        if 4 * tile % piece == 0:
            if taken >= 0:
                emitter.constants.release(taken)
            some = min(piece, lowering.count - 4 * tile)
            taken = emitter.constants_to_chip(lowering.table + 4 * tile, some, name)
            held = taken - 4 * tile
        b = emitter.b.take((last - tile) * steps, name)
        emitter.weights_to_b(lowering.weights + tile * steps, (last - tile) * steps, b)
        if tile == 0 and transform is not None and blocks > LAST_BLOCKS:
            # The transform of the last rows may still be under way.
            middle = rows[0] + r * (blocks - LAST_BLOCKS)
            lowering.run((rows[0], middle), (tile, last), a, b, held + 4 * tile)
            lowering.run((middle, rows[1]), (tile, last), a + (blocks - LAST_BLOCKS) * stride, b, held + 4 * tile)
        else:
            lowering.run(rows, (tile, last), a, b, held + 4 * tile)
        emitter.b.release(b)
        if final and index == min(GROUPS_BEFORE_NORM, len(groups)) - 1:
            emitter.norm_ahead(transform)
    emitter.a.release(a)
    emitter.constants.release(taken)


def _mode(layer: Matmul) -> PostMode:
    if layer.rescale is None:
        return PostMode.RAW
    if layer.residual is not None:
        return PostMode.RESIDUAL
    return PostMode.Q8 if layer.rescale.bits == 8 else PostMode.Q16


def _clamped(layer: Matmul) -> npt.NDArray[np.bool_]:
    """For each channel, padding included, whether its results stop at -127."""
    count = -(-len(layer.weight) // 4) * 4
    if layer.rescale is None or layer.rescale.low is None:
        return np.zeros(count, bool)
    low = np.broadcast_to(layer.rescale.low, (len(layer.weight),)) == -127
    return np.concatenate([low, np.repeat(low[-1:], count - len(low))])


def _residual_registers(layer: Matmul, multiplier_bits: int) -> dict[str, int | Mapping[str, int]]:
    """The factors of both branches."""
    if layer.residual is None:
        return {}
    registers: dict[str, int | Mapping[str, int]] = {}
    shifts = {}
    for which, dyadic in (("BRANCH", layer.residual.add.branch), ("SKIP", layer.residual.add.skip)):
        factor = dyadic.normalised(multiplier_bits)
        multiplier, shift = int(factor.multiplier), int(factor.shift)
        if shift < 0 or abs(multiplier) >= RESIDUAL_LIMIT << shift:
            raise CompileError(
                f"{layer.name}: a residual's branch is multiplied by {multiplier / 2.0**shift:.3g}, and the machine's "
                f"limit is {RESIDUAL_LIMIT}; quantise again with other calibration images."
            )
        registers |= {f"{which}_LO": multiplier & 0xFFFFFF, f"{which}_HI": multiplier >> 24 & 0xFF}
        shifts[which.lower()] = min(shift, SHIFT_LIMIT)
    return registers | {"SHIFTS": shifts}
