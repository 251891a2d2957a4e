"""Registers, semaphores, MARK, END and errors."""

import itertools
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from firmware.program.assembler import Assembler
from gateware.config import BEAT_BYTES, config
from gateware.isa import Engine, ErrorCode, LoadTarget, Op, PostMode, encode
from sim.interpreter.machine import Interpreter
from sim.interpreter.state import MachineError
from tests.sim.interpreter.interpreter_bench import Bench

TINY = config("tiny")


def run_words(words: list[int], beats: int = 64) -> Interpreter:
    """Runs raw words from beat 1 on; everything else is 0."""
    memory = np.zeros(beats * BEAT_BYTES, np.uint8)
    memory[BEAT_BYTES : BEAT_BYTES + 4 * len(words)] = np.array(words, "<u4").view(np.uint8)
    machine = Interpreter(TINY, memory)
    machine.run(1)
    return machine


def words_of(body: Callable[[Assembler], None]) -> list[int]:
    program = Assembler(TINY)
    body(program)
    return [int(word) for word in program.words()[: len(program)]]


END = encode(Engine.CONTROL, Op.END, 0)
PREAMBLE = words_of(lambda _: None)


@pytest.mark.parametrize(
    "word",
    [
        encode(Engine.LOADB, 17, 0),
        encode(Engine.EXEC, 22, 0),
        encode(Engine.VEC, 5, 0),
        encode(Engine.LOADT, Op.MARK, 0),
        encode(Engine.EXEC, 28, 0),
        encode(Engine.VEC, Op.END, 0),
        encode(Engine.CONTROL, Op.RUN, 0),
        encode(Engine.CONTROL, 3, 0),
        4 << 29,
    ],
)
def test_words_that_no_engine_knows(word: int):
    with pytest.raises(MachineError) as error:
        run_words([*PREAMBLE, word, END])
    assert error.value.code is ErrorCode.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize(
    "words",
    [
        [PREAMBLE[0] ^ 1, PREAMBLE[1], END],
        [PREAMBLE[0], PREAMBLE[1] ^ 1, END],
        [encode(Engine.VEC, 0, 1), *PREAMBLE, END],
        [PREAMBLE[0], END],
        [PREAMBLE[1], PREAMBLE[0], END],
        [END],
    ],
    ids=["low", "high", "late", "half", "exchanged", "none"],
)
def test_a_program_begins_with_this_machines_fingerprint(words: list[int]):
    with pytest.raises(MachineError) as error:
        run_words(words)
    assert error.value.code is ErrorCode.WRONG_CONFIG


def test_a_program_ends():
    with pytest.raises(MachineError, match="has no end") as error:
        run_words([*PREAMBLE, *[encode(Engine.VEC, 0, 1)] * 10], beats=4)
    assert error.value.code is ErrorCode.ADDRESS_RANGE
    run_words([*PREAMBLE, END, 4 << 29])  # what follows END is not read


def test_a_wait_takes_what_earlier_words_gave():
    def balanced(program: Assembler) -> None:
        program.signal(Engine.LOADB, 3, 2)
        program.wait(Engine.EXEC, 3, 1)
        program.signal(Engine.LOADT, 3)
        program.wait(Engine.VEC, 3, 2)
        program.wait(Engine.VEC, 0, 200)  # semaphore 0 is none
        program.end()

    assert run_words(words_of(balanced)).state.semaphores == [0] * 16

    def unbalanced(program: Assembler) -> None:
        program.signal(Engine.LOADB, 3, 2)
        program.wait(Engine.EXEC, 3, 1)
        program.wait(Engine.VEC, 3, 2)

    with pytest.raises(MachineError, match="^word 4: program order does not satisfy semaphore 3: .* left 1$") as error:
        run_words(words_of(unbalanced))
    assert error.value.code is ErrorCode.WATCHDOG


def test_a_semaphore_holds_255():
    def body(count: int) -> Callable[[Assembler], None]:
        def give(program: Assembler) -> None:
            program.signal(Engine.LOADB, 15, 255)
            program.signal(Engine.LOADB, 15, count)
            program.end()

        return give

    assert run_words(words_of(body(0))).state.semaphores[15] == 255
    with pytest.raises(MachineError, match="semaphore 15 would pass 255") as error:
        run_words(words_of(body(1)))
    assert error.value.code is ErrorCode.SEMAPHORE_OVERFLOW


