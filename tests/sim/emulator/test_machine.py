"""The whole machine in the emulator: a network's every tensor, errors, and the frame after them."""

from collections.abc import Callable

import numpy as np
import pytest

from firmware.compiler.compiled import Compiled, program_of
from firmware.compiler.compiler import compile_graph
from firmware.program.assembler import Assembler
from gateware.config import BEAT_BYTES, config
from gateware.isa import Engine, ErrorCode, LoadTarget, PostMode, encode, loop_registers
from sim.emulator.board import Board, BoardError
from sim.emulator.emulation import RunState
from sim.emulator.exactness import checked_frame, compare
from sim.emulator.onchip import OnChipError
from sim.emulator.profiles import ULX3S, MemoryProfile
from sim.emulator.random_memory import random_memory
from sim.studies.performance.workloads import Workload, shipped

TINY = config("tiny")
TOP = (1 << TINY.address_bits) - 1  # the last beat of memory
WATCHDOG_CYCLES = 2 << TINY.watchdog_bits


@pytest.fixture(scope="module")
def network() -> tuple[Workload, Compiled]:
    workload = shipped(None, None, 1)
    return workload, compile_graph(workload.model.graph, TINY, workload.model.model.shape.image)


@pytest.fixture(scope="module")
def board(network: tuple[Workload, Compiled]):
    workload, compiled = network
    with Board(program_of(workload.model, compiled, TINY)) as opened:
        yield opened


@pytest.fixture
def is_exact(network: tuple[Workload, Compiled], board: Board) -> Callable[[], None]:
    """Whether the next frame is."""
    workload, _ = network
    expected = workload.model.run(workload.image[None].astype(np.int64))[workload.model.graph.output][0]

    def check() -> None:
        board.restore()
        np.testing.assert_array_equal(board.run(workload.image).output[0, : len(expected)], expected)

    return check


