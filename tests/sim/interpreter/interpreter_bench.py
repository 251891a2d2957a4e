"""A machine, its memory and a hand-written program, for tests of the interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware.program.assembler import Assembler
from firmware.program.layout import beat_columns, pack_matrix, pack_operand, slab_beats, unpack_matrix
from gateware.config import BEAT_BYTES, AcceleratorConfig, in_halves
from gateware.isa import Engine, LoadTarget, loop_registers
from sim.interpreter.machine import Interpreter
from sim.interpreter.state import Observer
from sim.reference.rescale import Dyadic
from sim.reference.rounding import ceil_div

Integers = npt.NDArray[np.int64]
ROW = 1 << 10  # of a destination in A
BEATS = 1 << 14


def product_steps(config: AcceleratorConfig, steps: int) -> dict[str, int]:
    """EXEC's register STEPS for a product with the machine's probabilities."""
    halves, unsigned = in_halves(config.probability_bits), config.unsigned_probabilities
    return {"k_steps": steps, "halves": int(halves), "unsigned": int(unsigned)}


class Bench:
    """Memory of noise, in which operands find places; programs are assembled behind them.

    `machine` is the one that ran last.
    """

    def __init__(self, config: AcceleratorConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.memory = rng.integers(0, 256, BEATS * BEAT_BYTES, dtype=np.uint8)
        self.program = Assembler(config)
        self.machine: Interpreter | None = None
        self._free = 8

    def room(self, beats: int) -> int:
        """The beat address of that much memory, a multiple of 4."""
        base, self._free = self._free, self._free + ceil_div(beats, 4) * 4
        assert self._free < BEATS
        return base

    def place(self, content: npt.NDArray[np.uint8]) -> int:
        base = self.room(ceil_div(len(content), BEAT_BYTES))
        self.memory[base * BEAT_BYTES : base * BEAT_BYTES + len(content)] = content
        return base

    def matrix(self, values: npt.NDArray[Any], size: int) -> int:
        return self.place(pack_matrix(values, size))

    def read(self, base: int, rows: int, columns: int, size: int) -> Integers:
        slabs = ceil_div(beat_columns(columns, size), 4)
        content = self.memory[base * BEAT_BYTES : (base + slabs * slab_beats(rows)) * BEAT_BYTES]
        return unpack_matrix(content, rows, columns, size)

    def registers(self, engine: Engine, values: Mapping[str, int | Mapping[str, int]]) -> None:
        for name, value in values.items():
            self.program.set(engine, name, value)

    def load(
        self,
        engine: Engine,
        source: tuple[int, Sequence[tuple[int, int]]],
        destination: tuple[int, Sequence[tuple[int, int]]],
        done: int = 0,
        **registers: int | Mapping[str, int],
    ) -> None:
        """A load by (base, levels of (count, stride)), innermost first, which gives the semaphore `done`."""
        self.registers(engine, {"SRC_BASE": source[0], "DST_BASE": destination[0] % (1 << 22)})
        self.registers(engine, loop_registers("SRC", source[1]))
        self.registers(engine, loop_registers("DST", destination[1]))
        self.registers(engine, registers)
        self.program.run(engine, done=done)

    def load_a(self, operand: npt.NDArray[Any], place: int = 0, stride: int | None = None, done: int = 0) -> None:
        """int8 (rows, 4 * steps) into A, one step a word."""
        rows, steps = operand.shape[0], operand.shape[1] // 4
        groups = ceil_div(rows, 4)
        self.load(
            Engine.LOADT,
            (self.place(pack_operand(operand)), [(groups * steps, 1)]),
            (0, [(steps, 1), (groups, 4 * ROW)]),
            done,
            A_BASE=place,
            A_BLOCK_STRIDE=steps if stride is None else stride,
            CONFIG={"target": LoadTarget.A, "row_limit": rows},
        )

    def load_b(self, operand: npt.NDArray[Any], place: int = 0, stride: int | None = None, done: int = 0) -> None:
        """int8 (columns of the result, 4 * steps) into B, a tile after another."""
        steps, tiles = operand.shape[1] // 4, ceil_div(operand.shape[0], 4)
        self.load(
            Engine.LOADB,
            (self.place(pack_operand(operand)), [(tiles * steps, 1)]),
            (place, [(steps, 1), (tiles, steps if stride is None else stride)]),
            done,
            CONFIG={"target": LoadTarget.B},
        )

    def load_constants(
        self,
        bias: Integers,
        factor: Dyadic,
        place: int = 0,
        target: LoadTarget = LoadTarget.CONSTANTS,
        done: int = 0,
    ) -> None:
        """One record a channel."""
        count = len(bias)
        base = self.place(records(bias, factor))
        self.load(Engine.LOADB, (base, [(count, 1)]), (place, [(count, 1)]), done, CONFIG={"target": target})

    def run(self, observer: Observer | None = None) -> Interpreter:
        """Ends the program and runs it; the next one begins empty."""
        self.program.end()
        start = self.place(self.program.words().view(np.uint8))
        words = len(self.program)
        self.program = Assembler(self.config)
        self.machine = Interpreter(self.config, self.memory, observer)
        assert self.machine.run(start) == words
        return self.machine


def records(bias: Integers, factor: Dyadic) -> npt.NDArray[np.uint8]:
    """Beats of {bias, multiplier, shift}, as docs/isa.md has them."""
    words = np.zeros((len(bias), 4), "<i4")
    words[:, 0], words[:, 1], words[:, 2] = bias, factor.multiplier, factor.shift
    return words.view(np.uint8).reshape(-1)


def factors(rng: np.random.Generator, count: int, spread: float, limit: int, bits: int) -> Dyadic:
    """Factors, some negative, that take values of that spread to somewhat beyond `limit`."""
    ratio = 1.5 * limit / spread * rng.uniform(0.3, 1.0, count) * rng.choice([-1, 1], count)
    return Dyadic.from_ratio(ratio.astype(np.float32), np.float32(1), bits).normalised(bits)


def int8(rng: np.random.Generator, *shape: int) -> Integers:
    """The whole range but -128, as packed operands are."""
    return rng.integers(-127, 128, shape)
