"""Loads word by word: addresses by loops over the definition, transforms against the reference."""

import itertools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest

from firmware.program.layout import pack_operand, slab_beats
from gateware.config import BEAT_BYTES, AcceleratorConfig, config
from gateware.isa import Engine, LoadTarget, PostMode, Transform
from sim.reference.layernorm import ILayerNorm
from sim.reference.rescale import Dyadic, Rescale
from sim.reference.rounding import ceil_div
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftgelu import ShiftGELU
from tests.sim.interpreter.interpreter_bench import ROW, Bench, Integers, factors, int8

TINY, ARTY, OFFICIAL = config("tiny"), config("arty_a7_35"), config("tiny", "official")


def walk(base: int, levels: list[tuple[int, int]]) -> list[int]:
    """Addresses, the first level fastest."""
    steps = itertools.product(*(range(max(1, count)) for count, _ in reversed(levels)))
    return [base + sum(i * s for i, (_, s) in zip(reversed(at), levels, strict=True)) for at in steps]


def beat(bench: Bench, address: int) -> npt.NDArray[np.int8]:
    """(lane, byte) of a beat of memory."""
    return bench.memory[address * BEAT_BYTES : (address + 1) * BEAT_BYTES].view(np.int8).reshape(4, 4)


@pytest.mark.parametrize("engine", [Engine.LOADT, Engine.LOADB])
def test_descriptors_walk_innermost_first(engine: Engine, rng: np.random.Generator):
    bench = Bench(TINY, rng)
    source = [(3, -2), (1, 77), (2, 50), (4, 9)]
    target = [(4, 1), (3, 40), (2, -5)]
    bench.load(engine, (300, source), (200, target), CONFIG={"target": LoadTarget.B})
    machine = bench.run()
    for address, place in zip(walk(300, source), walk(200, target), strict=True):
        np.testing.assert_array_equal(machine.state.b[place], beat(bench, address))


def test_transpose_exchanges_rows_and_columns_of_a_beat(rng: np.random.Generator):
    bench = Bench(TINY, rng)
    settings = {"target": LoadTarget.B, "transform": Transform.TRANSPOSE}
    bench.load(Engine.LOADB, (300, [(6, 1)]), (20, [(6, 2)]), CONFIG=settings)
    machine = bench.run()
    for n in range(6):
        np.testing.assert_array_equal(machine.state.b[20 + 2 * n], beat(bench, 300 + n).T)


