"""The order of operations, and the semaphores that let engines overlap no further than is right."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.operations import Access, Operation
from firmware.compiler.schedule.semaphores import worst_count
from firmware.program.assembler import Assembler
from gateware.config import AcceleratorConfig
from gateware.isa import MOST_COUNT, Engine

__all__ = ["Step", "Stream", "assemble", "dependencies"]

EVENTS = {Engine.LOADT: ("done",), Engine.LOADB: ("done",), Engine.VEC: ("done",), Engine.EXEC: ("read", "written")}
FIELDS = {"done": ("done",), "read": ("read", "read2"), "written": ("written", "written2")}  # of RUN
SEMAPHORES = range(1, 16)

Stream = tuple[Engine, str]


@dataclass
class Step:
    """An operation with its place in its engine's streams, and what it must wait for."""

    operation: Operation
    position: int
    number: dict[str, int] = field(default_factory=dict)  # event -> number in its stream
    waits: list[tuple[Stream, int]] = field(default_factory=list)
    knows: dict[Stream, int] = field(default_factory=dict)  # stream -> number of events known to have happened


def _implied(engine: Engine, earlier: Operation, access: Access, before: Access) -> bool:
    """Whether one engine's own order already keeps two of its operations right."""
    if engine is not earlier.engine:
        return False
    # A skip operand is read by another way than results are written, and may overtake them.
    return not (engine is Engine.EXEC and before.write and before.event == "written" and not access.write)


def _same_stream(operation: Operation, access: Access, earlier: Step, before: Access) -> bool:
    return operation.engine is earlier.operation.engine and access.event == before.event


class _History:
    """The accesses to one space that somebody may still have to wait for.

    Parameters
    ----------
    users : an access of each kind that the space will see, with its engine
    knowledge : of each engine, how many events of each stream it knows to have happened
    """

    def __init__(self, users: list[tuple[Engine, Access]], knowledge: dict[Engine, dict[Stream, int]]) -> None:
        self.entries: list[tuple[Access, Step]] = []
        self._users, self._knowledge, self._limit = users, knowledge, 32

    def append(self, access: Access, step: Step) -> None:
        self.entries.append((access, step))
        if len(self.entries) > self._limit:
            self.entries = [entry for entry in self.entries if self._matters(*entry)]
            self._limit = 2 * len(self.entries) + 32

    def _matters(self, access: Access, step: Step) -> bool:
        """Whether some engine does not know yet that this access is over, and may have to."""
        stream, number = (step.operation.engine, access.event), step.number[access.event]
        return any(
            (access.write or later.write)
            and not _implied(engine, step.operation, later, access)
            and self._knowledge[engine].get(stream, 0) < number
            for engine, later in self._users
        )


def _users(operations: list[Operation]) -> dict[str, list[tuple[Engine, Access]]]:
    """For each space, one access of each engine and kind."""
    kinds: dict[str, dict[tuple[Engine, bool], Access]] = defaultdict(dict)
    for operation in operations:
        for access in operation.accesses:
            kinds[access.space].setdefault((operation.engine, access.write), access)
    return {space: [(engine, access) for (engine, _), access in found.items()] for space, found in kinds.items()}


