"""The layout of an instruction word, of its values, and of a channel's constants."""

from amaranth.lib import data

from gateware.isa.enumerations import Engine

__all__ = [
    "ADDRESS_BITS",
    "COUNT_BITS",
    "DESTINATION_LEVELS",
    "DST_BITS",
    "DST_COLUMN_BITS",
    "HIGH_BITS",
    "ISA_VERSION",
    "LOG_BEATS",
    "MOST_COUNT",
    "ROW_MAP_BITS",
    "SEMAPHORE_BITS",
    "SEMAPHORE_COUNT_BITS",
    "SOURCE_LEVELS",
    "VALUE_BITS",
    "Constants",
    "InstructionWord",
    "SemaphoreValue",
    "encode",
    "joined",
    "low_and_high",
    "parts",
]

ISA_VERSION = 2
VALUE_BITS = 24
HIGH_BITS = 32 - VALUE_BITS  # of what takes two registers
ADDRESS_BITS = VALUE_BITS  # of a beat address in a register; a memory port may have fewer
SEMAPHORE_BITS = 4
SEMAPHORE_COUNT_BITS = 8
MOST_COUNT = (1 << SEMAPHORE_COUNT_BITS) - 1  # of a semaphore
LOG_BEATS = 4  # beats of counters that a MARK writes
DST_COLUMN_BITS = 10  # packed destination of LOADT: row << 10 | beat column (A), or a beat address (B)
DST_BITS = 22
ROW_MAP_BITS = 14  # of an entry of the row map: the low bits of a beat
COUNT_BITS = 16  # of a loop's count
SOURCE_LEVELS, DESTINATION_LEVELS = 4, 3  # of a load's descriptors


class InstructionWord(data.Struct):
    """One 32-bit word."""

    value: 24
    op: 5
    engine: Engine


class SemaphoreValue(data.Struct):
    """Value of WAIT (blocks until the semaphore holds `count`, then takes it) and SIGNAL (gives `count`)."""

    semaphore: 4
    unused: 4
    count: SEMAPHORE_COUNT_BITS


class Constants(data.Struct):
    """A channel's constants as they lie in memory: one beat. `multiplier` is two's complement."""

    bias: 32
    multiplier: 32
    shift: 8
    unused: 56


def low_and_high(value: int) -> tuple[int, int]:
    """A two's complement value of 32 bits as the registers of its low 24 and its high 8 bits hold it."""
    return value & ((1 << VALUE_BITS) - 1), (value >> VALUE_BITS) & ((1 << HIGH_BITS) - 1)


def joined(low: int, high: int) -> int:
    """The 32 bits, as an unsigned number, that `low_and_high` takes apart."""
    return low | high << VALUE_BITS


def encode(engine: Engine, op: int, value: int) -> int:
    """The 32-bit word. Raises ValueError where the value does not fit 24 bits."""
    if not 0 <= value < 1 << VALUE_BITS:
        raise ValueError(f"value of {engine.name} operation {op} must fit {VALUE_BITS} bits, not {value}")
    return (engine.value << 29) | (op << VALUE_BITS) | value


def parts(word: int) -> tuple[int, int, int]:
    """Number of the engine, operation and value of a 32-bit word; there need not be an engine of that number."""
    return word >> 29, word >> VALUE_BITS & 31, word & ((1 << VALUE_BITS) - 1)
