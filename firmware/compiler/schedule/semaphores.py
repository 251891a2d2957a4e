"""The highest counts that a program's semaphores can reach, whatever the timing of memory."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np
import numpy.typing as npt

from gateware.config import AcceleratorConfig
from gateware.isa import RUN_FIELDS, SEMAPHORE_FIELDS, Engine, Op, parts

__all__ = ["worst_count"]

BEHIND_QUEUE = 1  # words that leave an engine's queue before the engine executes them: its output register


def worst_count(config: AcceleratorConfig, words: npt.NDArray[np.uint32]) -> int:
    """The most that any semaphore can hold while the program runs, at any pace of the engines.

    An engine that gives can be ahead of the one that takes only as far as words are fetched. Words are fetched in
    order, and of the taking engine's no more wait than its queue holds: all WAITs before those have been taken.
    """
    queue = config.queue_depth + BEHIND_QUEUE
    semaphore, count = SEMAPHORE_FIELDS
    fetched: dict[int, int] = defaultdict(int)  # words of each engine
    held: dict[int, int] = defaultdict(int)  # of each semaphore: given, and perhaps not taken
    waits: dict[int, deque[tuple[int, int, int]]] = defaultdict(deque)  # engine, its word, counts
    worst = 0

    def give(number: int, counts: int) -> None:
        nonlocal worst
        if number == 0:
            return
        held[number] += counts
        while waits[number] and waits[number][0][1] <= fetched[waits[number][0][0]] - queue:
            held[number] -= waits[number].popleft()[2]
        worst = max(worst, held[number])

    for word in words.tolist():
        engine, op, value = parts(word)
        fetched[engine] += 1
        if op == Op.RUN and engine != Engine.CONTROL:
            for field in RUN_FIELDS[Engine(engine)]:
                give(field.of(value), 1)
        elif op in (Op.WAIT, Op.SIGNAL):
            number, counts = semaphore.of(value), count.of(value)
            if op == Op.SIGNAL:
                give(number, counts)
            else:
                waits[number].append((engine, fetched[engine], counts))
        elif op == Op.END and engine == Engine.CONTROL:
            break
    return worst