def dependencies(operations: list[Operation]) -> list[Step]:
    """For every operation the events that it must wait for: only those that it does not know of already."""
    counts: dict[Stream, int] = defaultdict(int)
    knowledge: dict[Engine, dict[Stream, int]] = {engine: {} for engine in EVENTS}
    history = {space: _History(users, knowledge) for space, users in _users(operations).items()}
    steps: list[Step] = []
    by_event: dict[tuple[Stream, int], Step] = {}
    for operation in operations:
        step = Step(operation, len(steps))
        steps.append(step)
        if operation.mark is not None:
            continue
        engine = operation.engine
        known = knowledge[engine]
        needed: dict[Stream, int] = {}
        for access in operation.accesses:
            for before, earlier in history[access.space].entries:
                if not (access.write or before.write) or not access.overlaps(before):
                    continue
                if _implied(engine, earlier.operation, access, before):
                    continue
                stream = (earlier.operation.engine, before.event)
                needed[stream] = max(needed.get(stream, 0), earlier.number[before.event])
        # Later events first: what they bring along may make the others superfluous.
        for stream, number in sorted(needed.items(), key=lambda item: -by_event[item].position):
            if known.get(stream, 0) >= number:
                continue
            step.waits.append((stream, number))
            cause = by_event[stream, number]
            for other, count in [*cause.knows.items(), (stream, number)]:
                known[other] = max(known.get(other, 0), count)
            if stream[1] == "written":
                read = (stream[0], "read")
                known[read] = max(known.get(read, 0), cause.number["read"])
        step.knows = dict(known)
        for event in EVENTS[engine]:
            counts[engine, event] += 1
            step.number[event] = counts[engine, event]
            by_event[(engine, event), counts[engine, event]] = step
        for access in operation.accesses:
            here = history[access.space]
            # Whoever waits for this access need not know of what it makes superfluous.
            here.entries = [
                (before, earlier)
                for before, earlier in here.entries
                if not (access.write or (not before.write and _same_stream(operation, access, earlier, before)))
                or not access.covers(before)
            ]
            here.append(access, step)
    return steps


def assemble(
    config: AcceleratorConfig, operations: list[Operation], log_base: int, steps: list[Step] | None = None
) -> Assembler:
    """The program. `steps`: the dependencies of these operations, or of ones that touch the same.

    Raises
    ------
    CompileError : more pairs of engines wait for each other than there are semaphores, or one could count too far
    """
    steps = steps or dependencies(operations)
    wanted: dict[tuple[Stream, int], set[Engine]] = defaultdict(set)
    for step in steps:
        for wait in step.waits:
            wanted[wait].add(step.operation.engine)
    numbers: dict[tuple[Stream, Engine], int] = {}
    for (stream, _), engines in wanted.items():
        for engine in sorted(engines):
            if (stream, engine) not in numbers:
                if len(numbers) == len(SEMAPHORES):
                    raise CompileError("the program needs more than 15 semaphores; this is a fault of the compiler.")
                numbers[stream, engine] = SEMAPHORES[len(numbers)]
    program = Assembler(config)
    program.set(Engine.CONTROL, "LOG_BASE", log_base)
    # Events of a stream that an engine is told of, in order; how many of them it has taken.
    told: dict[tuple[Stream, Engine], list[int]] = defaultdict(list)
    taken: dict[tuple[Stream, Engine], int] = defaultdict(int)
    for step, operation in zip(steps, operations, strict=True):
        engine = operation.engine
        if operation.mark is not None:
            program.mark(operation.mark)
            continue
        for stream, number in step.waits:
            pair = (stream, engine)
            due = bisect_right(told[pair], number)
            while due > taken[pair]:
                count = min(due - taken[pair], MOST_COUNT)
                program.wait(engine, numbers[pair], count)
                taken[pair] += count
        for name, value in operation.registers.items():
            program.set(engine, name, value)
        given: dict[str, int] = {}
        late: list[int] = []
        for event in EVENTS[engine]:
            stream = (engine, event)
            fields = list(FIELDS[event])
            for consumer in sorted(wanted.get((stream, step.number[event]), ())):
                pair = (stream, consumer)
                told[pair].append(step.number[event])
                if fields:
                    given[fields.pop(0)] = numbers[pair]
                else:
                    late.append(numbers[pair])
        program.run(engine, **given)
        for semaphore in late:
            program.signal(engine, semaphore)
    program.end()
    worst = worst_count(config, program.words())
    if worst > MOST_COUNT:
        raise CompileError(
            f"one engine could be {worst} events ahead of another, and a semaphore counts to {MOST_COUNT}; choose a "
            "smaller b_depth or a_depth in the configuration, so that less is loaded ahead."
        )
    return program