def test_an_operation_gives_the_semaphores_that_it_names(rng: np.random.Generator):
    bench = Bench(TINY, rng)
    ready = {"CONFIG": {"target": LoadTarget.B}}
    bench.registers(Engine.LOADB, ready)
    bench.registers(Engine.LOADT, ready)
    out = bench.room(4)
    bench.registers(
        Engine.EXEC,
        {"STEPS": {"k_steps": 1}, "TILES": 1, "BLOCKS": {"blocks": 1, "rows_last": 1}, "OUT_BASE": out},
    )
    bench.program.run(Engine.LOADT, done=1)
    bench.program.run(Engine.LOADB, done=2)
    bench.program.run(Engine.EXEC, read=3, read2=4, written=5, written2=5)
    assert bench.run().state.semaphores == [0, 1, 1, 1, 1, 2, *[0] * 10]


def test_registers_semaphores_and_scores_begin_anew_with_each_run(rng: np.random.Generator):
    bench = Bench(TINY, rng)
    program = bench.program
    program.wait(Engine.EXEC, 7, 0)
    program.set(Engine.LOADB, "SRC_BASE", 64)
    program.set(Engine.LOADB, "CONFIG", {"target": LoadTarget.B})
    program.run(Engine.LOADB)
    program.signal(Engine.LOADB, 7)
    program.end()
    start = bench.place(program.words().view(np.uint8))
    machine = Interpreter(TINY, bench.memory)
    for _ in range(2):
        machine.run(start)
        assert machine.state.semaphores[7] == 1
    short = Assembler(TINY)
    short.end()
    machine.run(bench.place(short.words().view(np.uint8)))
    assert machine.state.value(Engine.LOADB, "SRC_BASE") == 0 and machine.state.semaphores[7] == 0


def test_a_mark_leaves_its_slot_of_the_log(rng: np.random.Generator):
    bench = Bench(TINY, rng)
    log = bench.room(16)
    before = bench.memory.copy()
    bench.program.set(Engine.CONTROL, "LOG_BASE", log)
    bench.program.mark(2)
    machine = bench.run()
    assert machine.marks == [2]
    slot = slice((log + 8) * BEAT_BYTES, (log + 12) * BEAT_BYTES)
    assert (machine.state.memory[slot] == 0).all()
    before[slot] = 0
    np.testing.assert_array_equal(machine.state.memory[: (log + 16) * BEAT_BYTES], before[: (log + 16) * BEAT_BYTES])


def load_beyond_memory(program: Assembler) -> None:
    program.set(Engine.LOADB, "CONFIG", {"target": LoadTarget.B})
    program.set(Engine.LOADB, "SRC_BASE", 64)
    program.run(Engine.LOADB)


def load_before_memory(program: Assembler) -> None:
    program.set(Engine.LOADT, "SRC_COUNT0", -1)
    program.set(Engine.LOADT, "SRC_JUMP0", -1)
    program.run(Engine.LOADT)


def load_beyond_b(program: Assembler) -> None:
    program.set(Engine.LOADB, "CONFIG", {"target": LoadTarget.B})
    program.set(Engine.LOADB, "DST_BASE", TINY.b_depth)
    program.run(Engine.LOADB)


def load_beyond_a(program: Assembler) -> None:
    program.set(Engine.LOADT, "CONFIG", {"target": LoadTarget.A, "row_limit": 4})
    program.set(Engine.LOADT, "A_BASE", TINY.a_depth)
    program.run(Engine.LOADT)


def load_beyond_constants(program: Assembler) -> None:
    program.set(Engine.LOADB, "CONFIG", {"target": LoadTarget.CONSTANTS})
    program.set(Engine.LOADB, "DST_BASE", TINY.const_depth)
    program.run(Engine.LOADB)


def result_beyond_memory(program: Assembler) -> None:
    program.set(Engine.EXEC, "STEPS", {"k_steps": 1})
    program.set(Engine.EXEC, "TILES", 1)
    program.set(Engine.EXEC, "BLOCKS", {"blocks": 1, "rows_last": 1})
    program.set(Engine.EXEC, "OUT_BASE", 64)
    program.run(Engine.EXEC)


