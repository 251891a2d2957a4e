"""The instruction set: every word's layout, defined once; decoder, assembler and disassembler derive from it.

A program is a sequence of 32-bit words. Bits 31..29 name the engine, 28..24 the operation, 23..0 carry a value.
Operations below `Op.RUN` are SET: they write register number `op` of that engine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amaranth.lib import data

if TYPE_CHECKING:
    import enum  # Amaranth's has no types, so that its members would be plain numbers
else:
    from amaranth.lib import enum

__all__ = [
    "ISA_VERSION",
    "ROW_MAP_BITS",
    "REGISTERS",
    "RUN_FIELDS",
    "COUNT_BITS",
    "Constants",
    "Engine",
    "ERROR_SENTENCES",
    "LOG_BEATS",
    "MOST_COUNT",
    "ErrorCode",
    "Field",
    "InstructionWord",
    "LoadTarget",
    "Op",
    "PostMode",
    "Register",
    "SEMAPHORE_COUNT_BITS",
    "Transform",
    "encode",
    "loop_registers",
    "low_and_high",
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


class Engine(enum.IntEnum, shape=3):
    """Which queue a word goes to."""

    LOADT = 0
    LOADB = 1
    EXEC = 2
    VEC = 3
    CONTROL = 7


class Op(enum.IntEnum, shape=5):
    """Operations other than SET (whose numbers, 0 to 23, are register numbers)."""

    RUN = 24
    WAIT = 25
    SIGNAL = 26
    MARK = 27
    END = 31


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


class Transform(enum.IntEnum, shape=2):
    """What a load does to beats on their way. LOADB knows only IDENTITY and TRANSPOSE, LOADT all but TRANSPOSE."""

    IDENTITY = 0
    LAYERNORM = 1
    SHIFTGELU = 2
    TRANSPOSE = 3  # byte j of lane i becomes byte i of lane j


class LoadTarget(enum.IntEnum, shape=2):
    """Where a load writes. LOADT: A or B. LOADB: B, CONSTANTS, LAYERNORM (its per-channel constants) or ROW_MAP, which
    has A's number.
    """

    A = 0
    ROW_MAP = 0
    B = 1
    CONSTANTS = 2
    LAYERNORM = 3


class PostMode(enum.IntEnum, shape=2):
    """What the postprocessor makes of an accumulator: 32 bit with bias, 8, 16, or 16 bit with a residual added."""

    RAW = 0
    Q8 = 1
    Q16 = 2
    RESIDUAL = 3


class ErrorCode(enum.IntEnum, shape=4):
    """Why the machine stopped; 0 while it has not."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    ADDRESS_RANGE = 2
    WRONG_CONFIG = 3
    WATCHDOG = 4
    SEMAPHORE_OVERFLOW = 5


ERROR_SENTENCES = {
    ErrorCode.ILLEGAL_INSTRUCTION: "the program has an instruction that the machine does not know",
    ErrorCode.ADDRESS_RANGE: "the program reaches outside memory",
    ErrorCode.WRONG_CONFIG: "the program was compiled for another machine",
    ErrorCode.WATCHDOG: "nothing moved for too long, as in a deadlock of semaphores",
    ErrorCode.SEMAPHORE_OVERFLOW: "a semaphore overflowed",
}


class Constants(data.Struct):
    """A channel's constants as they lie in memory: one beat. `multiplier` is two's complement."""

    bias: 32
    multiplier: 32
    shift: 8
    unused: 56


@dataclass(frozen=True)
class Field:
    """Bits `low .. low+width-1` of a register's value."""

    name: str
    low: int
    width: int


@dataclass(frozen=True)
class Register:
    """One engine register: its number (the SET operation), width in bits, sign, meaning, and its fields, if any."""

    name: str
    number: int
    width: int
    text: str
    signed: bool = False
    fields: tuple[Field, ...] = ()


def _loops(prefix: str, first: int, levels: int, jump_bits: int) -> list[Register]:
    """COUNT and JUMP of each level, level 0 innermost."""
    registers = []
    for level in range(levels):
        count = f"level {level} (0 innermost): 1 - steps"
        jump = f"level {level}: added at its step, while the inner levels begin anew"
        number = first + 2 * level
        registers.append(Register(f"{prefix}_COUNT{level}", number, COUNT_BITS, count, signed=True))
        registers.append(Register(f"{prefix}_JUMP{level}", number + 1, jump_bits, jump, signed=True))
    return registers


