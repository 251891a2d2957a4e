"""Lowers a matmul layer: rows in the A buffer, weights streamed through B, or the roles exchanged."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from firmware.compiler.emit import SHIFT_LIMIT, Emitter, records
from firmware.compiler.errors import CompileError
from firmware.compiler.layers import Gelu, Matmul, Norm
from firmware.compiler.memory import Home
from firmware.compiler.operations import Access
from firmware.layout import LANES, pack_operand
from gateware.isa import PostMode
from sim.reference.rescale import Dyadic

__all__ = ["lower_exchanged", "lower_matmul"]

GROUP_TILES = 4  # output tiles of a weight group: 16 channels
CONSTANTS_A_LOAD = 256  # channels
RESIDUAL_LIMIT = 8  # of a residual's factors: its terms then fit the postprocessor's 20 bits
LAST_BLOCKS = 2  # blocks whose rows a transform may still be loading when the first group starts


def _chunks(emitter: Emitter, rows: int, steps: int, what: str) -> list[tuple[int, int]]:
    """Row ranges that fit the A buffer: all at once, or half of it, so that one is loaded while another is used."""
    r, depth = emitter.config.rows, emitter.config.a_depth
    blocks = -(-rows // r)
    fits = blocks if blocks * steps <= depth else max(1, depth // 2 // steps)
    if steps > depth:
        raise CompileError(
            f"{what}: a row of {4 * steps} columns takes {steps} words of the A buffer, which has {depth}; enlarge "
            "a_depth in the configuration."
        )
    return [(first * r, min(rows, (first + fits) * r)) for first in range(0, blocks, fits)]


class _Rows:
    """A layer whose rows are in A: gives the operations of any tiles of any blocks."""

    def __init__(
        self, emitter: Emitter, layer: Matmul, source: Home, output: Home, skip: Home | None, columns: tuple[int, int]
    ) -> None:
        self.emitter, self.layer, self.output, self.skip = emitter, layer, output, skip
        self.first_column, last_column = columns
        self.count, depth = last_column - self.first_column, layer.weight.shape[1]
        if depth % 4 or self.count % 4:
            raise CompileError(
                f"{layer.name}: {depth} inputs and {self.count} outputs must be multiples of 4; change its width."
            )
        cfg, weight = emitter.config, layer.weight[columns[0] : columns[1]]
        self.steps, self.tiles, self.r = depth // 4, self.count // 4, cfg.rows
        self.rows = source.rows
        self.offset = 1 if layer.token is not None else 0
        self.weights = emitter.memory.place(pack_operand(weight), layer.name)
        bias = None if layer.bias is None else layer.bias[columns[0] : columns[1]]
        table = records(layer.name, bias, _part(layer, columns), self.count, cfg.multiplier_bits)
        self.table = emitter.memory.place(table, layer.name)
        self.low = _clamped(layer, columns)
        self.fixed = _residual_registers(layer, cfg.multiplier_bits)
        self.track_max = False
        self.group = min(GROUP_TILES, max(1, cfg.b_depth // 2 // self.steps))
        # All of a group's channels must have the same lower limit.
        while self.low.size > 1 and any(
            len(set(self.low[4 * t : 4 * (t + self.group)])) > 1 for t in range(0, self.tiles, self.group)
        ):
            self.group -= 1

    def run(self, rows: tuple[int, int], tiles: tuple[int, int], a: int, b: int, constants: int) -> None:
        """Rows and tiles (half-open, rows from a block's start); `a`, `b`, `constants`: places of the first of each."""
        output, emitter, steps = self.output, self.emitter, self.steps
        blocks = -(-(rows[1] - rows[0]) // self.r)
        channels = (self.first_column + 4 * tiles[0], self.first_column + 4 * tiles[1])
        matrix_rows = (rows[0] + self.offset, rows[1] + self.offset)
        accesses = [Access(output.name, matrix_rows, channels, write=True, event="written")]
        registers: dict[str, int | Mapping[str, int]] = {
            "OUT_BASE": output.column_base((channels[0] - output.first_column) * output.size // 4),
            "OUT_SLAB": output.slab,
            "OUT_ROW": matrix_rows[0],
            **self.fixed,
        }
        if self.skip is not None:
            registers |= {"SKIP_BASE": self.skip.column_base(channels[0] // 2), "SKIP_SLAB": self.skip.slab}
            accesses.append(Access(self.skip.name, matrix_rows, channels, event="written"))
        if self.track_max:
            accesses.append(Access("maxima", rows, write=True, event="written"))
        emitter.execute(
            (a, steps),
            (b, steps),
            steps,
            tiles[1] - tiles[0],
            (blocks, rows[1] - rows[0] - (blocks - 1) * self.r),
            {
                "mode": _mode(self.layer),
                "track_max": int(self.track_max),
                "max_first": int(self.track_max and tiles[0] == 0),
                "clamp_packed": int(bool(self.low.size) and bool(self.low[4 * tiles[0]])),
            },
            (constants, LANES, channels[1] - channels[0]),
            registers,
            accesses,
        )


def lower_matmul(
    emitter: Emitter,
    layer: Matmul,
    source: Home,
    output: Home,
    skip: Home | None,
    columns: tuple[int, int],
    track_max: bool,
) -> None:
    """Rows of `source` times the weights of output channels columns[0] .. columns[1]-1.

    Parameters
    ----------
    output, skip : where results go, and what they are added to
    track_max : keep the rows' maxima, for a ShiftGELU that follows
    """
    lowering = _Rows(emitter, layer, source, output, skip, columns)
    lowering.track_max = track_max
    transform = layer.source if isinstance(layer.source, Norm | Gelu) else None
    chunks = _chunks(emitter, source.rows, lowering.steps, layer.name)
    cfg = emitter.config
    blocks = -(-source.rows // cfg.rows)
    fits = lowering.tiles * lowering.steps <= cfg.b_depth and lowering.count <= cfg.const_depth
    if len(chunks) == 1 and fits and blocks > 1:
        _with_all_weights(emitter, lowering, source, transform, blocks)
        return
    for rows in chunks:
        _streaming(emitter, lowering, source, transform, rows)


def _with_all_weights(
    emitter: Emitter, lowering: _Rows, source: Home, transform: Norm | Gelu | None, blocks: int
) -> None:
    """Weights arrive while the first half of the rows uses them; the second half goes block by block, so that whoever
    reads those rows follows close behind.
    """
    name, steps, r, rows = lowering.layer.name, lowering.steps, lowering.r, lowering.rows
    a = emitter.a.take(blocks * steps, name)
    emitter.rows_to_a(source, 0, rows, a, steps, transform)
    constants = emitter.constants_to_chip(lowering.table, lowering.count, name)
    b = emitter.b.take(lowering.tiles * steps, name)
    half = blocks - blocks // 2
    for tile in range(0, lowering.tiles, lowering.group):
        last = min(lowering.tiles, tile + lowering.group)
        emitter.weights_to_b(lowering.weights + tile * steps, (last - tile) * steps, b + tile * steps)
        lowering.run((0, min(rows, half * r)), (tile, last), a, b + tile * steps, constants + 4 * tile)
    for block in range(half, blocks):
        span = (block * r, min(rows, (block + 1) * r))
        for tile in range(0, lowering.tiles, max(1, lowering.tiles if lowering.low.size <= 1 else lowering.group)):
            last = min(lowering.tiles, tile + (lowering.tiles if lowering.low.size <= 1 else lowering.group))
            lowering.run(span, (tile, last), a + block * steps, b + tile * steps, constants + 4 * tile)
    emitter.a.release(a)
    emitter.b.release(b)
    emitter.constants.release(constants)


def _streaming(
    emitter: Emitter, lowering: _Rows, source: Home, transform: Norm | Gelu | None, rows: tuple[int, int]
) -> None:
    """One chunk of rows; weights pass through B group by group."""
    name, steps, r = lowering.layer.name, lowering.steps, lowering.r
    blocks = -(-(rows[1] - rows[0]) // r)
    a = emitter.a.take(blocks * steps, name)
    emitter.rows_to_a(source, *rows, a, steps, transform)
    piece = 4 * lowering.group * max(1, CONSTANTS_A_LOAD // (4 * lowering.group))
    held, taken = 0, -1
    for tile in range(0, lowering.tiles, lowering.group):
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
            lowering.run((middle, rows[1]), (tile, last), a + (blocks - LAST_BLOCKS) * steps, b, held + 4 * tile)
        else:
            lowering.run(rows, (tile, last), a, b, held + 4 * tile)
        emitter.b.release(b)
    emitter.a.release(a)
    emitter.constants.release(taken)


def lower_exchanged(
    emitter: Emitter,
    layer: Matmul,
    source: Home,
    output: Home,
    columns: tuple[int, int],
    groups: int,
) -> None:
    """W X^T: output channels are the rows, the first `groups` row groups of `source` (through LayerNorm) the columns.

    `output` is the transposed matrix. A group of tokens stays in B while the weights pass through A.
    """
    norm = layer.source
    assert isinstance(norm, Norm)
    cfg, weight = emitter.config, layer.weight[columns[0] : columns[1]]
    count, steps, r = len(weight), weight.shape[1] // 4, cfg.rows
    if weight.shape[1] % 4:
        raise CompileError(f"{layer.name}: {weight.shape[1]} inputs must be a multiple of 4; change the model's width.")
    weights = emitter.memory.place(pack_operand(weight), layer.name)
    bias = None if layer.bias is None else layer.bias[columns[0] : columns[1]]
    table = emitter.memory.place(
        records(layer.name, bias, _part(layer, columns), count, cfg.multiplier_bits), layer.name
    )
    low = _clamped(layer, columns)
    assert len(set(low.tolist())) <= 1
    chunks = _chunks(emitter, count, steps, layer.name)
    if len(chunks) > 1:
        # A chunk begins at a row group of the operand: weights are loaded as they lie.
        whole = max(1, (chunks[0][1] - chunks[0][0]) // LANES * LANES // (r * LANES)) * r * LANES
        if whole * steps // r > cfg.a_depth // 2:
            whole = r * LANES
        chunks = [(first, min(count, first + whole)) for first in range(0, count, whole)]
    tokens_a_load = min(GROUP_TILES, max(1, cfg.b_depth // 2 // steps))
    held: dict[int, tuple[int, int]] = {}  # chunk -> places in A and in the constants, where they stay
    for group in range(0, groups, tokens_a_load):
        tiles = min(tokens_a_load, groups - group)
        b = emitter.b.take(tiles * steps, layer.name)
        emitter.rows_to_b(source, group, tiles, b, steps, norm)
        for first, last in chunks:
            if first not in held:
                blocks = -(-(last - first) // r)
                a = emitter.a.take(blocks * steps, layer.name)
                operand = weights + first // LANES * steps
                emitter.operand_to_a(operand, -(-(last - first) // LANES), steps, last - first, a)
                held[first] = a, emitter.constants_to_chip(table + first, last - first, layer.name)
            a, constants = held[first]
            blocks = -(-(last - first) // r)
            emitter.execute(
                (a, steps),
                (b, steps),
                steps,
                tiles,
                (blocks, last - first - (blocks - 1) * r),
                {"mode": _mode(layer), "const_rows": 1, "clamp_packed": int(bool(low.size) and bool(low[0]))},
                (constants, 0, last - first),
                {
                    "OUT_BASE": output.column_base(group * output.size),
                    "OUT_SLAB": output.slab,
                    "OUT_ROW": first,
                },
                [
                    Access(
                        output.name,
                        (first, last),
                        (LANES * group, LANES * (group + tiles)),
                        write=True,
                        event="written",
                    )
                ],
            )
            if len(chunks) > 1 or group + tiles == groups:
                emitter.a.release(a)
                emitter.constants.release(constants)
                del held[first]
        emitter.b.release(b)


def _mode(layer: Matmul) -> PostMode:
    if layer.rescale is None:
        return PostMode.RAW
    if layer.residual is not None:
        return PostMode.RESIDUAL
    return PostMode.Q8 if layer.rescale.bits == 8 else PostMode.Q16


def _part(layer: Matmul, columns: tuple[int, int]) -> Dyadic | None:
    """The rescale's factors of some channels."""
    if layer.rescale is None:
        return None
    factor = layer.rescale.factor
    if not factor.multiplier.ndim:
        return factor
    return Dyadic(factor.multiplier[columns[0] : columns[1]], factor.shift[columns[0] : columns[1]])


def _clamped(layer: Matmul, columns: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """For each channel whether its results stop at -127; empty where none does."""
    if layer.rescale is None or layer.rescale.low is None:
        return np.zeros(0, bool)
    return np.broadcast_to(layer.rescale.low, (len(layer.weight),))[columns[0] : columns[1]] == -127


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
