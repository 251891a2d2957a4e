"""Programs, word by word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gateware.config import AcceleratorConfig
from gateware.isa import (
    REGISTERS,
    RUN_FIELDS,
    SEMAPHORE_FIELDS,
    Engine,
    Op,
    Register,
    encode,
    low_and_high,
    pack_fields,
    register,
)

__all__ = ["Assembler"]


class Assembler:
    """Collects the words of one program. A register is set only where its value changes.

    Parameters
    ----------
    config : the machine that the program is for; its fingerprint comes first
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self._words: list[int] = []
        self._marked = False
        # Registers are 0 when a program starts.
        self._values: dict[tuple[Engine, str], int] = {
            (engine, r.name): 0 for engine, registers in REGISTERS.items() for r in registers
        }
        for name, value in zip(("FINGERPRINT_LO", "FINGERPRINT_HI"), low_and_high(config.fingerprint), strict=True):
            self._emit(Engine.CONTROL, register(Engine.CONTROL, name).number, value)

    def __len__(self) -> int:
        return len(self._words)

    def _emit(self, engine: Engine, op: int, value: int) -> None:
        self._words.append(encode(engine, op, value))

    def set(self, engine: Engine, name: str, value: int | Mapping[str, int]) -> None:
        """Sets a register, by its value or by its fields.

        Raises
        ------
        KeyError : the engine has no such register
        ValueError : the value does not fit, or it is LOG_BASE's and a MARK stands before it
        """
        target = register(engine, name)
        if name == "LOG_BASE" and self._marked:
            raise ValueError("LOG_BASE must be set before the first MARK, which may be executed at any time; move it.")
        number = pack_fields(target.fields, dict(value), name) if isinstance(value, Mapping) else _bits(target, value)
        if self._values[engine, name] != number:
            self._values[engine, name] = number
            self._emit(engine, target.number, number)

    def run(self, engine: Engine, **semaphores: int) -> None:
        """Starts an operation; the semaphores that it gives by the names of RUN's fields."""
        self._emit(engine, Op.RUN, pack_fields(RUN_FIELDS[engine], semaphores, f"RUN of {engine.name}"))

    def wait(self, engine: Engine, semaphore: int, count: int = 1) -> None:
        self._emit(engine, Op.WAIT, _semaphore(semaphore, count))

    def signal(self, engine: Engine, semaphore: int, count: int = 1) -> None:
        self._emit(engine, Op.SIGNAL, _semaphore(semaphore, count))

    def mark(self, number: int) -> None:
        """The counters to slot `number` of the log; no LOG_BASE may follow."""
        self._emit(Engine.EXEC, Op.MARK, number)
        self._marked = True

    def end(self) -> None:
        self._emit(Engine.CONTROL, Op.END, 0)

    def words(self) -> npt.NDArray[np.uint32]:
        """The program, padded to whole beats."""
        return np.array(self._words + [0] * (-len(self._words) % 4), np.uint32)


def _bits(target: Register, value: int) -> int:
    low, high = (-(1 << (target.width - 1)), 1 << (target.width - 1)) if target.signed else (0, 1 << target.width)
    if not low <= value < high:
        raise ValueError(f"{target.name} must be {low} to {high - 1}, not {value}")
    return value & ((1 << target.width) - 1)


def _semaphore(semaphore: int, count: int) -> int:
    return pack_fields(SEMAPHORE_FIELDS, {"semaphore": semaphore, "count": count}, "a semaphore")
