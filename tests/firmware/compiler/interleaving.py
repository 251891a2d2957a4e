"""Runs a program with its engines as far apart as semaphores let them, to show an ordering that a program lacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gateware.config import AcceleratorConfig
from gateware.isa import RUN_FIELDS, Engine, Op, PostMode
from sim.interpreter.execute import execute, softmax
from sim.interpreter.loads import load
from sim.interpreter.state import MachineState

READS, WRITES = "EXEC reads", "EXEC writes"  # actors beside the engines: an operation of EXEC ends in two steps
ACTORS = (Engine.LOADT, Engine.LOADB, Engine.EXEC, Engine.VEC, READS, WRITES)
SCORE_BLOCKS = 2  # that the score memory holds


class _Execution:
    """An operation of EXEC on its way: its registers, then its operands as they were when it read them."""

    def __init__(self, state: MachineState, value: int) -> None:
        self.registers = dict(state.registers[Engine.EXEC])
        self.value = value
        self.skip = _skip_places(state)
        self.skipped = None if self.skip is None else state.beats[self.skip].copy()
        self.a: npt.NDArray[Any] | None = None
        self.b: npt.NDArray[Any] | None = None


def _skip_places(state: MachineState) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    e = Engine.EXEC
    if state.fields(e, "POST")["mode"] != PostMode.RESIDUAL:
        return None
    shape = state.fields(e, "BLOCKS")
    rows = state.value(e, "SKIP_ROW") + np.arange((shape["blocks"] - 1) * state.config.rows + shape["rows_last"])
    columns = 2 * state.value(e, "TILES")
    return state.matrix_places(state.value(e, "SKIP_BASE"), state.value(e, "SKIP_SLAB"), rows, columns)


class Interleaver:
    """One run.

    Parameters
    ----------
    config, memory : the machine; memory is written in place
    order : whoever can go and comes first in it goes; None: by lot
    rng : for lots
    deaf : an engine that waits for nothing
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        memory: npt.NDArray[np.uint8],
        order: Sequence[Engine | str] | None,
        rng: np.random.Generator,
        deaf: Engine | None = None,
    ) -> None:
        self.state = MachineState(config, memory)
        self.order, self.rng, self.deaf = order, rng, deaf
        self.queues: dict[Engine, deque[tuple[int, int]]] = {engine: deque() for engine in Engine}
        self.unread: deque[_Execution] = deque()
        self.unwritten: deque[_Execution] = deque()
        self.most = 0  # of any semaphore

    def run(self, program: int) -> None:
        """To the end of every engine. Fails where none can go on."""
        for word in self.state.memory.view("<u4")[4 * program :].tolist():
            engine, op = Engine(word >> 29), (word >> 24) & 31
            if engine is Engine.CONTROL:
                if op == Op.END:
                    break
                continue  # the fingerprint and the log's place
            if op != Op.WAIT or engine is not self.deaf:
                self.queues[engine].append((op, word & 0xFFFFFF))
        while any(self.queues.values()) or self.unread or self.unwritten:
            turn = list(self.rng.permutation(len(ACTORS))) if self.order is None else range(len(ACTORS))
            actors = ACTORS if self.order is None else self.order
            assert any(self._go(actors[index]) for index in turn), "no engine can go on"

    def _go(self, actor: Engine | str) -> bool:
        """One step of an actor; False where it cannot take one."""
        state = self.state
        if actor == READS:
            if not self.unread:
                return False
            execution = self.unread.popleft()
            execution.a, execution.b = state.a.copy(), state.b.copy()
            self._give(Engine.EXEC, execution.value, ("read", "read2"))
            self.unwritten.append(execution)
            return True
        if actor == WRITES:
            if not self.unwritten:
                return False
            self._write(self.unwritten.popleft())
            return True
        assert isinstance(actor, Engine)
        if not self.queues[actor]:
            return False
        op, value = self.queues[actor][0]
        semaphore, count = value & 15, (value >> 8) & 255
        if op == Op.WAIT and state.semaphores[semaphore] < count:
            return False
        if actor is Engine.EXEC and op in (Op.SIGNAL, Op.MARK) and (self.unread or self.unwritten):
            return False
        self.queues[actor].popleft()
        if op < Op.RUN:
            state.set(actor, op, value)
        elif op == Op.WAIT:
            state.semaphores[semaphore] -= count
        elif op == Op.SIGNAL:
            self._count(semaphore, count)
        elif op == Op.RUN and actor is Engine.EXEC:
            self.unread.append(_Execution(state, value))
        elif op == Op.RUN:
            if actor is Engine.VEC:
                softmax(state)
            else:
                load(state, actor)
            self._give(actor, value, ("done",))
        return True

    def _write(self, execution: _Execution) -> None:
        state = self.state
        a, b, registers = state.a, state.b, state.registers[Engine.EXEC]
        assert execution.a is not None and execution.b is not None
        state.a, state.b, state.registers[Engine.EXEC] = execution.a, execution.b, execution.registers
        if execution.skip is not None:
            assert execution.skipped is not None
            now = state.beats[execution.skip].copy()
            state.beats[execution.skip] = execution.skipped
        execute(state)
        assert len(state.blocks) <= SCORE_BLOCKS, "scores come before there is a place for them"
        if execution.skip is not None:
            state.beats[execution.skip] = now
        state.a, state.b, state.registers[Engine.EXEC] = a, b, registers
        self._give(Engine.EXEC, execution.value, ("written", "written2"))

    def _give(self, engine: Engine, value: int, names: tuple[str, ...]) -> None:
        for f in RUN_FIELDS[engine]:
            if f.name in names:
                self._count((value >> f.low) & 15, 1)

    def _count(self, semaphore: int, count: int) -> None:
        if semaphore:
            self.state.semaphores[semaphore] += count
            self.most = max(self.most, self.state.semaphores[semaphore])
