"""EXEC and VEC."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateware.config import LANES
from gateware.isa import Engine, PostMode
from sim.interpreter.state import MachineState
from sim.reference.linear import matmul
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftmax import Shiftmax

__all__ = ["execute", "softmax"]

Integers = npt.NDArray[np.int64]
SIZES = {PostMode.RAW: 4, PostMode.Q8: 1, PostMode.Q16: 2, PostMode.RESIDUAL: 2}


def _wrapped(values: Integers, bits: int) -> Integers:
    return ((values + (1 << (bits - 1))) & ((1 << bits) - 1)) - (1 << (bits - 1))


def _accumulators(state: MachineState) -> Integers:
    """(blocks * R, 4 * tiles) as the array leaves them."""
    e = Engine.EXEC
    steps, shape = state.fields(e, "STEPS"), state.fields(e, "BLOCKS")
    k, tiles, blocks, depth = steps["k_steps"], state.value(e, "TILES"), shape["blocks"], state.config.a_depth
    block_places = state.value(e, "A_BASE") + np.arange(blocks) * state.value(e, "A_BLOCK_STRIDE")
    tile_places = state.value(e, "B_BASE") + np.arange(tiles) * state.value(e, "B_TILE_STRIDE")
    columns = state.b[(tile_places[:, None] + np.arange(k)) % state.config.b_depth]
    right = columns.swapaxes(1, 2).reshape(tiles * LANES, 4 * k).astype(np.int64)
    total: Integers | None = None
    for half in range(1 + steps["halves"]):
        words = state.a[:, (block_places[:, None] + half * k + np.arange(k)) % depth]
        left = words.swapaxes(0, 1).reshape(blocks * state.config.rows, 4 * k).astype(np.int64)
        product = matmul(left, right.T)
        total = product if total is None else (total << 8) + product
    assert total is not None
    return _wrapped(total, state.config.acc_width)


def execute(state: MachineState) -> None:
    """One RUN of EXEC."""
    e, rows_of = Engine.EXEC, state.config.rows
    post, shape = state.fields(e, "POST"), state.fields(e, "BLOCKS")
    mode, tiles, blocks = PostMode(post["mode"]), state.value(e, "TILES"), shape["blocks"]
    total = (blocks - 1) * rows_of + shape["rows_last"]
    acc = _accumulators(state)[:total]
    if post["const_rows"]:
        channel = (state.value(e, "CONST_BASE") + np.arange(total))[:, None]
    else:
        steps = np.arange(tiles)[:, None] * state.value(e, "CONST_TILE_STRIDE") + np.arange(LANES)
        channel = (state.value(e, "CONST_BASE") + steps.reshape(-1))[None, :]
    bias, multiplier, shift = np.moveaxis(state.constants[channel % state.config.const_depth], -1, 0)
    value = acc + bias
    factor = Dyadic(multiplier, shift)
    rows = state.value(e, "OUT_ROW") + np.arange(total, dtype=np.int64)
    columns = tiles * SIZES[mode]
    if mode is PostMode.RAW:
        result = _wrapped(value, 32)
    elif mode is PostMode.Q8:
        result = Rescale(factor, 8, np.array(-127) if post["clamp_packed"] else None).apply(value)
    else:
        result = Rescale(factor, 16).apply(value)
    if mode is PostMode.RESIDUAL:
        places, lanes = state.matrix_places(state.value(e, "SKIP_BASE"), state.value(e, "SKIP_SLAB"), rows, columns)
        skip = np.ascontiguousarray(state.beats[places, lanes]).reshape(total, -1).view("<i2").astype(np.int64)
        shifts = state.fields(e, "SHIFTS")
        state.observe("branch", rows=result)
        result = ResidualAdd(
            Dyadic(np.array(state.joined(e, "BRANCH_LO", "BRANCH_HI")), np.array(shifts["branch"])),
            Dyadic(np.array(state.joined(e, "SKIP_LO", "SKIP_HI")), np.array(shifts["skip"])),
        ).apply(result, skip)
    if post["track_max"]:
        top = result.max(axis=1)
        state.maxima[rows] = top if post["max_first"] else np.maximum(top, state.maxima[rows])
    if post["to_scores"]:
        length = state.value(e, "SCORE_LENGTH")
        state.observe("scores", rows=result[:, :length])
        state.blocks += [result[start : start + rows_of] for start in range(0, total, rows_of)]
        return
    places, lanes = state.matrix_places(state.value(e, "OUT_BASE"), state.value(e, "OUT_SLAB"), rows, columns)
    octets = np.ascontiguousarray(result.astype(f"<i{SIZES[mode]}")).view(np.uint8)
    state.beats[places, lanes] = octets.reshape(total, columns, 4)


def softmax(state: MachineState) -> None:
    """One RUN of VEC."""
    v, arithmetic, bits = Engine.VEC, state.config.arithmetic, state.config.probability_bits
    if not state.blocks:
        raise ValueError("VEC runs, and there is no block of scores")
    length = state.fields(v, "LENGTH")["length"]
    scores = state.blocks.pop(0)[: state.value(v, "ROWS"), :length]
    unit = Shiftmax(
        ShiftExp(state.value(v, "X0"), arithmetic.softmax_n, arithmetic.half_shifted_first),
        bits,
        arithmetic.softmax_half_up,
    )
    probabilities = unit.apply(scores)
    state.observe("probabilities", rows=probabilities)
    words = -(-length // 4)
    padded = np.zeros((len(scores), 4 * words), np.int64)
    padded[:, :length] = probabilities
    base, low = state.value(v, "A_BASE"), state.value(v, "A_LOW")
    parts = [(base, padded)]
    if bits > 8:
        lower = ((padded + 128) & 255) - 128
        parts = [(base, (padded - lower) >> 8), (base + low, lower)]
    for start, part in parts:
        state.a[: len(scores), start : start + words] = part.reshape(len(scores), words, 4)
