"""Random programs of a load engine, and what must become of them."""

import random
from dataclasses import dataclass

from gateware.control.sequencer import register_layout
from gateware.engines.load.loader import SETTINGS
from gateware.isa import DST_BITS, REGISTERS, Engine, Op, encode, loop_registers

__all__ = ["Operation", "Program"]


@dataclass
class Operation:
    """One RUN: the registers as bits, what it reads and where that goes, whether a setting was written before it."""

    registers: int
    sources: list[int]
    places: list[int]
    done: int
    changed: bool


def walk(base: int, levels: list[tuple[int, int]], bits: int) -> list[int]:
    """Addresses of nested loops of (steps, stride), the innermost first."""
    result = [base]
    for steps, stride in levels:
        result = [place + turn * stride for turn in range(steps) for place in result]
    return [place % (1 << bits) for place in result]


class Program:
    """Words, and what must become of them."""

    def __init__(self, engine: Engine, address_bits: int, rng: random.Random) -> None:
        self.engine, self.bits, self.rng = engine, address_bits, rng
        self.layout = register_layout(engine)
        self.values = {r.name: 0 for r in REGISTERS[engine]}
        self.words: list[int] = []
        self.operations: list[Operation] = []
        self.takes: list[int] = []
        self.gives: list[tuple[int, int]] = []  # SIGNAL's value, and how many operations are before it
        self.touched = False

    def set(self, name: str, value: int) -> None:
        register = next(r for r in REGISTERS[self.engine] if r.name == name)
        bits = value & ((1 << register.width) - 1)
        self.values[name] = bits
        self.touched |= name in SETTINGS
        self.words.append(encode(self.engine, register.number, bits))

    def run(self, steps: list[int] | None = None) -> None:
        rng = self.rng
        steps = steps or [rng.choice([1, 1, 2, 3, rng.randrange(1, 5)]) for _ in range(4)]
        top = 1 << self.bits
        while True:
            source, levels = rng.randrange(top), [(n, rng.randrange(-60, 60)) for n in steps]
            low = sum(min(0, (n - 1) * stride) for n, stride in levels)
            high = sum(max(0, (n - 1) * stride) for n, stride in levels)
            if source + low >= 0 and source + high < top:
                break
        place = rng.getrandbits(DST_BITS)
        merged = [steps[0], steps[1] * steps[2], steps[3]] if rng.random() < 0.5 else [steps[0] * steps[1], *steps[2:]]
        targets = [(n, rng.randrange(-(1 << 20), 1 << 20)) for n in merged]
        wanted = {
            "SRC_BASE": source,
            "DST_BASE": place,
            **loop_registers("SRC", levels),
            **loop_registers("DST", targets),
        }
        for name, value in wanted.items():
            register = next(r for r in REGISTERS[self.engine] if r.name == name)
            if self.values[name] != value & ((1 << register.width) - 1):
                self.set(name, value)
        done = rng.randrange(16)
        self.words.append(encode(self.engine, Op.RUN, done | rng.getrandbits(20) << 4))
        bits = 0
        for field_name, field in self.layout:
            bits |= self.values[field_name.upper()] << field.offset
        self.operations.append(
            Operation(bits, walk(source, levels, 64), walk(place, targets, DST_BITS), done, self.touched)
        )
        self.touched = False

    def any_setting(self) -> None:
        others = [r.name for r in REGISTERS[self.engine] if not r.name.startswith(("SRC", "DST"))]
        self.set(self.rng.choice(others), self.rng.getrandbits(24))

    def wait(self) -> None:
        value = self.rng.getrandbits(16)
        self.takes.append(value)
        self.words.append(encode(self.engine, Op.WAIT, value))

    def signal(self) -> None:
        value = self.rng.getrandbits(16)
        self.gives.append((value, len(self.operations)))
        self.words.append(encode(self.engine, Op.SIGNAL, value))
