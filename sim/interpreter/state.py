"""The state of a machine at the level of instructions, and how it is addressed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gateware.config import LANES, AcceleratorConfig
from gateware.isa import REGISTERS, SEMAPHORE_BITS, Engine, ErrorCode, joined, register

__all__ = ["MachineError", "MachineState", "Observer", "looped"]

Observer = Callable[[str, dict[str, Any]], None]


class MachineError(ValueError):
    """The machine would stop here; `code` is what it would report."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def looped(base: int, counts: list[int], jumps: list[int]) -> npt.NDArray[np.int64]:
    """Every address of nested loops, level 0 fastest. Each level has (1 - steps, what a step adds)."""
    places = np.array([base], np.int64)
    for count, jump in zip(counts, jumps, strict=True):
        # From a level's first address to its next: through all that is inside, and then the jump.
        stride = int(places[-1] - places[0]) + jump
        places = (np.arange(1 - count, dtype=np.int64)[:, None] * stride + places[None, :]).reshape(-1)
    return places


@dataclass
class MachineState:
    """Buffers, registers and memory of one machine.

    What has never been written holds seeded noise, so that a program that relies on it shows.

    Parameters
    ----------
    config : the machine
    memory : its DRAM, uint8, whole beats; written in place
    observer : is told of tensors that never reach memory: "load" (rows of a transform), "scores", "probabilities"
    """

    config: AcceleratorConfig
    memory: npt.NDArray[np.uint8]
    observer: Observer | None = None
    semaphores: list[int] = field(default_factory=lambda: [0] * (1 << SEMAPHORE_BITS))

    def __post_init__(self) -> None:
        cfg, noise = self.config, np.random.default_rng(0)
        self.beats = self.memory.reshape(-1, LANES, 4)
        self.a = noise.integers(-128, 128, (cfg.rows, cfg.a_depth, 4)).astype(np.int16)
        self.b = noise.integers(-128, 128, (cfg.b_depth, LANES, 4)).astype(np.int8)
        self.constants = noise.integers(-100, 100, (cfg.const_depth, 3))
        self.norm_constants = noise.integers(-100, 100, (cfg.ln_channels, 3))
        for records in (self.constants, self.norm_constants):
            records[:, 2] = np.abs(records[:, 2])
        self.maxima = noise.integers(-128, 128, cfg.max_rows)
        self.row_map = noise.integers(0, 256, cfg.max_rows)
        self.blocks: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]] = []  # scores, and which are masked
        self.registers = {engine: dict.fromkeys((r.name for r in rs), 0) for engine, rs in REGISTERS.items()}

    def set(self, engine: Engine, number: int, value: int) -> None:
        """A SET. Raises MachineError for a register that is not there."""
        for r in REGISTERS[engine]:
            if r.number == number:
                value &= (1 << r.width) - 1
                self.registers[engine][r.name] = (
                    value - (1 << r.width) if r.signed and value >> (r.width - 1) else value
                )
                return
        raise MachineError(ErrorCode.ILLEGAL_INSTRUCTION, f"{engine.name} has no operation {number}")

    def value(self, engine: Engine, name: str) -> int:
        return self.registers[engine][name]

    def fields(self, engine: Engine, name: str) -> dict[str, int]:
        """A register's fields."""
        value = self.registers[engine][name]
        return {f.name: f.of(value) for f in register(engine, name).fields}

    def joined(self, engine: Engine, low: str, high: str) -> int:
        """The signed 32-bit number in two registers."""
        value = joined(self.registers[engine][low], self.registers[engine][high])
        return value - (1 << 32) if value >> 31 else value

    def check_addresses(self, addresses: npt.NDArray[np.int64], what: str) -> None:
        """Raises MachineError where one is outside memory."""
        if len(addresses) and not (addresses.min() >= 0 and addresses.max() < len(self.beats)):
            raise MachineError(
                ErrorCode.ADDRESS_RANGE,
                f"{what} reaches beats {addresses.min()} to {addresses.max()}, memory has {len(self.beats)}",
            )

    def check_range(self, places: npt.NDArray[np.int64], depth: int, what: str) -> None:
        """Raises MachineError where a place of a buffer is beyond its depth. The gateware does not look: what a program
        of this kind would do there depends on how a buffer is built.
        """
        if places.size and not (places.min() >= 0 and places.max() < depth):
            raise MachineError(
                ErrorCode.ADDRESS_RANGE, f"{what}: places {places.min()} to {places.max()}, there are {depth}"
            )

    def matrix_places(
        self, base: int, slab: int, rows: npt.NDArray[np.int64], columns: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Beat addresses (rows, beat columns) and lanes (rows, 1) of a matrix whose tile 0 begins at `base`."""
        kb = (base & 3) + np.arange(columns, dtype=np.int64)
        addresses = (base & ~3) + (kb[None, :] >> 2) * slab + (rows[:, None] >> 2) * 4 + (kb[None, :] & 3)
        self.check_addresses(addresses.reshape(-1), "an operation")
        return addresses, rows[:, None] & 3

    def observe(self, kind: str, **facts: Any) -> None:
        if self.observer is not None:
            self.observer(kind, facts)
