"""What a program waits for beyond what its network shows, and how far its semaphores count."""

import pytest

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.array import Product
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.operations import Access, EventKind, Operation, Space
from firmware.compiler.lower.registers import Post
from firmware.compiler.place.memory import Memory
from firmware.compiler.schedule.assembly import assemble
from firmware.compiler.schedule.clocks import Event, Stream
from firmware.compiler.schedule.dependencies import dependencies
from firmware.compiler.schedule.semaphores import worst_count
from firmware.compiler.span import Span, Strided
from firmware.program.assembler import Assembler
from gateware.config import config
from gateware.isa import MOST_COUNT, Engine, ErrorCode, LoadTarget, PostMode, loop_registers
from sim.emulator.emulation import RunState
from sim.emulator.machine import emulated_machine

TINY = config("tiny")
QUEUE = TINY.queue_depth + 1
SEMAPHORE = 3


def test_who_writes_in_another_tensors_place_waits_for_its_loads():
    """Even for one whose operand no operation of the array uses."""
    emitter = Emitter(TINY, Memory(TINY.address_bits), [])
    first = emitter.memory.allocate("first", 8, 16, 1)
    emitter.operands.slabs_to_b(first, Span(0, 8), Span(0, 4), Strided(0, 4))
    emitter.memory.give_back(first)
    second = emitter.memory.allocate("second", 8, 16, 1)
    assert second.base == first.base
    # Of the second tensor only another part than was loaded of the first.
    product = Product(
        a=Strided(0, 4),
        b=Strided(100, 4),
        steps=4,
        rows=4,
        tiles=1,
        constants=Strided(0, 4),
        post=Post(mode=PostMode.Q8),
    )
    emitter.array.execute(product, [], emitter.array.stores(second, Span(4, 8), Span(12, 16)))
    (_, store) = dependencies(emitter.operations.found)
    assert store.waits == [Event(Stream(Engine.LOADB, EventKind.DONE), 1)]


def ahead(count: int) -> list[Operation]:
    """So many loads, then as many operations that each need one of them."""
    places = [Span(place, place + 1) for place in range(count)]
    loads = [Operation(Engine.LOADB, None, (Access(Space.B, place, write=True),)) for place in places]
    uses = [Operation(Engine.EXEC, None, (Access(Space.B, place, event=EventKind.READ),)) for place in places]
    return loads + uses


def assembled(operations: list[Operation]) -> Assembler:
    return assemble(TINY, operations, 0, dependencies(operations))


def test_an_engine_too_far_ahead_is_refused():
    assert worst_count(TINY, assembled(ahead(MOST_COUNT)).words()) == MOST_COUNT
    with pytest.raises(CompileError, match=f"be {MOST_COUNT + 1} events ahead of another, and a semaphore counts to"):
        assembled(ahead(MOST_COUNT + 1))


def signals(first: int, each: int, rounds: int) -> Assembler:
    """LOADT gives `first` counts, then `each` before each WAIT of LOADB, which first has a long load to end."""
    program = Assembler(TINY)
    program.set(Engine.LOADB, "CONFIG", {"target": LoadTarget.B})
    for name, value in {**loop_registers("SRC", [(3000, 0)]), **loop_registers("DST", [(3000, 0)])}.items():
        program.set(Engine.LOADB, name, value)
    program.run(Engine.LOADB)
    program.signal(Engine.LOADB, 0)
    program.signal(Engine.LOADT, SEMAPHORE, first)
    for _ in range(rounds):
        program.signal(Engine.LOADT, SEMAPHORE, each)
        program.wait(Engine.LOADB, SEMAPHORE, each)
    program.end()
    return program


def test_no_more_than_the_queue_of_the_waiting_engine_counts():
    assert worst_count(TINY, signals(7, 1, 20).words()) == 7 + 20
    assert worst_count(TINY, signals(7, 1, 1000).words()) == 7 + QUEUE + 1
    assert worst_count(TINY, signals(7, 3, 1000).words()) == 7 + 3 * (QUEUE + 1)


def test_the_machine_counts_no_further():
    """One count less than is predicted, where the engine's head is no WAIT: one more, and the semaphore overflows."""
    room = MOST_COUNT - 3 * QUEUE
    assert worst_count(TINY, signals(room - 3, 3, 200).words()) == MOST_COUNT
    with emulated_machine(TINY, "ulx3s_85f") as board:
        for first, state, code in (
            (room - 3, RunState.DONE, ErrorCode.NONE),
            (room, RunState.DONE, ErrorCode.NONE),
            (room + 1, RunState.ERROR, ErrorCode.SEMAPHORE_OVERFLOW),
        ):
            words = signals(first, 3, 200).words()
            board.write_memory(1 << 8, words.astype("<u4").tobytes())
            board.start(1 << 8)
            assert (board.run(1_000_000), board.error) == (state, code)