_LOAD_CONFIG = Register(
    "CONFIG",
    16,
    20,
    "target, transform; LOADT only: rows from `row_limit` on are dropped; LayerNorm of int8; or to int16, of which the "
    "high byte leaves, or the low one less 128",
    fields=(
        Field("target", 0, 2),
        Field("transform", 2, 2),
        Field("row_limit", 4, 12),
        Field("narrow", 16, 1),
        Field("wide", 17, 1),
        Field("low", 18, 1),
    ),
)

_DESCRIPTORS = (
    Register("SRC_BASE", 0, ADDRESS_BITS, "beat address of the first beat"),
    *_loops("SRC", 1, SOURCE_LEVELS, VALUE_BITS),
    Register("DST_BASE", 9, DST_BITS, "destination of the first beat: a beat address, or row << 10 | k for target A"),
    *_loops("DST", 10, DESTINATION_LEVELS, DST_BITS),
)

REGISTERS: dict[Engine, tuple[Register, ...]] = {
    Engine.LOADT: (
        *_DESCRIPTORS,
        _LOAD_CONFIG,
        Register("A_BASE", 17, 16, "address in the A buffer of row 0, k 0"),
        Register("A_BLOCK_STRIDE", 18, 16, "A addresses from one block of R rows to the next"),
        Register("GROUPS", 19, 24, "row groups and beats", fields=(Field("groups", 0, 10), Field("channels", 10, 14))),
        Register("MAX_GROUP", 20, 10, "ShiftGELU: row group whose row maxima come first"),
        Register(
            "GELU_CONFIG",
            21,
            24,
            "ShiftGELU: |x0| and the rescale's shift",
            fields=(Field("x0", 0, 16), Field("shift", 16, 8)),
        ),
        Register(
            "MULTIPLIER_LO",
            22,
            24,
            "ShiftGELU: rescale multiplier (two's complement), low 24 bits",
        ),
        Register("MULTIPLIER_HI", 23, 8, "high 8 bits of the same"),
    ),
    Engine.LOADB: (*_DESCRIPTORS, _LOAD_CONFIG),
    Engine.EXEC: (
        Register("A_BASE", 0, 16, "A address of block 0, step 0"),
        Register("A_BLOCK_STRIDE", 1, 16, "A addresses between blocks"),
        Register("B_BASE", 2, 16, "B address of tile 0, step 0"),
        Register("B_TILE_STRIDE", 3, 16, "B addresses between tiles"),
        Register("STEPS", 4, 16, "dot-4 steps a tile", fields=(Field("k_steps", 0, 14), Field("halves", 14, 1))),
        Register("TILES", 5, 12, "tiles (four columns each) a block"),
        Register("BLOCKS", 6, 24, "blocks of R rows", fields=(Field("blocks", 0, 12), Field("rows_last", 12, 8))),
        Register(
            "POST",
            7,
            8,
            "what happens to the accumulators",
            fields=(
                Field("mode", 0, 2),
                Field("to_scores", 2, 1),
                Field("track_max", 3, 1),
                Field("max_first", 4, 1),
                Field("clamp_packed", 5, 1),
                Field("scatter", 6, 1),
                Field("octets", 7, 1),
            ),
        ),
        Register("CONST_BASE", 8, 16, "channel of tile 0, column 0 in the constant memory"),
        Register("CONST_TILE_STRIDE", 9, 16, "channels between tiles (4, or 0 for constants of the whole tensor)"),
        Register("OUT_BASE", 10, 24, "beat address of row 0, beat column of tile 0"),
        Register("OUT_SLAB", 11, 24, "beats between slabs of four beat columns"),
        Register("OUT_ROW", 12, 12, "matrix row of block 0, row 0; also the row of the row maxima"),
        Register("SKIP_BASE", 13, 24, "beat address of the skip operand's row 0, beat column of tile 0"),
        Register("SKIP_SLAB", 14, 24, "beats between its slabs"),
        Register("BRANCH_LO", 15, 24, "residual: multiplier of the branch, low 24 bits"),
        Register("BRANCH_HI", 16, 8, "its high 8 bits"),
        Register("SKIP_LO", 17, 24, "residual: multiplier of the skip, low 24 bits"),
        Register("SKIP_HI", 18, 8, "its high 8 bits"),
        Register("SHIFTS", 19, 16, "residual: shifts", fields=(Field("branch", 0, 8), Field("skip", 8, 8))),
        Register("SCORE_LENGTH", 20, 12, "columns that count as scores of a row, with `to_scores`"),
        Register("SKIP_ROW", 21, 12, "matrix row of the skip operand of block 0, row 0"),
    ),
    Engine.VEC: (
        Register("X0", 0, 16, "|x0| of the shift exponential"),
        Register("LENGTH", 1, 16, "scores a row", fields=(Field("length", 0, 12),)),
        Register("ROWS", 2, 8, "rows of the block"),
        Register("A_BASE", 3, 16, "A address of the first word of probabilities"),
        Register("A_LOW", 4, 16, "A addresses from the high halves to the low halves (16-bit probabilities)"),
    ),
    Engine.CONTROL: (
        Register("FINGERPRINT_LO", 0, 24, "low 24 bits of the configuration's fingerprint"),
        Register("FINGERPRINT_HI", 1, 8, "its high 8 bits; compared when written"),
        Register("LOG_BASE", 2, 24, "beat address where MARK writes counters"),
    ),
}

