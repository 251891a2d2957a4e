"""A program by hand without one of its WAITs: the board tells which memory two operations use in the wrong order."""

import numpy as np
import pytest

from firmware.program.layout import slab_beats
from gateware.config import config
from gateware.isa import Engine, LoadTarget, PostMode, Transform, encode, register
from sim.emulator.emulation import Emulation, RunState
from sim.emulator.machine import emulated_machine
from sim.watched import ContractViolation
from tests.sim.interpreter.interpreter_bench import ROW, Bench, factors, int8

TINY = config("tiny")
ROWS, TILES, STEPS = TINY.rows, 2, 4
LIMIT = 100_000
LONG = 150  # beats that are loaded before what comes late
ELSEWHERE = 100  # in A and B: what no operation reads
LATE = {"operand A": Engine.LOADT, "operand B": Engine.LOADB, "constants": Engine.LOADB, "row map": Engine.LOADB}
SEMAPHORES = {name: number for number, name in enumerate([*LATE, "memory", "row maxima", "scores"], start=1)}


class Program:
    """Loads, a product that is stored by the row map and keeps row maxima, and one that goes to the scores; then what
    uses their results. One memory's writer may come late, and who uses it may not wait for it.
    """

    def __init__(self, late: str = "", unwaited: str = "") -> None:
        self.rng = np.random.default_rng(1)
        self.bench, self.unwaited = Bench(TINY, self.rng), unwaited
        for name in sorted(LATE, key=lambda name: name == late):
            if name == late:
                self.long_load(LATE[name])
            self.load(name)
        self.products()
        self.users()

    def wait(self, engine: Engine, *names: str) -> None:
        for name in names:
            if name != self.unwaited:
                self.bench.program.wait(engine, SEMAPHORES[name])

    def long_load(self, engine: Engine) -> None:
        target = LoadTarget.A if engine is Engine.LOADT else LoadTarget.B
        rows = {"A_BASE": ELSEWHERE} if engine is Engine.LOADT else {}
        limit = {"row_limit": 4} if engine is Engine.LOADT else {}
        base = self.bench.room(LONG)
        levels = [(8, 1), (LONG // 8, 0)]
        place = 0 if engine is Engine.LOADT else ELSEWHERE
        self.bench.load(engine, (base, levels), (place, levels), CONFIG={"target": target, **limit}, **rows)

    def load(self, name: str) -> None:
        bench, rng, done = self.bench, self.rng, SEMAPHORES[name]
        if name == "operand A":
            bench.load_a(int8(rng, ROWS, 4 * STEPS), 0, STEPS, done)
        elif name == "operand B":
            bench.load_b(int8(rng, 4 * TILES, 4 * STEPS), 0, STEPS, done)
        elif name == "constants":
            factor = factors(rng, 4 * TILES, 60000, 127, TINY.multiplier_bits)
            bench.load_constants(rng.integers(-20000, 20000, 4 * TILES), factor, done=done)
        else:
            entries = np.zeros((ROWS, 16), np.uint8)
            entries[:, 0] = rng.permutation(ROWS)
            levels = [(ROWS, 1)]
            source = (bench.place(entries.reshape(-1)), levels)
            bench.load(Engine.LOADB, source, (0, levels), done, CONFIG={"target": LoadTarget.ROW_MAP})

    def products(self) -> None:
        bench, slab = self.bench, slab_beats(ROWS)
        self.stored = bench.room(2 * slab)
        bench.registers(
            Engine.EXEC,
            {
                "A_BLOCK_STRIDE": STEPS,
                "B_TILE_STRIDE": STEPS,
                "STEPS": {"k_steps": STEPS},
                "TILES": TILES,
                "BLOCKS": {"blocks": 1, "rows_last": ROWS},
                "CONST_TILE_STRIDE": 4,
                "SCORE_LENGTH": 4 * TILES,
                "OUT_BASE": self.stored,
                "OUT_SLAB": slab,
                "POST": {"mode": PostMode.Q8, "clamp_packed": 1, "scatter": 1, "track_max": 1, "max_first": 1},
            },
        )
        self.wait(Engine.EXEC, *LATE)
        bench.program.run(Engine.EXEC, written=SEMAPHORES["memory"], written2=SEMAPHORES["row maxima"])
        bench.registers(Engine.EXEC, {"POST": {"mode": PostMode.Q8, "to_scores": 1}})
        bench.program.run(Engine.EXEC, written=SEMAPHORES["scores"])

    def users(self) -> None:
        bench = self.bench
        self.wait(Engine.LOADB, "memory")
        levels = [(4, 1)]
        bench.load(Engine.LOADB, (self.stored, levels), (ELSEWHERE, levels), CONFIG={"target": LoadTarget.B})
        self.wait(Engine.LOADT, "row maxima")
        bench.load(
            Engine.LOADT,
            (bench.matrix(int8(self.rng, 4, 4), 1), [(1, 1)]),
            (0, [(1, 1), (1, 4 * ROW)]),
            A_BASE=ELSEWHERE,
            CONFIG={"target": LoadTarget.A, "transform": Transform.SHIFTGELU, "row_limit": 4},
            GROUPS={"groups": 1, "channels": 4},
            GELU_CONFIG={"x0": 20, "shift": 30},
            MULTIPLIER_LO=1000,
        )
        self.wait(Engine.VEC, "scores")
        bench.registers(Engine.VEC, {"X0": 20, "LENGTH": {"length": 4 * TILES}, "ROWS": ROWS, "A_BASE": ELSEWHERE + 8})
        bench.program.run(Engine.VEC)


@pytest.fixture(scope="module")
def board():
    with emulated_machine(TINY) as emulation:
        yield emulation


def run(board: Emulation, bench: Bench, late_words: tuple[int, ...] = ()) -> RunState:
    for word in late_words:
        bench.program._words.append(word)  # past the assembler's checks
    bench.program.end()
    start = bench.place(bench.program.words().view(np.uint8))
    board.reset()
    board.write_memory(0, bench.memory.tobytes())
    board.start(start)
    return board.run(LIMIT)


@pytest.mark.parametrize("late", ["", *LATE])
def test_with_all_its_waits_the_program_ends(board: Emulation, late: str):
    assert run(board, Program(late).bench) is RunState.DONE, f"the machine stopped with {board.error}"


@pytest.mark.parametrize("memory", SEMAPHORES)
def test_a_wait_that_is_left_out_is_told_with_the_memory(board: Emulation, memory: str):
    with pytest.raises(ContractViolation, match=f"{memory}: operations keep the order of the program, but word"):
        run(board, Program(memory, unwaited=memory).bench)


def test_a_log_that_moves_after_a_mark_is_told(board: Emulation):
    bench = Bench(TINY, np.random.default_rng(1))
    bench.program.set(Engine.CONTROL, "LOG_BASE", bench.room(16))
    bench.program.mark(0)
    late = encode(Engine.CONTROL, register(Engine.CONTROL, "LOG_BASE").number, bench.room(16))
    with pytest.raises(ContractViolation, match="Fetch: LOG_BASE is set before the first MARK"):
        run(board, bench, (late,))
