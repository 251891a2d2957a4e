"""The earlier accesses to one space that a later access may have to wait for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from firmware.compiler.lower.operations import Access, EventKind, Operation
from firmware.compiler.schedule.clocks import Event, VectorClock
from gateware.isa import Engine

__all__ = ["History", "Step"]

LEAST_PRUNED = 32  # accesses: fewer are not worth it


@dataclass(eq=False)
class Step:
    """An operation with its place in its engine's streams, and what it must wait for.

    Parameters
    ----------
    operation : what the engine does
    position : in the program
    events : what it gives
    waits : before it starts
    clock : what its engine knows when it starts
    """

    operation: Operation
    position: int
    events: dict[EventKind, Event] = field(default_factory=dict)
    waits: list[Event] = field(default_factory=list)
    clock: VectorClock = field(default_factory=VectorClock)


class History:
    """The accesses to one space that some engine may still have to wait for.

    Parameters
    ----------
    users : an access of each kind that the space will see, with its engine
    clocks : what each engine knows
    """

    def __init__(self, users: list[tuple[Engine, Access]], clocks: Mapping[Engine, VectorClock]) -> None:
        self._users, self._clocks = users, clocks
        self._entries: list[tuple[Access, Step]] = []
        self._limit = LEAST_PRUNED

    def needed(self, engine: Engine, access: Access) -> Iterator[Event]:
        """The events before which an engine must not begin an access: the ends of those that conflict with it."""
        for before, step in self._entries:
            if (
                (access.write or before.write)
                and access.overlaps(before)
                and not _in_order(step.operation.engine, before, engine, access)
            ):
                yield step.events[before.event]

    def record(self, access: Access, step: Step) -> None:
        """Adds an access, and drops earlier ones that it implies: waiting for it is waiting for them."""
        self._entries = [
            entry for entry in self._entries if not (_supersedes(access, step, *entry) and access.covers(entry[0]))
        ]
        self._entries.append((access, step))
        if len(self._entries) > self._limit:
            self.prune()
            self._limit = 2 * len(self._entries) + LEAST_PRUNED

    def prune(self) -> None:
        """Drops the accesses that have ended, as every engine that might wait for them knows."""
        self._entries = [entry for entry in self._entries if self._matters(*entry)]

    def _matters(self, before: Access, step: Step) -> bool:
        return any(
            (before.write or access.write)
            and not _in_order(step.operation.engine, before, engine, access)
            and not self._clocks[engine].knows(step.events[before.event])
            for engine, access in self._users
        )


def _in_order(first: Engine, before: Access, second: Engine, access: Access) -> bool:
    """Whether one engine's own order already keeps two accesses right."""
    if first is not second:
        return False
    # A skip operand is read by another way than results are written, and may overtake them.
    overtakes = first is Engine.EXEC and before.write and before.event is EventKind.WRITTEN and not access.write
    return not overtakes


def _supersedes(access: Access, step: Step, before: Access, earlier: Step) -> bool:
    """Whether the end of an access implies the end of an earlier one of the same rows and columns."""
    if access.write:
        return True
    return not before.write and step.events[access.event].stream == earlier.events[before.event].stream