RUN_FIELDS: dict[Engine, tuple[Field, ...]] = {
    Engine.LOADT: (Field("done", 0, 4),),
    Engine.LOADB: (Field("done", 0, 4),),
    Engine.EXEC: (Field("read", 0, 4), Field("read2", 4, 4), Field("written", 8, 4), Field("written2", 12, 4)),
    Engine.VEC: (Field("done", 0, 4),),
}


def low_and_high(value: int) -> tuple[int, int]:
    """A two's complement value of 32 bits as the registers of its low 24 and its high 8 bits hold it."""
    return value & ((1 << VALUE_BITS) - 1), (value >> VALUE_BITS) & ((1 << HIGH_BITS) - 1)


def encode(engine: Engine, op: int, value: int) -> int:
    """The 32-bit word. Raises ValueError where the value does not fit 24 bits."""
    if not 0 <= value < 1 << VALUE_BITS:
        raise ValueError(f"value of {engine.name} operation {op} must fit {VALUE_BITS} bits, not {value}")
    return (engine.value << 29) | (op << VALUE_BITS) | value


def register(engine: Engine, name: str) -> Register:
    """The register of that name. Raises KeyError with the engine's register names."""
    for candidate in REGISTERS[engine]:
        if candidate.name == name:
            return candidate
    raise KeyError(f"{engine.name} has no register {name}; it has {', '.join(r.name for r in REGISTERS[engine])}")


def pack_fields(fields: tuple[Field, ...], values: dict[str, int], what: str) -> int:
    """The value whose fields are `values`, missing ones 0. Raises ValueError for an unknown field or a wide value."""
    known = {f.name: f for f in fields}
    word = 0
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{what} has no field '{name}'; it has {', '.join(known)}")
        if not 0 <= value < 1 << known[name].width:
            raise ValueError(f"{what}.{name} must fit {known[name].width} bits, not {value}")
        word |= value << known[name].low
    return word


def loop_registers(prefix: str, levels: Sequence[tuple[int, int]]) -> dict[str, int]:
    """Registers of a load's descriptor `prefix` (SRC or DST) for levels of (steps, stride), level 0 innermost.

    A level that has one step has no jump. Destinations wrap at their width; a source must not jump further than its
    register can say. Raises ValueError for too many levels, and for steps or a jump that do not fit.
    """
    most, bits = (SOURCE_LEVELS, VALUE_BITS) if prefix == "SRC" else (DESTINATION_LEVELS, DST_BITS)
    if len(levels) > most:
        raise ValueError(f"{prefix} has {most} levels, not {len(levels)}")
    registers, back = {}, 0
    for level in range(most):
        steps, stride = levels[level] if level < len(levels) else (1, 0)
        if not 1 <= steps <= 1 << (COUNT_BITS - 1):
            raise ValueError(f"{prefix}'s level {level} takes 1 to {1 << (COUNT_BITS - 1)} steps, not {steps}")
        registers[f"{prefix}_COUNT{level}"] = 1 - steps
        if steps > 1:
            jump = stride - back
            if prefix == "DST":
                jump = ((jump + (1 << (bits - 1))) % (1 << bits)) - (1 << (bits - 1))
            if not -1 << (bits - 1) <= jump < 1 << (bits - 1):
                raise ValueError(f"{prefix}'s level {level} would jump by {jump}, which {bits} bits cannot say")
            registers[f"{prefix}_JUMP{level}"] = jump
        back += (steps - 1) * stride
    return registers
