"""Contracts between units: what one relies on and another guarantees, watched wherever the machine is simulated.

A unit says in its ``elaborate`` what must hold in each cycle (`require`), and which words of a memory an operation
reads and writes (`reads`, `writes`). Nothing of it is in a design that is not elaborated for `Monitors`, as benches and
the emulated board are (`sim.watched`): no synthesis sees it. docs/verification.md lists the contracts.
"""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.hdl import Module, Signal, Value, ValueLike

from gateware.config import LANES

__all__ = [
    "NUMBER_BITS",
    "Access",
    "Contract",
    "Ended",
    "Monitors",
    "Shared",
    "begins",
    "dram",
    "reads",
    "require",
    "require_held",
    "watched",
    "writes",
]

NUMBER_BITS = 24
"""Bits of an operation's number: that of its RUN among the words of the program, from 1 on; 0 is no operation."""


@dataclass(frozen=True)
class Contract:
    """What must hold in each cycle in which `unit` is not in reset."""

    unit: str
    text: str
    violated: Signal

    def __str__(self) -> str:
        return f"{self.unit}: {self.text}"


@dataclass(frozen=True)
class Shared:
    """A memory that operations share, of words that have lanes, at most 64."""

    name: str
    words: int
    lanes: int = 1


class Access:
    """A way into a memory. In each cycle with ``valid`` the operation ``number`` reads or writes ``lanes``, a bit each,
    of the word ``address``. ``domain``: whose cycles those are.
    """

    def __init__(self, memory: Shared, who: str, write: bool, domain: str = "sync") -> None:
        self.memory, self.who, self.write, self.domain = memory, who, write, domain
        self.shown = {name: Signal(width, name=f"access_{name}") for name, width in self.widths.items()}

    @property
    def widths(self) -> dict[str, int]:
        """Bits of what is shown, by name."""
        address = (self.memory.words - 1).bit_length()
        return {"valid": 1, "number": NUMBER_BITS, "address": address, "lanes": self.memory.lanes}


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


def dram(address_bits: int) -> Shared:
    """The memory behind the memory port, by beats."""
    return Shared("memory", 1 << address_bits, LANES)


def watched(platform: object) -> bool:
    """Whether contracts are watched: what serves nothing else is elaborated only then."""
    return isinstance(platform, Monitors)


def require(m: Module, platform: object, unit: object, text: str, holds: ValueLike, *, domain: str = "sync") -> None:
    """States that ``holds`` is true in each cycle in which the module's ``sync`` is not in reset.

    Parameters
    ----------
    m, platform : of the unit's ``elaborate``; not within a condition of the module
    unit : the unit itself, or its name
    text : the contract, as a sentence
    domain : another one, where its cycles are meant
    """
    if not isinstance(platform, Monitors):
        return
    name = unit if isinstance(unit, str) else type(unit).__name__
    violated = Signal(name=f"contract_{len(platform.contracts)}")
    # A register, so that a unit in reset violates nothing; once set it stays, so that a slower clock sees it.
    m.d[domain] += violated.eq(violated | ~Value.cast(holds).bool())
    platform.contracts.append(Contract(name, text, violated))


def require_held(m: Module, platform: object, unit: object, text: str, value: ValueLike, while_: ValueLike) -> None:
    """States that `value` is that of the cycle before in each cycle in which `while_` is true; else as `require`."""
    if isinstance(platform, Monitors):
        now = Value.cast(value)
        before = Signal(len(now), name=f"held_{len(platform.contracts)}")
        m.d.sync += before.eq(now)
        require(m, platform, unit, text, (now == before) | ~Value.cast(while_).bool())


def reads(
    m: Module,
    platform: object,
    memory: Shared,
    who: str,
    valid: ValueLike,
    number: ValueLike,
    address: ValueLike,
    lanes: Value | None = None,
    domain: str = "sync",
) -> None:
    """States that an operation reads a word of a memory in each cycle with ``valid``.

    The emulated board then sees to it that the operations of a program seem to run one after the other: none reads what
    a later one has written, or writes what a later one has read or written.

    Parameters
    ----------
    m, platform : of the unit's ``elaborate``
    memory, who : the memory, and who it is that reads
    valid, number, address : when; which operation (`NUMBER_BITS`), which word
    lanes : which of its lanes, a bit each; all by default
    domain : of ``valid`` and what is beside it
    """
    _access(m, platform, Access(memory, who, False, domain), (valid, number, address), lanes)


def writes(
    m: Module,
    platform: object,
    memory: Shared,
    who: str,
    valid: ValueLike,
    number: ValueLike,
    address: ValueLike,
    lanes: Value | None = None,
) -> None:
    """States that an operation writes a word; else as `reads`."""
    _access(m, platform, Access(memory, who, True), (valid, number, address), lanes)


def _access(m: Module, platform: object, access: Access, values: tuple[ValueLike, ...], lanes: Value | None) -> None:
    if isinstance(platform, Monitors):
        whole = (1 << access.memory.lanes) - 1
        for shown, value in zip(access.shown.values(), (*values, whole if lanes is None else lanes), strict=True):
            m.d.comb += shown.eq(value)
        platform.accesses.append(access)


def begins(m: Module, platform: object, program: ValueLike) -> None:
    """States when a program begins: operations before that have nothing to do with those after it."""
    if isinstance(platform, Monitors):
        platform.begins = Signal(name="program_begins")
        m.d.comb += platform.begins.eq(program)
