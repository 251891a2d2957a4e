"""Runs programs word by word, each to its end before the next begins: the definition of what they compute."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gateware.config import AcceleratorConfig
from gateware.isa import (
    LOG_BEATS,
    MOST_COUNT,
    RUN_FIELDS,
    SEMAPHORE_BITS,
    SEMAPHORE_FIELDS,
    Engine,
    ErrorCode,
    Op,
    joined,
    parts,
    register,
)
from sim.interpreter.execute import execute, softmax
from sim.interpreter.loads import load
from sim.interpreter.state import MachineError, MachineState, Observer

__all__ = ["Interpreter"]


class Interpreter:
    """One machine with its memory.

    Parameters
    ----------
    config : the machine
    memory : uint8, a multiple of 16 bytes; written in place
    observer : see `MachineState`
    """

    def __init__(
        self, config: AcceleratorConfig, memory: npt.NDArray[np.uint8], observer: Observer | None = None
    ) -> None:
        self.config = config
        self.state = MachineState(config, memory, observer)
        self.marks: list[int] = []
        self._low = 0  # bits of the fingerprint that the program names

    def run(self, program: int) -> int:
        """Runs the program at that beat address; returns the number of words.

        Raises
        ------
        MachineError : the machine would stop with an error, or a WAIT is not satisfied by the words before it
        """
        state = self.state
        state.semaphores = [0] * (1 << SEMAPHORE_BITS)
        state.registers = {engine: dict.fromkeys(names, 0) for engine, names in state.registers.items()}
        state.blocks.clear()
        self._low = 0
        words = state.memory.view("<u4")
        checked = False
        for count, position in enumerate(range(4 * program, len(words))):
            word = int(words[position])
            number, op, value = parts(word)
            if number not in list(Engine):
                raise MachineError(ErrorCode.ILLEGAL_INSTRUCTION, f"word {count}: {number} is no engine")
            engine = Engine(number)
            if engine is Engine.CONTROL:
                if op == Op.END and checked:
                    return count + 1
                checked = self._control(op, value, checked, count)
            elif not checked:
                raise MachineError(ErrorCode.WRONG_CONFIG, f"word {count} comes before the fingerprint")
            else:
                self._engine(engine, op, value, count)
        raise MachineError(ErrorCode.ADDRESS_RANGE, "the program has no end")

    def _control(self, op: int, value: int, checked: bool, count: int) -> bool:
        if op == register(Engine.CONTROL, "FINGERPRINT_LO").number:
            self._low = value
        elif op == register(Engine.CONTROL, "FINGERPRINT_HI").number:
            if joined(self._low, value) != self.config.fingerprint:
                raise MachineError(ErrorCode.WRONG_CONFIG, f"the program is not for the machine {self.config.name}")
            return True
        elif op == register(Engine.CONTROL, "LOG_BASE").number:
            self.state.registers[Engine.CONTROL]["LOG_BASE"] = value
        elif op == Op.END:
            raise MachineError(ErrorCode.WRONG_CONFIG, "the program ends before its fingerprint")
        else:
            raise MachineError(ErrorCode.ILLEGAL_INSTRUCTION, f"word {count}: CONTROL has no operation {op}")
        return checked

    def _engine(self, engine: Engine, op: int, value: int, count: int) -> None:
        state = self.state
        if op < Op.RUN:
            state.set(engine, op, value)
        elif op == Op.RUN:
            if engine in (Engine.LOADT, Engine.LOADB):
                load(state, engine)
            elif engine is Engine.EXEC:
                execute(state)
            else:
                softmax(state)
            for f in RUN_FIELDS[engine]:
                self._give(f.of(value), 1)
        elif op in (Op.WAIT, Op.SIGNAL):
            semaphore, amount = (f.of(value) for f in SEMAPHORE_FIELDS)
            if op == Op.SIGNAL:
                self._give(semaphore, amount)
            elif semaphore and state.semaphores[semaphore] < amount:
                raise MachineError(
                    ErrorCode.WATCHDOG,
                    f"word {count}: program order does not satisfy semaphore {semaphore}: {engine.name} waits for "
                    f"{amount}, and the words before it left {state.semaphores[semaphore]}",
                )
            elif semaphore:
                state.semaphores[semaphore] -= amount
        elif op == Op.MARK and engine is Engine.EXEC:
            self.marks.append(value)
            base = state.value(Engine.CONTROL, "LOG_BASE") + LOG_BEATS * value
            state.check_addresses(np.arange(base, base + LOG_BEATS), "a MARK")
            state.beats[base : base + LOG_BEATS] = 0
        else:
            raise MachineError(ErrorCode.ILLEGAL_INSTRUCTION, f"word {count}: {engine.name} has no operation {op}")

    def _give(self, semaphore: int, amount: int) -> None:
        if semaphore:
            self.state.semaphores[semaphore] += amount
            if self.state.semaphores[semaphore] > MOST_COUNT:
                raise MachineError(ErrorCode.SEMAPHORE_OVERFLOW, f"semaphore {semaphore} would pass {MOST_COUNT}")
