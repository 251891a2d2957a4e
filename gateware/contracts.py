"""Contracts between units: what one relies on and another guarantees, watched wherever the machine is simulated.

A unit says in its ``elaborate`` what must hold in each cycle (`require`), and which words of a memory an operation
reads and writes (`access`). Both leave nothing in a design unless it is elaborated for `Monitors`, as benches and the
emulated board are (`sim.watched`): no synthesis sees them. docs/verification.md lists the contracts.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Const, Module, Signal, Value, ValueLike
from amaranth.lib import data

__all__ = [
    "NUMBER_BITS",
    "Access",
    "Contract",
    "Ended",
    "Monitors",
    "access",
    "access_layout",
    "begins",
    "require",
    "require_held",
    "watched",
]

NUMBER_BITS = 24
"""Bits of an operation's number: that of its RUN among the words of the program, from 1 on; 0 is no operation."""
MOST_LANES = 64
ONE = Const(1, 1)


@dataclass(frozen=True)
class Contract:
    """What must hold in each cycle in which `unit` is not in reset."""

    unit: str
    text: str
    violated: Signal

    def __str__(self) -> str:
        return f"{self.unit}: {self.text}"


@dataclass(frozen=True)
class Access:
    """A way into a memory whose words have lanes. In each cycle with `valid` the operation that `payload` names reads
    or writes some lanes of a word.
    """

    memory: str
    who: str
    write: bool
    words: int
    lanes: int
    payload: data.View
    valid: Signal


class Ended:
    """What a buffer is told of those who write into it, where contracts are watched: ``told``: an operation is said to
    be over; ``number``: which.
    """

    def __init__(self, who: str) -> None:
        self.who, self.told, self.number = who, Signal(name=f"told_{who}"), Signal(NUMBER_BITS, name=f"number_{who}")


class Monitors:
    """The platform of a design that is watched; holds what its units have stated so far."""

    def __init__(self) -> None:
        self.contracts: list[Contract] = []
        self.accesses: list[Access] = []
        self.begins: Signal | None = None


def access_layout() -> data.StructLayout:
    """What an access shows: its operation's number, the word's address, and the lanes that it means, a bit each."""
    return data.StructLayout({"number": 32, "address": 32, "lanes": MOST_LANES})


def watched(platform: object) -> bool:
    """Whether contracts are watched: what serves nothing else is elaborated only then."""
    return isinstance(platform, Monitors)


def require(m: Module, platform: object, unit: object, text: str, holds: ValueLike) -> None:
    """States that ``holds`` is true in each cycle in which the module's ``sync`` is not in reset.

    Parameters
    ----------
    m, platform : of the unit's ``elaborate``; not within a condition of the module
    unit : the unit itself, or its name
    text : the contract, as a sentence
    """
    if not isinstance(platform, Monitors):
        return
    name = unit if isinstance(unit, str) else type(unit).__name__
    violated = Signal(name=f"contract_{len(platform.contracts)}")
    # A register, so that a unit in reset violates nothing.
    m.d.sync += violated.eq(~Value.cast(holds).bool())
    platform.contracts.append(Contract(name, text, violated))


def require_held(m: Module, platform: object, unit: object, text: str, value: ValueLike, while_: ValueLike) -> None:
    """States that `value` is that of the cycle before in each cycle in which `while_` is true; else as `require`."""
    if isinstance(platform, Monitors):
        now = Value.cast(value)
        before = Signal(len(now), name=f"held_{len(platform.contracts)}")
        m.d.sync += before.eq(now)
        require(m, platform, unit, text, (now == before) | ~Value.cast(while_).bool())


def access(
    m: Module,
    platform: object,
    memory: str,
    who: str,
    *,
    write: bool,
    words: int,
    valid: ValueLike,
    number: ValueLike,
    address: ValueLike,
    lanes: ValueLike = ONE,
) -> None:
    """States that an operation reads or writes a word of a memory in each cycle with ``valid``.

    The emulated board then sees to it that the operations of a program seem to run one after the other: none reads what
    a later one has written, or writes what a later one has read or written.

    Parameters
    ----------
    m, platform : of the unit's ``elaborate``
    memory, who : for the sentence that reports a violation: "operand A", "EXEC"
    write : whether it writes
    words : that the memory has
    valid, number, address, lanes : when; the operation (`NUMBER_BITS`), the word, and a bit for each lane of it
    """
    if not isinstance(platform, Monitors):
        return
    index = len(platform.accesses)
    payload, shown = Signal(access_layout(), name=f"access_{index}"), Signal(name=f"access_{index}_valid")
    m.d.comb += [
        shown.eq(valid),
        payload["number"].eq(number),
        payload["address"].eq(address),
        payload["lanes"].eq(lanes),
    ]
    platform.accesses.append(Access(memory, who, write, words, len(Value.cast(lanes)), payload, shown))


def begins(m: Module, platform: object, program: ValueLike) -> None:
    """States when a program begins: operations before that have nothing to do with those after it."""
    if isinstance(platform, Monitors):
        platform.begins = Signal(name="program_begins")
        m.d.comb += platform.begins.eq(program)