def mark_beyond_memory(program: Assembler) -> None:
    program.mark(16)


@pytest.mark.parametrize(
    "body",
    [
        load_beyond_memory,
        load_before_memory,
        load_beyond_b,
        load_beyond_a,
        load_beyond_constants,
        result_beyond_memory,
        mark_beyond_memory,
    ],
)
def test_addresses_outside_are_errors(body: Callable[[Assembler], None]):
    with pytest.raises(MachineError) as error:
        run_words([*words_of(body), END])
    assert error.value.code is ErrorCode.ADDRESS_RANGE


def fewer_places(program: Assembler) -> None:
    program.set(Engine.LOADB, "CONFIG", {"target": LoadTarget.B})
    program.set(Engine.LOADB, "SRC_COUNT0", -2)
    program.run(Engine.LOADB)


def test_as_many_places_as_beats():
    with pytest.raises(MachineError, match="3 beats arrive and 1 places are named") as error:
        run_words([*words_of(fewer_places), END])
    assert error.value.code is ErrorCode.WATCHDOG


@pytest.mark.parametrize("engine", [Engine.LOADT, Engine.LOADB])
def test_loads_know_their_own_targets_and_transforms(engine: Engine):
    known = {
        Engine.LOADT: {(target, transform) for target in (0, 1) for transform in (0, 1, 2)},
        Engine.LOADB: {(target, transform) for target in (0, 1, 2, 3) for transform in (0, 3)},
    }[engine]
    for target, transform in itertools.product(range(4), range(4)):
        program = Assembler(TINY)
        program.set(engine, "CONFIG", {"target": target, "transform": transform})
        if engine is Engine.LOADT:
            program.set(engine, "GROUPS", {"groups": 1, "channels": 4})
            program.set(engine, "GELU_CONFIG", {"x0": 1})
        program.set(engine, "SRC_COUNT0", -1 if (engine, transform) == (Engine.LOADT, 1) else 0)
        program.run(engine)
        program.end()
        words = [int(word) for word in program.words()]
        if (target, transform) in known:
            run_words(words)
        else:
            with pytest.raises(MachineError, match=f"{engine.name} has no transform") as error:
                run_words(words)
            assert error.value.code is ErrorCode.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"STEPS": {"k_steps": 0}}, "needs a block"),
        ({"TILES": 0}, "needs a block"),
        ({"BLOCKS": {"blocks": 1, "rows_last": 0}}, "needs a block"),
        ({"BLOCKS": {"blocks": 1, "rows_last": TINY.rows + 1}}, "needs a block"),
        ({"POST": {"mode": PostMode.RAW, "to_scores": 1}}, "are Q8, not RAW"),
        ({"POST": {"mode": PostMode.Q16, "track_max": 1}}, "are Q8, not Q16"),
        ({"A_BASE": TINY.a_depth}, "EXEC reads A"),
        ({"B_BASE": TINY.b_depth}, "EXEC reads B"),
        ({"CONST_BASE": TINY.const_depth - 3}, "EXEC reads constants"),
        ({"POST": {"mode": PostMode.Q16, "scatter": 1}}, "are Q8, not Q16"),
        ({"POST": {"mode": PostMode.Q8, "to_scores": 1}, "SCORE_LENGTH": 5}, "SCORE_LENGTH"),
    ],
)
def test_senseless_operations(change: dict[str, int | Mapping[str, int]], part: str, rng: np.random.Generator):
    bench = Bench(TINY, rng)
    plain: dict[str, int | Mapping[str, int]] = {
        "STEPS": {"k_steps": 1},
        "TILES": 1,
        "BLOCKS": {"blocks": 1, "rows_last": TINY.rows},
        "OUT_BASE": 64,
    }
    bench.registers(Engine.EXEC, plain)
    bench.program.run(Engine.EXEC)
    bench.run()
    bench.registers(Engine.EXEC, {**plain, **change})
    bench.program.run(Engine.EXEC)
    with pytest.raises(MachineError, match=part):
        bench.run()
