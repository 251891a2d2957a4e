"""Scores to Shiftmax to the product with V, as one head of attention runs."""

from typing import Any

import numpy as np
import pytest

from firmware.program.layout import slab_beats
from gateware.config import AcceleratorConfig, config, in_halves
from gateware.isa import Engine, ErrorCode, PostMode
from sim.interpreter.state import MachineError
from sim.reference.rescale import Dyadic, Rescale
from sim.reference.rounding import ceil_div
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftmax import Shiftmax
from tests.sim.interpreter.interpreter_bench import Bench, Integers, factors, int8, product_steps

NAMES = ["tiny", "arty", "eight_bits", "nine_bits", "official"]
CONFIGS = [
    config("tiny"),
    config("arty_a7_35"),
    config("tiny", "lean:softmax_bits=8"),
    config("tiny", "lean:softmax_bits=9"),
    config("tiny", "official"),
]
X0 = 21


class Head:
    """Q in A from 0, K in B from 0, V^T behind it, probabilities in A behind Q."""

    def __init__(self, cfg: AcceleratorConfig, rng: np.random.Generator, tokens: int, width: int) -> None:
        self.bench, self.tokens, self.steps = Bench(cfg, rng), tokens, width // 4
        self.q, self.k, self.v = (int8(rng, tokens, width) for _ in range(3))
        self.words, self.blocks = ceil_div(tokens, 4), ceil_div(tokens, cfg.rows)
        self.score_factor = factors(rng, 1, 30000, 127, cfg.multiplier_bits)
        self.out_factor = factors(rng, 1, 127 * 2 ** (cfg.probability_bits - 1), 127, cfg.multiplier_bits)
        self.v_place, self.p_place = self.words * self.steps, self.blocks * self.steps
        bench = self.bench
        bench.load_a(self.q)
        bench.load_b(self.k)
        padded = np.zeros((width, 4 * self.words), np.int64)
        padded[:, :tokens] = self.v.T
        bench.load_b(padded, self.v_place)
        for place, factor in ((0, self.score_factor), (4, self.out_factor)):
            four = Dyadic(np.repeat(factor.multiplier, 4), np.repeat(factor.shift, 4))
            bench.load_constants(np.zeros(4, np.int64), four, place)
        self.slab = slab_beats(tokens)
        self.out = bench.room(ceil_div(width, 16) * self.slab)

    def rows(self, block: int) -> int:
        r = self.bench.config.rows
        return min(r, self.tokens - block * r)

    def scores(self, block: int, blocks: int = 1) -> None:
        self.bench.registers(
            Engine.EXEC,
            {
                "A_BASE": block * self.steps,
                "A_BLOCK_STRIDE": self.steps,
                "B_BASE": 0,
                "B_TILE_STRIDE": self.steps,
                "STEPS": {"k_steps": self.steps},
                "TILES": self.words,
                "BLOCKS": {"blocks": blocks, "rows_last": self.rows(block + blocks - 1)},
                "POST": {"mode": PostMode.Q8, "to_scores": 1},
                "CONST_BASE": 0,
                "SCORE_LENGTH": self.tokens,
            },
        )
        self.bench.program.run(Engine.EXEC)

    def softmax(self, block: int) -> None:
        self.bench.registers(
            Engine.VEC,
            {
                "X0": X0,
                "LENGTH": self.tokens,
                "ROWS": self.rows(block),
                "A_BASE": self.p_place,
                "A_LOW": self.words,
            },
        )
        self.bench.program.run(Engine.VEC)

    def product(self, block: int) -> None:
        self.bench.registers(
            Engine.EXEC,
            {
                "A_BASE": self.p_place,
                "B_BASE": self.v_place,
                "B_TILE_STRIDE": self.words,
                "STEPS": product_steps(self.bench.config, self.words),
                "TILES": self.steps,
                "BLOCKS": {"blocks": 1, "rows_last": self.rows(block)},
                "POST": {"mode": PostMode.Q8},
                "CONST_BASE": 4,
                "OUT_BASE": self.out,
                "OUT_SLAB": self.slab,
                "OUT_ROW": block * self.bench.config.rows,
            },
        )
        self.bench.program.run(Engine.EXEC)

    def reference(self) -> tuple[Integers, Integers, Integers]:
        """Scores, probabilities, result."""
        cfg = self.bench.config
        arithmetic = cfg.arithmetic
        scores = Rescale(self.score_factor, 8).apply(self.q @ self.k.T)
        unit = Shiftmax(ShiftExp(X0, arithmetic.softmax_n), cfg.probability_bits, arithmetic.softmax_half_up)
        probabilities = unit.apply(scores)
        return scores, probabilities, Rescale(self.out_factor, 8).apply(probabilities @ self.v)