def test_every_tensor_of_the_shipped_model(network: tuple[Workload, Compiled], board: Board):
    workload, compiled = network
    frame = board.run(workload.image, watch=True)
    watched = board.watched(compiled)
    result = compare(workload.model, compiled, workload.image, board.tensors(), watched)
    assert not result.different
    stored = {name for name in board.tensors() if name != workload.model.graph.source}
    assert result.tensors == len(stored | {piece.tensor for piece in watched})
    # Every kind of tensor that never reaches memory is among them.
    seen = {piece.tensor for piece in watched}
    block = {"qact1", "attn.qact_attn1", "attn.int_softmax", "attn.qact3", "qact3", "mlp.qact1", "mlp.qact2"}
    assert {f"blocks.0.{name}" for name in block} | {"patch_embed.qact"} <= seen
    assert frame.memory.out_of_range == 0 and frame.memory.refused == 0
    # A wrong integer anywhere is found and placed.
    for index in (0, len(watched) // 2, len(watched) - 1):
        piece = watched[index]
        wrong = type(piece)(
            piece.tensor, piece.place, piece.values + (np.arange(piece.values.size) == 5).reshape(piece.values.shape)
        )
        changed = [*watched[:index], wrong, *watched[index + 1 :]]
        (sentence,) = compare(workload.model, compiled, workload.image, board.tensors(), changed).different
        assert sentence.startswith(f"{piece.tensor}: 1 of ")
    tensors = board.tensors()
    tensors["blocks.0.qact2"][3, 4] += 1
    (sentence,) = compare(workload.model, compiled, workload.image, tensors, watched).different
    assert sentence.startswith("blocks.0.qact2: 1 of") and "at [3, 4]" in sentence


@pytest.mark.parametrize("memory", [ULX3S, random_memory(5)], ids=lambda one: one.name)
def test_every_tensor_whatever_memory_does(memory: MemoryProfile, network: tuple[Workload, Compiled], board: Board):
    """A store that waits lets tiles queue up: then rows of the short last block come again after a cycle or two."""
    workload, compiled = network
    before = board.emulation.profile
    try:
        board.emulation.replace_memory(memory)
        board.restore()
        _, result = checked_frame(board, workload.model, compiled, workload.image)
        assert not result.different
    finally:
        board.emulation.replace_memory(before)
        board.restore()


def test_a_frame_that_was_not_watched_has_nothing_to_compare(network: tuple[Workload, Compiled], board: Board):
    workload, compiled = network
    board.run(workload.image)
    with pytest.raises(OnChipError, match="was not watched"):
        board.watched(compiled)


def run_words(board: Board, words: list[int]) -> tuple[RunState, int]:
    """A program of its own in place of the network's."""
    content = np.array(words + [0] * (-len(words) % 4), "<u4").tobytes()
    assert len(content) <= len(board.program.words) * 4
    board.emulation.write_memory(board.program.start, content)
    board.emulation.start(board.program.start)
    state = board.emulation.run(4 * WATCHDOG_CYCLES)
    return state, board.emulation.error


def program(body: Callable[[Assembler], None]) -> list[int]:
    assembler = Assembler(TINY)
    body(assembler)
    assembler.end()
    return [int(word) for word in assembler.words()]


def load(engine: Engine, base: int, count: int, stride: int) -> Callable[[Assembler], None]:
    def body(assembler: Assembler) -> None:
        assembler.set(engine, "CONFIG", {"target": LoadTarget.B})
        assembler.set(engine, "SRC_BASE", base)
        for prefix in ("SRC", "DST"):
            for name, value in loop_registers(prefix, [(count, stride if prefix == "SRC" else 0)]).items():
                assembler.set(engine, name, value)
        assembler.run(engine)

    return body


def execute(**registers: int | dict[str, int]) -> Callable[[Assembler], None]:
    def body(assembler: Assembler) -> None:
        settings = {
            "STEPS": {"k_steps": 1},
            "TILES": 1,
            "BLOCKS": {"blocks": 1, "rows_last": 4},
            "POST": {"mode": PostMode.RESIDUAL},
            **registers,
        }
        for name, value in settings.items():
            assembler.set(Engine.EXEC, name, value)
        assembler.run(Engine.EXEC)

    return body


def mark(assembler: Assembler) -> None:
    assembler.set(Engine.CONTROL, "LOG_BASE", TOP - 2)
    assembler.mark(0)


def deadlock(assembler: Assembler) -> None:
    assembler.wait(Engine.EXEC, 3)


def overflow(assembler: Assembler) -> None:
    assembler.signal(Engine.LOADB, 3, 255)
    assembler.signal(Engine.LOADT, 3, 1)


BODIES = {
    "load beyond": (load(Engine.LOADT, TOP, 2, 1), ErrorCode.ADDRESS_RANGE),
    "load before": (load(Engine.LOADB, 0, 2, -1), ErrorCode.ADDRESS_RANGE),
    "store beyond": (execute(OUT_BASE=TOP - 3, OUT_ROW=4), ErrorCode.ADDRESS_RANGE),
    "store slab beyond": (execute(OUT_SLAB=TOP, OUT_ROW=8, TILES=3), ErrorCode.ADDRESS_RANGE),
    "skip slab beyond": (execute(SKIP_SLAB=TOP, SKIP_ROW=8, TILES=3), ErrorCode.ADDRESS_RANGE),
    "mark beyond": (mark, ErrorCode.ADDRESS_RANGE),
    "deadlock": (deadlock, ErrorCode.WATCHDOG),
    "semaphore": (overflow, ErrorCode.SEMAPHORE_OVERFLOW),
}
WRITES_NOTHING = ("load beyond", "load before", "store beyond", "mark beyond")


@pytest.mark.parametrize("name", BODIES)
def test_an_error_is_reported_and_the_next_frame_is_exact(name: str, board: Board, is_exact: Callable[[], None]):
    body, code = BODIES[name]
    before = board.memory()
    assert run_words(board, program(body)) == (RunState.ERROR, code)
    if name in WRITES_NOTHING:
        first = board.program.start * BEAT_BYTES
        np.testing.assert_array_equal(board.memory()[:first], before[:first])
    is_exact()


@pytest.mark.parametrize(
    ("place", "word", "code"),
    [
        (0, lambda word: word ^ 1, ErrorCode.WRONG_CONFIG),
        (1, lambda word: word ^ 0x80, ErrorCode.WRONG_CONFIG),
        (40, lambda _: 5 << 29, ErrorCode.ILLEGAL_INSTRUCTION),
        (41, lambda _: encode(Engine.VEC, 23, 0), ErrorCode.ILLEGAL_INSTRUCTION),
        (1000, lambda _: encode(Engine.CONTROL, 7, 0), ErrorCode.ILLEGAL_INSTRUCTION),
    ],
)
def test_a_damaged_word_is_reported(
    place: int, word: Callable[[int], int], code: ErrorCode, board: Board, network, is_exact: Callable[[], None]
):
    words = board.program.words.copy()
    words[place] = word(int(words[place]))
    board.emulation.write_memory(board.program.start, words.tobytes())
    with pytest.raises(BoardError) as error:
        board.run(network[0].image)
    assert error.value.code is code
    is_exact()


def test_a_program_for_another_machine(board: Board, is_exact: Callable[[], None]):
    other = Assembler(config("arty_a7_35"))
    other.end()
    assert run_words(board, [int(word) for word in other.words()]) == (RunState.ERROR, ErrorCode.WRONG_CONFIG)
    is_exact()


@pytest.mark.parametrize("cycles", [1, 30, 1_000, 20_011, 70_003])
@pytest.mark.parametrize("way", ["reset", "start", "stop"])
def test_a_frame_cut_short_leaves_nothing_behind(
    cycles: int, way: str, board: Board, network: tuple[Workload, Compiled], is_exact: Callable[[], None]
):
    noise = np.random.default_rng(cycles).integers(-128, 128, network[0].image.shape).astype(np.int8)
    board.put_image(noise)
    board.emulation.start(board.program.start)
    assert board.emulation.run(cycles) is RunState.LIMIT
    if way == "reset":
        board.emulation.reset()
    elif way == "stop":
        board.emulation.set_input("stop", 1)
        board.emulation.run(4)
        board.emulation.set_input("stop", 0)
        assert not board.emulation.busy
    is_exact()