@pytest.mark.parametrize("cfg", [TINY, ARTY], ids=["tiny", "arty"])
@pytest.mark.parametrize("first", [-6, -1, 0, 5])
def test_rows_go_to_their_banks(cfg: AcceleratorConfig, first: int, rng: np.random.Generator):
    """Row r to bank r mod R; rows below 0 and from the limit on are dropped, and disturb nothing. Where rows become 0,
    the destination wraps at 22 bits.
    """
    bench, r, limit, groups, steps = Bench(cfg, rng), cfg.rows, 2 * cfg.rows + 2, 9, 5
    base, stride, k = 7, 11, 3
    bench.load(
        Engine.LOADT,
        (100, [(groups * steps, 1)]),
        (first * ROW + k, [(steps, 1), (groups, 4 * ROW)]),
        A_BASE=base,
        A_BLOCK_STRIDE=stride,
        CONFIG={"target": LoadTarget.A, "row_limit": limit},
    )
    untouched = Bench(cfg, rng).run().state.a
    machine = bench.run()
    want = untouched.copy()
    for group, step, lane in itertools.product(range(groups), range(steps), range(4)):
        row = first + 4 * group + lane
        if 0 <= row < limit:
            want[row % r, base + row // r * stride + k + step] = beat(bench, 100 + group * steps + step)[lane]
    np.testing.assert_array_equal(machine.state.a, want)
    assert (want != untouched).any(axis=-1).sum() > r


def rows_in_b(bench: Bench, groups: int, steps: int, size: int) -> Integers:
    """What a load of row groups, one after another, left at 0 in B."""
    assert bench.machine is not None
    lanes = bench.machine.state.b[: groups * steps].reshape(groups, steps, 4, 4).swapaxes(1, 2)
    typed = np.ascontiguousarray(lanes).view({1: np.int8, 2: np.int16}[size])
    return typed.reshape(4 * groups, -1).astype(np.int64)


def transform(
    bench: Bench,
    base: int,
    shape: tuple[int, int, int],
    source_size: int,
    size: int,
    settings: Mapping[str, int],
    **registers: int | Mapping[str, int],
) -> None:
    """Loads a (rows, channels) matrix from its group `shape[2]` on into B, a row group after another."""
    rows, channels, first = shape
    groups, slab = rows // 4 - first, slab_beats(rows)
    bench.load(
        Engine.LOADT,
        (base + 4 * first, [(4, 1), (channels * source_size // 16, slab), (groups, 4)]),
        (0, [(groups * channels * size // 4, 1)]),
        0,
        CONFIG={"target": LoadTarget.B, **settings},
        GROUPS={"groups": groups, "channels": channels},
        **registers,
    )


@pytest.mark.parametrize("narrow", [0, 1])
@pytest.mark.parametrize(("wide", "low"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize("cfg", [TINY, OFFICIAL], ids=["lean", "official"])
def test_layernorm(cfg: AcceleratorConfig, narrow: int, wide: int, low: int, rng: np.random.Generator):
    bench, rows, channels, first = Bench(cfg, rng), 16, 48, 1
    source_size = 2 - narrow
    limit = 128 if narrow else 32768
    x = rng.integers(-limit, limit, (rows, channels))
    x[5] = 17  # no deviation at all
    bias = rng.integers(-(2**31) + 1, 2**31, channels)
    factor = factors(rng, channels, 2**31, 32767 if wide else 127, cfg.multiplier_bits)
    bench.load_constants(bias, factor, target=LoadTarget.LAYERNORM)
    settings = {"transform": Transform.LAYERNORM, "narrow": narrow, "wide": wide, "low": low}
    transform(bench, bench.matrix(x, source_size), (rows, channels, first), source_size, 1, settings)
    seen = []
    bench.run(lambda kind, facts: seen.append((kind, facts["rows"])))
    want = Rescale(factor, 8 + 8 * wide).apply(ILayerNorm(bias).apply(x))[4 * first :]
    leaves = want if not wide else want % 256 - 128 if low else want // 256
    np.testing.assert_array_equal(rows_in_b(bench, rows // 4 - first, channels // 4, 1), leaves)
    assert [kind for kind, _ in seen] == ["layernorm"]
    np.testing.assert_array_equal(seen[0][1], want)


def test_layernorm_into_a_is_a_matmul_operand(rng: np.random.Generator):
    """Rows of 16 bits through LayerNorm straight into A's blocks, then a product of them."""
    bench, r = Bench(ARTY, rng), ARTY.rows
    tokens, channels, outputs = 20, 32, 8
    x, w = rng.integers(-3000, 3000, (tokens, channels)), int8(rng, outputs, channels)
    bias, factor = rng.integers(-(2**20), 2**20, channels), factors(rng, channels, 2**27, 127, ARTY.multiplier_bits)
    bench.load_constants(bias, factor, target=LoadTarget.LAYERNORM)
    base, groups, steps = bench.matrix(x, 2), tokens // 4, channels // 4
    bench.load(
        Engine.LOADT,
        (base, [(4, 1), (channels // 8, slab_beats(tokens)), (groups, 4)]),
        (0, [(steps, 1), (groups, 4 * ROW)]),
        A_BLOCK_STRIDE=steps,
        CONFIG={"target": LoadTarget.A, "transform": Transform.LAYERNORM, "row_limit": tokens},
        GROUPS={"groups": groups, "channels": channels},
    )
    bench.load_b(w)
    ones = Dyadic(np.ones(outputs, np.int64), np.zeros(outputs, np.int64))
    bench.load_constants(np.zeros(outputs, np.int64), ones)
    slab = slab_beats(tokens)
    out = bench.room(2 * slab)
    bench.registers(
        Engine.EXEC,
        {
            "A_BLOCK_STRIDE": steps,
            "B_TILE_STRIDE": steps,
            "STEPS": {"k_steps": steps},
            "TILES": outputs // 4,
            "BLOCKS": {"blocks": ceil_div(tokens, r), "rows_last": (tokens - 1) % r + 1},
            "POST": {"mode": PostMode.RAW},
            "CONST_TILE_STRIDE": 4,
            "OUT_BASE": out,
            "OUT_SLAB": slab,
        },
    )
    bench.program.run(Engine.EXEC)
    bench.run()
    normalised = Rescale(factor, 8).apply(ILayerNorm(bias).apply(x))
    np.testing.assert_array_equal(bench.read(out, tokens, outputs, 4), normalised @ w.T)


@pytest.mark.parametrize("cfg", [TINY, OFFICIAL], ids=["lean", "official"])
def test_shiftgelu_by_tracked_maxima(cfg: AcceleratorConfig, rng: np.random.Generator):
    """fc1 in two operations that track its rows' maxima, then ShiftGELU as the rows come back: x = a, W = 1."""
    bench, r, rows, channels, row0 = Bench(cfg, rng), cfg.rows, 12, 64, 4
    x = rng.integers(-128, 128, (rows, channels)) >> rng.integers(0, 5, (rows, 1))
    x[2] = -rng.integers(1, 128, channels)  # a row whose maximum is negative
    slab = slab_beats(row0 + rows)
    base = bench.room(channels // 16 * slab)
    ones = Dyadic(np.ones(channels, np.int64), np.zeros(channels, np.int64))
    bench.load_constants(np.zeros(channels, np.int64), ones)
    bench.load_b(np.eye(channels, dtype=np.int64))
    bench.load_a(x)
    steps, tiles = channels // 4, channels // 8
    for part in range(2):
        bench.registers(
            Engine.EXEC,
            {
                "A_BLOCK_STRIDE": steps,
                "B_BASE": part * tiles * steps,
                "B_TILE_STRIDE": steps,
                "STEPS": {"k_steps": steps},
                "TILES": tiles,
                "BLOCKS": {"blocks": ceil_div(rows, r), "rows_last": (rows - 1) % r + 1},
                "POST": {"mode": PostMode.Q8, "track_max": 1, "max_first": int(part == 0)},
                "CONST_BASE": part * tiles * 4,
                "CONST_TILE_STRIDE": 4,
                "OUT_BASE": base + part * tiles // 4 * slab,
                "OUT_SLAB": slab,
                "OUT_ROW": row0,
            },
        )
        bench.program.run(Engine.EXEC)
    x0, factor = 23, factors(rng, 1, 127 * 128, 127, cfg.multiplier_bits)
    multiplier, shift = int(factor.multiplier[0]), int(factor.shift[0])
    first = row0 // 4
    transform(
        bench,
        base,
        (row0 + rows, channels, first),
        1,
        1,
        {"transform": Transform.SHIFTGELU},
        MAX_GROUP=first,
        GELU_CONFIG={"x0": x0, "shift": shift},
        MULTIPLIER_LO=multiplier & 0xFFFFFF,
        MULTIPLIER_HI=multiplier >> 24 & 0xFF,
    )
    bench.run()
    np.testing.assert_array_equal(bench.read(base, row0 + rows, channels, 1)[row0:], x)
    want = Rescale(factor, 8).apply(ShiftGELU(ShiftExp(x0, cfg.arithmetic.gelu_n)).apply(x))
    np.testing.assert_array_equal(rows_in_b(bench, rows // 4, steps, 1), want)


def test_what_was_never_written_is_noise_and_the_same_each_time(rng: np.random.Generator):
    states = [Bench(TINY, rng).run().state for _ in range(2)]
    for name in ("a", "b", "constants", "norm_constants", "maxima"):
        first, second = (getattr(state, name) for state in states)
        np.testing.assert_array_equal(first, second)
        assert len(np.unique(first)) > 50


def test_the_bench_packs_operands_as_loads_read_them(rng: np.random.Generator):
    """The order of `pack_operand`, by its definition: row groups outside, steps inside."""
    operand = int8(rng, 6, 8)
    lanes = pack_operand(operand).view(np.int8).reshape(-1, 4, 4)
    for group, step, lane in itertools.product(range(2), range(2), range(4)):
        row = 4 * group + lane
        want = operand[row, 4 * step : 4 * step + 4] if row < 6 else np.zeros(4)
        np.testing.assert_array_equal(lanes[2 * group + step, lane], want)
