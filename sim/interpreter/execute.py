"""EXEC and VEC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gateware.config import LANES, UNSIGNED_BITS, in_halves
from gateware.isa import Engine, ErrorCode, PostMode
from sim.interpreter.state import MachineError, MachineState
from sim.reference.linear import matmul
from sim.reference.nonlinear import integer_softmax
from sim.reference.rescale import Dyadic, Rescale
from sim.reference.rounding import ceil_div, clamp

__all__ = ["execute", "softmax"]

Integers = npt.NDArray[np.int64]
SCORE_BLOCKS = 2  # that the score memory holds
ELEMENT_BITS = 9  # bits of an element of A, which is kept signed
MASK_BIT = 14  # that, 0 in a negative sum, masks a score
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
    b_places = tile_places[:, None] + np.arange(k)
    state.check_range(b_places, state.config.b_depth, "EXEC reads B")
    columns = state.b[b_places]
    right = columns.swapaxes(1, 2).reshape(tiles * LANES, 4 * k).astype(np.int64)
    total: Integers | None = None
    for half in range(1 + steps["halves"]):
        a_places = block_places[:, None] + half * k + np.arange(k)
        state.check_range(a_places, depth, "EXEC reads A")
        words = state.a[:, a_places]
        left = words.swapaxes(0, 1).reshape(blocks * state.config.rows, 4 * k).astype(np.int64)
        if steps["unsigned"]:
            left &= (1 << ELEMENT_BITS) - 1
        product = matmul(left, right.T)
        total = product if total is None else (total << 8) + product
    assert total is not None
    return _wrapped(total, state.config.acc_width)


@dataclass(frozen=True)
class _Result:
    """Rows of an operation after the post-processor: integers and which of them are masked, both (rows, 4 * tiles)."""

    mode: PostMode
    values: Integers
    masked: npt.NDArray[np.bool_]

    @property
    def columns(self) -> int:
        """Beat columns of a row in memory."""
        return int(self.values.shape[1] // LANES * SIZES[self.mode])


def execute(state: MachineState) -> None:
    """One RUN of EXEC.

    Raises
    ------
    MachineError : an address outside memory or its buffer, an operation of nothing, scores, row maxima or scattered
        rows that are not int8, or more blocks of scores than there is room for
    """
    e = Engine.EXEC
    post = state.fields(e, "POST")
    _check(state, post)
    result = _post_processed(state, post)
    rows = state.value(e, "OUT_ROW") + np.arange(len(result.values), dtype=np.int64)
    held = rows % len(state.maxima)
    if post["track_max"]:
        top = result.values.max(axis=1)
        state.maxima[held] = top if post["max_first"] else np.maximum(top, state.maxima[held])
    if post["to_scores"]:
        _to_scores(state, result)
        return
    if post["scatter"]:
        rows = state.row_map[held]
    slab = state.value(e, "OUT_SLAB")
    places, lanes = state.matrix_places(state.value(e, "OUT_BASE"), slab, rows, result.columns)
    stored = np.ascontiguousarray(result.values.astype(f"<i{SIZES[result.mode]}")).view(np.uint8)
    state.beats[places, lanes] = stored.reshape(len(rows), result.columns, 4)


def _check(state: MachineState, post: dict[str, int]) -> None:
    """Raises MachineError for an operation of nothing, and where int8 is needed and is not made."""
    e, most = Engine.EXEC, state.config.rows
    shape, mode = state.fields(e, "BLOCKS"), PostMode(post["mode"])
    least = min(state.value(e, "TILES"), shape["blocks"], shape["rows_last"], state.fields(e, "STEPS")["k_steps"])
    if least < 1 or shape["rows_last"] > most:
        raise MachineError(
            ErrorCode.ILLEGAL_INSTRUCTION,
            f"EXEC needs a block, a tile, a step and 1 to {most} rows in the last block",
        )
    if state.fields(e, "STEPS")["unsigned"] and not state.config.unsigned_probabilities:
        raise MachineError(
            ErrorCode.ILLEGAL_INSTRUCTION,
            "EXEC reads A unsigned, which a machine has that makes probabilities of 10 bits",
        )
    biased = post["to_scores"] and mode is PostMode.RESIDUAL and post["int8"]
    if (post["to_scores"] or post["track_max"] or post["scatter"]) and mode is not PostMode.Q8 and not biased:
        raise MachineError(
            ErrorCode.ILLEGAL_INSTRUCTION, f"scores, row maxima and scattered rows are Q8, not {mode.name}"
        )


def _post_processed(state: MachineState, post: dict[str, int]) -> _Result:
    """Products, plus bias, times factor, plus skip, as the mode says. Raises MachineError."""
    e, mode = Engine.EXEC, PostMode(post["mode"])
    shape, tiles = state.fields(e, "BLOCKS"), state.value(e, "TILES")
    total = (shape["blocks"] - 1) * state.config.rows + shape["rows_last"]
    acc = _accumulators(state)[:total]
    steps = np.arange(tiles)[:, None] * state.value(e, "CONST_TILE_STRIDE") + np.arange(LANES)
    channel = (state.value(e, "CONST_BASE") + steps.reshape(-1))[None, :]
    state.check_range(channel, state.config.const_depth, "EXEC reads constants")
    bias, multiplier, shift = np.moveaxis(state.constants[channel], -1, 0)
    value, masked = acc + bias, np.zeros(acc.shape, bool)
    if mode is PostMode.RAW:
        return _Result(mode, _wrapped(value, 32), masked)
    int8 = mode is PostMode.Q8 or post["int8"]
    low = np.array(-127) if int8 and post["clamp_packed"] else None
    result = Rescale(Dyadic(multiplier, shift), 8 if int8 else 16, low).apply(value)
    if mode is PostMode.RESIDUAL:
        state.observe("branch", rows=result)
        result = _sum(state, result, total, tiles * SIZES[mode])
        # A sum so far below the range of a score masks it.
        masked = (result < 0) & ((result >> MASK_BIT & 1) == 0)
        result = clamp(result, 8 if int8 else 16, low)
    return _Result(mode, result, masked)


def _to_scores(state: MachineState, result: _Result) -> None:
    """The first columns as blocks of scores. Raises MachineError."""
    length = state.value(Engine.EXEC, "SCORE_LENGTH")
    state.observe("scores", rows=result.values[:, :length])
    longest = min(result.values.shape[1], state.config.softmax_length)
    state.check_range(np.array(length - 1), longest, "SCORE_LENGTH - 1")
    for start in range(0, len(result.values), state.config.rows):
        part = slice(start, start + state.config.rows), slice(length)
        state.blocks.append((result.values[part], result.masked[part]))
    if len(state.blocks) > SCORE_BLOCKS:
        raise MachineError(ErrorCode.WATCHDOG, "the score memory holds two blocks, and more come before VEC runs")


def _sum(state: MachineState, branch: Integers, total: int, columns: int) -> Integers:
    """Branch and skip, each by its factor, added."""
    e = Engine.EXEC
    rows = state.value(e, "SKIP_ROW") + np.arange(total, dtype=np.int64)
    places, lanes = state.matrix_places(state.value(e, "SKIP_BASE"), state.value(e, "SKIP_SLAB"), rows, columns)
    skip = np.ascontiguousarray(state.beats[places, lanes]).reshape(total, -1).view("<i2").astype(np.int64)
    shifts = state.fields(e, "SHIFTS")
    terms = []
    for name, value in (("branch", branch), ("skip", skip)):
        multiplier = state.joined(e, f"{name.upper()}_LO", f"{name.upper()}_HI")
        terms.append(Dyadic(np.array(multiplier), np.array(shifts[name])).apply(value))
    return terms[0] + terms[1]


def softmax(state: MachineState) -> None:
    """One RUN of VEC.

    Raises
    ------
    MachineError : there is no block of scores, or it has not as many rows and scores, or A ends
    """
    v, arithmetic, bits = Engine.VEC, state.config.arithmetic, state.config.probability_bits
    if not state.blocks:
        raise MachineError(ErrorCode.WATCHDOG, "VEC runs, and there is no block of scores")
    length = state.fields(v, "LENGTH")["length"]
    (scores, masked), rows = state.blocks.pop(0), state.value(v, "ROWS")
    if not 1 <= rows <= len(scores) or length != scores.shape[1]:
        raise MachineError(
            ErrorCode.ILLEGAL_INSTRUCTION,
            f"VEC takes {rows} rows of {length} scores from a block of {len(scores)} rows of {scores.shape[1]}",
        )
    x0, x0_bits = state.value(v, "X0"), state.config.softmax_x0_bits
    if not 1 <= x0 < 1 << x0_bits:
        raise MachineError(ErrorCode.ILLEGAL_INSTRUCTION, f"|x0| of Shiftmax must be 1 to {2**x0_bits - 1}, not {x0}")
    scores = scores[:rows]
    probabilities = integer_softmax(arithmetic, x0, bits).apply(scores, masked[:rows])
    state.observe("probabilities", rows=probabilities)
    words = ceil_div(length, 4)
    padded = np.zeros((len(scores), 4 * words), np.int64)
    padded[:, :length] = probabilities
    base, low = state.value(v, "A_BASE"), state.value(v, "A_LOW")
    parts = [(base, padded)]
    if bits == UNSIGNED_BITS:
        parts = [(base, _wrapped(padded, ELEMENT_BITS))]
    if in_halves(bits):
        lower = ((padded + 128) & 255) - 128
        parts = [(base, (padded - lower) >> 8), (base + low, lower)]
    for start, part in parts:
        state.check_range(start + np.arange(words), state.config.a_depth, "VEC writes A")
        state.a[: len(scores), start : start + words] = part.reshape(len(scores), words, 4)
