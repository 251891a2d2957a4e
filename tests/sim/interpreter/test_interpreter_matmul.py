"""EXEC word by word, against the reference's operations."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from firmware.program.layout import slab_beats
from gateware.config import BEAT_BYTES, AcceleratorConfig, config
from gateware.isa import Engine, PostMode
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import ceil_div
from tests.sim.interpreter.interpreter_bench import Bench, Integers, factors, int8

TINY, ARTY, OFFICIAL = config("tiny"), config("arty_a7_35"), config("tiny", "official")
SIZES = {PostMode.RAW: 4, PostMode.Q8: 1, PostMode.Q16: 2, PostMode.RESIDUAL: 2}


def halves_of(value: int) -> tuple[int, int]:
    return value & 0xFFFFFF, value >> 24 & 0xFF


def execute(
    bench: Bench,
    shape: tuple[int, int, int],
    post: dict[str, int],
    out: int,
    slab: int,
    **registers: int | Mapping[str, int],
) -> None:
    """An EXEC of (rows, steps, tiles), operands at 0."""
    (rows, steps, tiles), r = shape, bench.config.rows
    bench.registers(
        Engine.EXEC,
        {
            "A_BLOCK_STRIDE": steps,
            "B_TILE_STRIDE": steps,
            "STEPS": {"k_steps": steps},
            "TILES": tiles,
            "BLOCKS": {"blocks": ceil_div(rows, r), "rows_last": (rows - 1) % r + 1},
            "POST": post,
            "CONST_TILE_STRIDE": 4,
            "OUT_BASE": out,
            "OUT_SLAB": slab,
            **registers,
        },
    )
    bench.program.run(Engine.EXEC)


def expected(mode: PostMode, value: Integers, factor: Dyadic) -> Integers:
    if mode is PostMode.RAW:
        return value
    if mode is PostMode.Q8:
        return Rescale(factor, 8).apply(value)
    return Rescale(factor, 16).apply(value)


@pytest.mark.parametrize("cfg", [TINY, ARTY, OFFICIAL], ids=["tiny", "arty", "official"])
@pytest.mark.parametrize("mode", list(PostMode))
def test_a_matrix_product(cfg: AcceleratorConfig, mode: PostMode, rng: np.random.Generator):
    rows, steps, tiles, first_row, above = 2 * cfg.rows + 3, 7, 5, 2, 6
    bench = Bench(cfg, rng)
    x, w = int8(rng, rows, 4 * steps), int8(rng, 4 * tiles, 4 * steps)
    bias = rng.integers(-5000, 5000, 4 * tiles)
    bits = cfg.multiplier_bits
    limit = 127 if mode is PostMode.Q8 else 32767
    factor = factors(rng, 4 * tiles, 30000, limit, bits)
    value = x @ w.T + bias
    want = expected(mode, value, factor)

    size, total = SIZES[mode], above + rows
    columns, slab = 16 // size, slab_beats(total)  # elements of a slab; the product begins one beat column into it
    before = rng.integers(-100, 100, (total, columns * (tiles * size // 4 + 2)))
    out, margin = bench.matrix(before, size), 4 // size
    registers: dict[str, int | Mapping[str, int]] = {"OUT_ROW": first_row, "CONST_BASE": 9}
    if mode is PostMode.RESIDUAL:
        skip = rng.integers(-32768, 32768, (total, columns * (tiles * size // 4 + 2)))
        branch_factor, skip_factor = (factors(rng, 1, 32768, 20000, bits) for _ in range(2))
        want = ResidualAdd(branch_factor, skip_factor).apply(
            want, skip[first_row : first_row + rows, 3 * margin : 3 * margin + 4 * tiles]
        )
        (registers["BRANCH_LO"], registers["BRANCH_HI"]), (registers["SKIP_LO"], registers["SKIP_HI"]) = (
            halves_of(int(f.multiplier[0])) for f in (branch_factor, skip_factor)
        )
        registers["SHIFTS"] = {"branch": int(branch_factor.shift[0]), "skip": int(skip_factor.shift[0])}
        registers |= {"SKIP_BASE": bench.matrix(skip, 2) + 3, "SKIP_SLAB": slab, "SKIP_ROW": first_row}

    bench.load_a(x, 3, steps + 2)
    bench.load_b(w, 5, steps + 1)
    bench.load_constants(bias, factor, 9)
    execute(
        bench,
        (rows, steps, tiles),
        {"mode": mode},
        out + 1,
        slab,
        A_BASE=3,
        A_BLOCK_STRIDE=steps + 2,
        B_BASE=5,
        B_TILE_STRIDE=steps + 1,
        **registers,
    )
    bench.run()
    # Everything around the product stays as it was, the rows of its first and last row groups included.
    after = before.copy()
    after[first_row : first_row + rows, margin : margin + 4 * tiles] = want
    np.testing.assert_array_equal(bench.read(out, total, before.shape[1], size), after)
    assert len(np.unique(want)) > 20


def test_clamp_packed_stops_at_minus_127(rng: np.random.Generator):
    bench = Bench(TINY, rng)
    x, w = np.full((4, 4), -100), np.full((4, 4), 100)
    bench.load_a(x)
    bench.load_b(w)
    bench.load_constants(np.zeros(4, np.int64), Dyadic(np.full(4, 1), np.zeros(4, np.int64)))
    out = bench.room(8)
    execute(bench, (4, 1, 1), {"mode": PostMode.Q8}, out, 4)
    execute(bench, (4, 1, 1), {"mode": PostMode.Q8, "clamp_packed": 1}, out + 4, 4)
    bench.run()
    assert bench.read(out, 4, 4, 1).tolist() == [[-128] * 4] * 4
    assert bench.read(out + 4, 4, 4, 1).tolist() == [[-127] * 4] * 4


def test_one_record_can_serve_every_tile(rng: np.random.Generator):
    bench = Bench(TINY, rng)
    x, w = int8(rng, 4, 8), int8(rng, 12, 8)
    bench.load_a(x)
    bench.load_b(w)
    bias, factor = rng.integers(-99, 99, 4), factors(rng, 4, 30000, 127, TINY.multiplier_bits)
    bench.load_constants(bias, factor)
    out = bench.room(4)
    execute(bench, (4, 2, 3), {"mode": PostMode.Q8}, out, 4, CONST_TILE_STRIDE=0)
    bench.run()
    repeated = Rescale(Dyadic(np.tile(factor.multiplier, 3), np.tile(factor.shift, 3)), 8)
    np.testing.assert_array_equal(bench.read(out, 4, 12, 1), repeated.apply(x @ w.T + np.tile(bias, 3)))


def test_halves_make_sixteen_bit_operands(rng: np.random.Generator):
    rows, steps = TINY.rows + 2, 5
    bench = Bench(TINY, rng)
    high, low, w = int8(rng, rows, 4 * steps), rng.integers(-128, 128, (rows, 4 * steps)), int8(rng, 8, 4 * steps)
    bench.load_a(np.concatenate([high, low], axis=1))
    bench.load_b(w)
    bench.load_constants(np.zeros(8, np.int64), Dyadic(np.ones(8, np.int64), np.zeros(8, np.int64)))
    out, slab = bench.room(2 * slab_beats(rows)), slab_beats(rows)
    execute(
        bench,
        (rows, steps, 2),
        {"mode": PostMode.RAW},
        out,
        slab,
        A_BLOCK_STRIDE=2 * steps,
        STEPS={"k_steps": steps, "halves": 1},
    )
    bench.run()
    np.testing.assert_array_equal(bench.read(out, rows, 8, 4), (256 * high + low) @ w.T)


@pytest.mark.parametrize("width", [24, 26, 32])
def test_accumulators_wrap_at_their_width(width: int, rng: np.random.Generator):
    """Before the bias is added; the sum with it wraps at 32 bits."""
    cfg = dataclasses.replace(TINY, acc_width=width)
    steps = 200
    bench = Bench(cfg, rng)
    x, w = np.full((4, 4 * steps), 127), np.full((4, 4 * steps), 127)
    bench.load_a(x)
    bench.load_b(w)
    bias = np.array([0, 1, 2**31 - 1, -(2**31)])
    bench.load_constants(bias, Dyadic(np.ones(4, np.int64), np.zeros(4, np.int64)))
    out = bench.room(4)
    execute(bench, (4, steps, 1), {"mode": PostMode.RAW}, out, 4)
    bench.run()
    exact = 4 * steps * 127 * 127
    acc = (exact + 2 ** (width - 1)) % 2**width - 2 ** (width - 1)
    assert (acc == exact) == (width != 24)
    want = [(acc + int(b) + 2**31) % 2**32 - 2**31 for b in bias]
    assert bench.read(out, 4, 4, 4).tolist() == [want] * 4


def test_a_word_is_four_rows_of_four_columns(rng: np.random.Generator):
    """The bytes of a result, one by one: lane l holds row l, little endian."""
    bench = Bench(TINY, rng)
    bench.load_a(np.diag([1, 2, 3, 4]))
    bench.load_b(np.arange(16).reshape(4, 4))
    bench.load_constants(np.zeros(4, np.int64), Dyadic(np.ones(4, np.int64), np.zeros(4, np.int64)))
    out = bench.room(4)
    execute(bench, (4, 1, 1), {"mode": PostMode.Q8}, out, 4)
    bench.run()
    beat = bench.memory[out * BEAT_BYTES : (out + 1) * BEAT_BYTES]
    assert beat.tolist() == [(row + 1) * (4 * column + row) for row in range(4) for column in range(4)]
