"""EXEC tells of results in the order of its operations: a store is not overtaken by scores, however slow memory is."""

import numpy as np
import pytest

from firmware.program.layout import slab_beats
from gateware.config import BEAT_BYTES, config
from gateware.isa import Engine, LoadTarget, PostMode, loop_registers
from sim.emulator.emulation import Emulation, RunState
from sim.emulator.machine import emulated_machine
from sim.emulator.profiles import PROFILES, MemoryProfile
from sim.emulator.random_memory import random_memory
from sim.interpreter.machine import Interpreter
from tests.sim.interpreter.interpreter_bench import Bench, factors, int8

TINY = config("tiny")
LIMIT = 1_000_000
ROUNDS = 12
STEPS = 4  # of every product: a slab of its result is an operand of as many
PLACE = 200  # of what is loaded again, in B, and of probabilities, in A
LOADED, STORED, SCORED, LOADED_AGAIN = 1, 2, 3, 4
FREE = {Engine.LOADT: 5, Engine.LOADB: 6}
PORTS = ("written", "written2")
RANDOM_MEMORIES = 20


class HandWritten:
    """Rounds of a program whose words stand where nothing but semaphores holds an engine up."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.bench, self.rounds = rng, Bench(TINY, rng), 0

    def draw(self, low: int, high: int) -> int:
        """An integer of low .. high."""
        return int(self.rng.integers(low, high + 1))

    def operands(self, rows: int, tiles: int) -> None:
        """Operands and constants of operation 1, once the round before needs its own no more."""
        rng, bench = self.rng, self.bench
        if self.rounds:
            for engine, semaphore in FREE.items():
                bench.program.wait(engine, semaphore)
        bench.load_a(int8(rng, rows, 4 * STEPS), 0, STEPS, LOADED)
        bench.load_b(int8(rng, 4 * tiles, 4 * STEPS), 0, STEPS, LOADED)
        factor = factors(rng, 4 * tiles, 60000, 127, TINY.multiplier_bits)
        bench.load_constants(rng.integers(-20000, 20000, 4 * tiles), factor, done=LOADED)

    def round(self) -> None:
        """Operation 1 stores, operation 2 goes to the score memory, and both give one semaphore. LOADB waits for one
        count and loads what operation 1 stores last, which is an operand of operation 3.
        """
        bench, program = self.bench, self.bench.program
        tiles, blocks, words = 4 * self.draw(1, 6), self.draw(1, 2), self.draw(1, 2)
        # A block that begins in the middle of a row group is stored as two: more beats wait for memory.
        rows, first = blocks * TINY.rows, self.draw(0, 3)
        slab = slab_beats(first + rows)
        stale = int8(self.rng, BEAT_BYTES * tiles // 4 * slab).astype(np.int8)
        out, again = bench.place(stale.view(np.uint8)), bench.room(slab)
        self.operands(rows, tiles)
        last = out + (tiles // 4 - 1) * slab + (first + rows - 1) // 4 * 4
        bench.registers(Engine.LOADB, {"SRC_BASE": last, "DST_BASE": PLACE})
        bench.registers(Engine.LOADB, {**loop_registers("SRC", [(4, 1)]), **loop_registers("DST", [(4, 1)])})
        bench.registers(Engine.LOADB, {"CONFIG": {"target": LoadTarget.B}})
        bench.registers(
            Engine.EXEC,
            {
                "A_BLOCK_STRIDE": STEPS,
                "B_BASE": 0,
                "B_TILE_STRIDE": STEPS,
                "STEPS": {"k_steps": STEPS},
                "TILES": tiles,
                "BLOCKS": {"blocks": blocks, "rows_last": TINY.rows},
                "CONST_TILE_STRIDE": 4,
                "SCORE_LENGTH": 4 * words,
                "OUT_BASE": out,
                "OUT_SLAB": slab,
                "OUT_ROW": first,
                "POST": {"mode": PostMode.Q8, "clamp_packed": 1},
            },
        )
        program.wait(Engine.EXEC, LOADED, 3)
        port = self.draw(0, 1)
        program.run(Engine.EXEC, **{PORTS[self.draw(0, 1)]: STORED})
        bench.registers(Engine.EXEC, {"TILES": words, "BLOCKS": {"blocks": 1, "rows_last": TINY.rows}})
        bench.registers(Engine.EXEC, {"POST": {"mode": PostMode.Q8, "to_scores": 1}})
        program.run(Engine.EXEC, **{PORTS[port]: STORED, PORTS[1 - port]: SCORED})
        program.wait(Engine.LOADB, STORED)
        program.run(Engine.LOADB, done=LOADED_AGAIN)
        program.wait(Engine.LOADB, STORED)
        program.wait(Engine.VEC, SCORED)
        bench.registers(Engine.VEC, {"X0": 20, "LENGTH": {"length": 4 * words}, "ROWS": TINY.rows, "A_BASE": PLACE})
        program.run(Engine.VEC)
        bench.registers(Engine.EXEC, {"B_BASE": PLACE, "TILES": 1, "POST": {"mode": PostMode.RAW}, "OUT_BASE": again})
        program.wait(Engine.EXEC, LOADED_AGAIN)
        program.run(Engine.EXEC, written=FREE[Engine.LOADT], written2=FREE[Engine.LOADB])
        self.rounds += 1


@pytest.fixture(scope="module")
def hand_written() -> tuple[np.ndarray, int, np.ndarray]:
    """Memory before the program, its address, and memory behind it."""
    program = HandWritten(np.random.default_rng(1))
    for _ in range(ROUNDS):
        program.round()
    bench = program.bench
    bench.program.end()
    start = bench.place(bench.program.words().view(np.uint8))
    before = bench.memory.copy()
    Interpreter(TINY, bench.memory).run(start)
    return before, start, bench.memory


@pytest.fixture(scope="module")
def board():
    with emulated_machine(TINY) as emulation:
        yield emulation


@pytest.mark.parametrize(
    "timing", [*dict.fromkeys(PROFILES.values()), *map(random_memory, range(RANDOM_MEMORIES))], ids=lambda one: one.name
)
def test_a_store_is_told_before_the_scores_behind_it(
    timing: MemoryProfile, board: Emulation, hand_written: tuple[np.ndarray, int, np.ndarray]
):
    before, start, expected = hand_written
    board.replace_memory(timing)
    board.write_memory(0, before.tobytes())
    board.start(start)
    assert board.run(LIMIT) is RunState.DONE, f"the machine stopped with {board.error}"
    got = np.frombuffer(board.read_memory(0, len(expected)), np.uint8)
    different = np.flatnonzero(got != expected)
    assert not len(different), f"{len(different)} bytes differ, the first in beat {different[0] // 16}"
