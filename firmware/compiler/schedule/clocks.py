"""Events of the machine, and what an engine knows of them: a vector clock."""

from __future__ import annotations

from typing import NamedTuple

from firmware.compiler.lower.operations import EventKind
from gateware.isa import Engine

__all__ = ["EVENTS", "Event", "Stream", "VectorClock"]

# What each engine gives for every operation, in the order in which it does.
EVENTS = {
    Engine.LOADT: (EventKind.DONE,),
    Engine.LOADB: (EventKind.DONE,),
    Engine.VEC: (EventKind.DONE,),
    Engine.EXEC: (EventKind.READ, EventKind.WRITTEN),
}


class Stream(NamedTuple):
    """Events of one kind that one engine gives, operation by operation, in their order."""

    engine: Engine
    kind: EventKind


class Event(NamedTuple):
    """The event `number` (from 1) of a stream."""

    stream: Stream
    number: int


class VectorClock:
    """For each stream the last event that is known to have happened, which implies all earlier ones."""

    def __init__(self, counts: dict[Stream, int] | None = None) -> None:
        self._counts = {} if counts is None else counts

    def knows(self, event: Event) -> bool:
        return self._counts.get(event.stream, 0) >= event.number

    def learn(self, event: Event) -> None:
        """Notes that the event has happened."""
        if not self.knows(event):
            self._counts[event.stream] = event.number

    def merge(self, other: VectorClock) -> None:
        """Takes over everything that the other clock knows."""
        for stream, number in other._counts.items():
            if self._counts.get(stream, 0) < number:
                self._counts[stream] = number

    def copy(self) -> VectorClock:
        return VectorClock(dict(self._counts))
