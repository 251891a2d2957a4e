"""The events that each operation must wait for, so that engines never overlap wrongly."""

from __future__ import annotations

from collections import defaultdict

from firmware.compiler.lower.operations import Access, EventKind, Operation, Space
from firmware.compiler.schedule.clocks import EVENTS, Event, Stream, VectorClock
from firmware.compiler.schedule.history import History, Step
from gateware.isa import Engine

__all__ = ["dependencies"]


def dependencies(operations: list[Operation]) -> list[Step]:
    """For every operation the events that it must wait for, without those that its engine knows of already.

    A wait brings more than its event: whatever the giving engine knew when it began that operation has happened, too.
    """
    return _Dependencies(operations).steps()


class _Dependencies:
    """One walk along a program.

    Attributes
    ----------
    clocks : what each engine knows
    histories : of each space
    causes : the step that gives each event
    """

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self.clocks = {engine: VectorClock() for engine in EVENTS}
        self.histories = {space: History(users, self.clocks) for space, users in _users(operations).items()}
        self.causes: dict[Event, Step] = {}
        self._counts: dict[Stream, int] = defaultdict(int)

    def steps(self) -> list[Step]:
        return [self._step(operation, position) for position, operation in enumerate(self.operations)]

    def _step(self, operation: Operation, position: int) -> Step:
        step = Step(operation, position)
        if operation.mark is not None:
            return step
        clock = self.clocks[operation.engine]
        for event in self._latest_first(self._needed(operation)):
            if not clock.knows(event):
                step.waits.append(event)
                self._learn(clock, event)
        step.clock = clock.copy()
        self._give(step)
        for access in operation.accesses:
            self.histories[access.space].record(access, step)
        return step

    def _needed(self, operation: Operation) -> list[Event]:
        """The last event of each stream that an operation needs, known or not."""
        needed: dict[Stream, Event] = {}
        for access in operation.accesses:
            for event in self.histories[access.space].needed(operation.engine, access):
                if event.stream not in needed or needed[event.stream].number < event.number:
                    needed[event.stream] = event
        return list(needed.values())

    def _latest_first(self, events: list[Event]) -> list[Event]:
        """In the order of their causes, latest first: a later event may imply the others."""
        return sorted(events, key=lambda event: -self.causes[event].position)

    def _learn(self, clock: VectorClock, event: Event) -> None:
        """What an engine knows once it has waited for an event."""
        cause = self.causes[event]
        clock.merge(cause.clock)
        clock.learn(event)
        if event.stream.kind is EventKind.WRITTEN:
            clock.learn(cause.events[EventKind.READ])

    def _give(self, step: Step) -> None:
        """Numbers a step's own events."""
        engine = step.operation.engine
        for kind in EVENTS[engine]:
            stream = Stream(engine, kind)
            self._counts[stream] += 1
            step.events[kind] = Event(stream, self._counts[stream])
            self.causes[step.events[kind]] = step


def _users(operations: list[Operation]) -> dict[Space | str, list[tuple[Engine, Access]]]:
    """For each space, one access of each engine and kind."""
    kinds: dict[Space | str, dict[tuple[Engine, bool], Access]] = defaultdict(dict)
    for operation in operations:
        for access in operation.accesses:
            kinds[access.space].setdefault((operation.engine, access.write), access)
    return {space: [(engine, access) for (engine, _), access in found.items()] for space, found in kinds.items()}