@pytest.mark.parametrize("cfg", CONFIGS, ids=NAMES)
@pytest.mark.parametrize("together", [1, 2])
def test_a_head(cfg: AcceleratorConfig, together: int, rng: np.random.Generator):
    """Tokens that fill neither their last block nor their last word; one or two blocks of scores at a time."""
    head = Head(cfg, rng, 3 * cfg.rows + 2, 32)
    for start in range(0, head.blocks, together):
        head.scores(start, min(together, head.blocks - start))
        for block in range(start, min(start + together, head.blocks)):
            head.softmax(block)
            head.product(block)
    seen: dict[str, list[Integers]] = {"scores": [], "probabilities": []}

    def observe(kind: str, facts: dict[str, Any]) -> None:
        seen[kind].append(facts["rows"])

    head.bench.run(observe)
    scores, probabilities, result = head.reference()
    np.testing.assert_array_equal(np.concatenate(seen["scores"]), scores)
    np.testing.assert_array_equal(np.concatenate(seen["probabilities"]), probabilities)
    np.testing.assert_array_equal(head.bench.read(head.out, head.tokens, 32, 1), result)
    # A factor may be negative; only its sign may leave a result with few values.
    assert len(np.unique(probabilities)) > 5 and len(np.unique(result)) > 20


@pytest.mark.parametrize("cfg", CONFIGS, ids=NAMES)
def test_probabilities_end_in_zeros_and_only_their_rows_change(cfg: AcceleratorConfig, rng: np.random.Generator):
    head = Head(cfg, rng, cfg.rows + 2, 16)
    head.scores(1)
    head.softmax(1)
    a = head.bench.run().state.a
    noise = Bench(cfg, rng).run().state.a
    halves = 1 + in_halves(cfg.probability_bits)
    span = slice(head.p_place, head.p_place + halves * head.words)
    written = a[:2, span].astype(np.int64).reshape(2, halves, 4 * head.words)
    np.testing.assert_array_equal(written[:, :, head.tokens :], 0)
    if cfg.unsigned_probabilities:
        assert (written < 0).any()  # nine bits, of which the reader decides what the last one weighs
        written &= 511
    weights = np.array([256, 1] if halves == 2 else [1])
    _, probabilities, _ = head.reference()
    np.testing.assert_array_equal(
        np.einsum("rhc,h->rc", written[:, :, : head.tokens], weights), probabilities[cfg.rows :]
    )
    np.testing.assert_array_equal(a[2:, span], noise[2:, span])
    np.testing.assert_array_equal(a[:, span.stop :], noise[:, span.stop :])


def test_blocks_of_scores_are_a_queue_of_two(rng: np.random.Generator):
    cfg = CONFIGS[0]
    head = Head(cfg, rng, 2 * cfg.rows, 16)
    head.scores(0)
    head.scores(1)
    head.softmax(0)
    head.scores(0)
    head.bench.run()
    full = Head(cfg, rng, 3 * cfg.rows, 16)
    full.scores(0, 3)
    with pytest.raises(MachineError, match="score memory holds two blocks") as error:
        full.bench.run()
    assert error.value.code is ErrorCode.WATCHDOG
    empty = Head(cfg, rng, 2 * cfg.rows, 16)
    empty.softmax(0)
    with pytest.raises(MachineError, match="there is no block of scores") as error:
        empty.bench.run()
    assert error.value.code is ErrorCode.WATCHDOG


@pytest.mark.parametrize("arithmetic", ["lean:softmax_bits=8", "lean:softmax_bits=9", "official"])
def test_a_machine_without_unsigned_elements_reads_none(arithmetic: str, rng: np.random.Generator):
    bench = Bench(config("tiny", arithmetic), rng)
    bench.registers(
        Engine.EXEC,
        {"STEPS": {"k_steps": 1, "unsigned": 1}, "TILES": 1, "BLOCKS": {"blocks": 1, "rows_last": 1}, "OUT_BASE": 64},
    )
    bench.program.run(Engine.EXEC)
    with pytest.raises(MachineError, match="EXEC reads A unsigned") as error:
        bench.run()
    assert error.value.code is ErrorCode.ILLEGAL_INSTRUCTION
