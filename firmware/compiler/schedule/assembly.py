"""Makes a program of operations and waits. Each stream has a semaphore for each engine that waits for it."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict

from firmware.compiler.errors import CompileError
from firmware.compiler.lower.operations import EventKind, Operation
from firmware.compiler.schedule.clocks import EVENTS, Event, Stream
from firmware.compiler.schedule.history import Step
from firmware.compiler.schedule.semaphores import worst_count
from firmware.program.assembler import Assembler
from gateware.config import AcceleratorConfig
from gateware.isa import MOST_COUNT, SEMAPHORE_BITS, Engine

__all__ = ["assemble"]

# Of RUN: semaphores that an event is given to.
FIELDS = {
    EventKind.DONE: ("done",),
    EventKind.READ: ("read", "read2"),
    EventKind.WRITTEN: ("written", "written2"),
}
SEMAPHORES = range(1, 1 << SEMAPHORE_BITS)  # number 0 means none

Pair = tuple[Stream, Engine]  # who gives, who takes


def assemble(config: AcceleratorConfig, operations: list[Operation], log_base: int, steps: list[Step]) -> Assembler:
    """The program.

    Parameters
    ----------
    log_base : beat address of the log
    steps : the dependencies of these operations, or of ones that touch the same

    Raises
    ------
    CompileError : more pairs of engines wait for each other than there are semaphores, or one could count too far
    """
    assembly = _Assembly(config, steps)
    assembly.program.set(Engine.CONTROL, "LOG_BASE", log_base)
    for step, operation in zip(steps, operations, strict=True):
        if operation.mark is not None:
            assembly.program.mark(operation.mark)
        else:
            assembly.run(step, operation)
    assembly.program.end()
    worst = worst_count(config, assembly.program.words())
    if worst > MOST_COUNT:
        raise CompileError(
            f"one engine could be {worst} events ahead of another, and a semaphore counts to {MOST_COUNT}; choose a "
            "smaller b_depth or a_depth in the configuration, so that less is loaded ahead."
        )
    return assembly.program


class _Assembly:
    """A program that is being assembled.

    Attributes
    ----------
    consumers : of each event that somebody waits for, who does
    semaphores : of each pair of a stream and an engine that waits for it
    told : numbers of the events that a pair's semaphore was given for, in order
    taken : how many of them its engine has taken
    """

    def __init__(self, config: AcceleratorConfig, steps: list[Step]) -> None:
        self.program = Assembler(config)
        self.consumers: dict[Event, set[Engine]] = defaultdict(set)
        for step in steps:
            for event in step.waits:
                self.consumers[event].add(step.operation.engine)
        self.semaphores = _numbered(self.consumers)
        self.told: dict[Pair, list[int]] = defaultdict(list)
        self.taken: dict[Pair, int] = defaultdict(int)

    def run(self, step: Step, operation: Operation) -> None:
        """The words of one operation: its waits, its registers, RUN."""
        for event in step.waits:
            self._wait(operation.engine, event)
        if operation.registers is not None:
            for name, value in operation.registers.settings():
                self.program.set(operation.engine, name, value)
        given: dict[str, int] = {}
        late: list[int] = []
        for kind in EVENTS[operation.engine]:
            semaphores = self._give(step.events[kind])
            fields = FIELDS[kind]
            given |= dict(zip(fields, semaphores, strict=False))
            late += semaphores[len(fields) :]
        self.program.run(operation.engine, **given)
        for semaphore in late:
            self.program.signal(operation.engine, semaphore)

    def _wait(self, engine: Engine, event: Event) -> None:
        """Takes the counts that were given up to an event and that the engine has not taken yet."""
        pair = (event.stream, engine)
        due = bisect_right(self.told[pair], event.number)
        while due > self.taken[pair]:
            count = min(due - self.taken[pair], MOST_COUNT)
            self.program.wait(engine, self.semaphores[pair], count)
            self.taken[pair] += count

    def _give(self, event: Event) -> list[int]:
        """The semaphores to which an event gives a count."""
        pairs = [(event.stream, engine) for engine in sorted(self.consumers.get(event, ()))]
        for pair in pairs:
            self.told[pair].append(event.number)
        return [self.semaphores[pair] for pair in pairs]


def _numbered(consumers: dict[Event, set[Engine]]) -> dict[Pair, int]:
    numbers: dict[Pair, int] = {}
    for (stream, _), engines in consumers.items():
        for engine in sorted(engines):
            if (stream, engine) not in numbers:
                if len(numbers) == len(SEMAPHORES):
                    raise CompileError("the program needs more than 15 semaphores; this is a fault of the compiler.")
                numbers[stream, engine] = SEMAPHORES[len(numbers)]
    return numbers
