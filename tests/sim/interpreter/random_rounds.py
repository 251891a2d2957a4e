"""What rounds of random operations share: halves of the buffers, semaphores, operands, places for results."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.program.layout import slab_beats
from gateware.config import AcceleratorConfig
from gateware.isa import Engine
from sim.reference.rounding import ceil_div
from tests.sim.interpreter.interpreter_bench import Bench, factors, int8

Registers = dict[str, int | Mapping[str, int]]
# Semaphores of loads and buffers; those with two numbers are one a half of the buffers.
LOADED, FREE_OPERANDS, FREE_ALL = (1, 2), (3, 4), (11, 12)


class RandomRounds:
    """Rounds, each in the half of the buffers that the round before does not use: loads, then EXEC.

    Loads of a round wait until EXEC needs nothing more of what its half held; EXEC waits for the round's loads. What a
    round takes from the result of the one before (ShiftGELU, skip) it waits for.

    Parameters
    ----------
    config : the machine
    rng : what is drawn from
    """

    def __init__(self, config: AcceleratorConfig, rng: np.random.Generator) -> None:
        self.config, self.rng, self.bench = config, rng, Bench(config, rng)
        self.rounds = self.loads = 0
        self.norms = self.tracked = 0

    @property
    def half(self) -> int:
        return self.rounds % 2

    def draw(self, low: int, high: int) -> int:
        """An integer of low .. high."""
        return int(self.rng.integers(low, high + 1))

    def place(self, depth: int) -> int:
        """Where this round's half of a buffer begins."""
        return self.half * (depth // 2)

    def begin(self) -> None:
        """What loads wait for: the half is free."""
        self.loads = 0
        if self.rounds >= 2:
            self.bench.program.wait(Engine.LOADT, FREE_OPERANDS[self.half])
            self.bench.program.wait(Engine.LOADB, FREE_ALL[self.half])

    def loaded(self) -> int:
        """The semaphore that a load of this round gives."""
        self.loads += 1
        return LOADED[self.half]

    def shape(self) -> tuple[int, int, int]:
        """Rows, steps and tiles that fit a half."""
        half = min(self.config.a_depth, self.config.b_depth) // 2
        steps = self.draw(1, 16)
        rows = self.draw(1, min(4, half // (2 * steps)) * self.config.rows)
        return rows, steps, self.draw(1, min(8, half // (2 * steps)))

    def constants(self, channels: int, limit: int, spread: float) -> int:
        """Random constants of that many channels; their place."""
        place = self.place(self.config.const_depth)
        bias = self.rng.integers(-20000, 20000, channels)
        factor = factors(self.rng, channels, spread, limit, self.config.multiplier_bits)
        self.bench.load_constants(bias, factor, place, done=self.loaded())
        return place

    def execute(self, shape: tuple[int, int, int], registers: Registers, **semaphores: int) -> None:
        """EXEC of (rows, steps, tiles), once its loads are there. It gives its half of the buffers back."""
        (rows, steps, tiles), r = shape, self.config.rows
        self.bench.registers(
            Engine.EXEC,
            {
                "A_BASE": self.place(self.config.a_depth),
                "A_BLOCK_STRIDE": steps,
                "B_BASE": self.place(self.config.b_depth),
                "B_TILE_STRIDE": steps,
                "STEPS": {"k_steps": steps},
                "TILES": tiles,
                "BLOCKS": {"blocks": ceil_div(rows, r), "rows_last": (rows - 1) % r + 1},
                "CONST_TILE_STRIDE": 4,
                "OUT_ROW": 0,
                **registers,
            },
        )
        if self.loads:
            self.bench.program.wait(Engine.EXEC, LOADED[self.half], self.loads)
            self.loads = 0
        self.bench.program.run(Engine.EXEC, **semaphores)

    def free(self) -> dict[str, int]:
        """Operands are free once they are read, constants only when all results are written."""
        return {"read": FREE_OPERANDS[self.half], "written2": FREE_ALL[self.half]}

    def results(self, rows: int, tiles: int, size: int) -> Registers:
        """A place for results, somewhere within a matrix."""
        row, first = self.draw(0, 6), self.draw(0, 3) if size < 4 else 0
        first -= first % size
        slab = slab_beats(row + rows) + 4 * self.draw(0, 2)
        out = self.bench.room((1 + tiles * size // 4 + 1) * slab) + first
        return {"OUT_BASE": out, "OUT_SLAB": slab, "OUT_ROW": row}

    def operands(self, rows: int, steps: int, tiles: int) -> int:
        """Both by plain loads; the stride of A's blocks."""
        stride = steps + self.draw(0, 3)
        self.bench.load_a(int8(self.rng, rows, 4 * steps), self.place(self.config.a_depth), stride, self.loaded())
        self.weights(steps, tiles)
        return stride

    def weights(self, steps: int, tiles: int) -> None:
        weights = int8(self.rng, 4 * tiles, 4 * steps)
        self.bench.load_b(weights, self.place(self.config.b_depth), steps, self.loaded())
