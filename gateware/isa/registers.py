"""The registers of each engine and the fields of RUN, by name, number and width."""

from dataclasses import dataclass

from amaranth.lib import data

from gateware.isa.enumerations import Engine
from gateware.isa.words import (
    ADDRESS_BITS,
    COUNT_BITS,
    DESTINATION_LEVELS,
    DST_BITS,
    SOURCE_LEVELS,
    VALUE_BITS,
    SemaphoreValue,
)

__all__ = ["REGISTERS", "RUN_FIELDS", "SEMAPHORE_FIELDS", "Field", "Register", "fields_of", "pack_fields", "register"]


@dataclass(frozen=True)
class Field:
    """Bits `low .. low+width-1` of a register's value."""

    name: str
    low: int
    width: int

    def of(self, value: int) -> int:
        """What these bits of a register's value say."""
        return value >> self.low & ((1 << self.width) - 1)


def fields_of(layout: type[data.Struct]) -> tuple[Field, ...]:
    """The named bits of one of the instruction set's layouts, lowest first."""
    return tuple(Field(name, f.offset, f.width) for name, f in layout.as_shape() if name != "unused")


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
        count = f"1 minus the steps of level {level}{', the innermost loop' * (level == 0)}"
        jump = f"added to the address at each step of level {level}{'; inner levels then begin again' * (level > 0)}"
        number = first + 2 * level
        registers.append(Register(f"{prefix}_COUNT{level}", number, COUNT_BITS, count, signed=True))
        registers.append(Register(f"{prefix}_JUMP{level}", number + 1, jump_bits, jump, signed=True))
    return registers


_LOAD_CONFIG = Register(
    "CONFIG",
    16,
    20,
    "where beats go, and how they are transformed. LOADT only: `row_limit` is the first row that is dropped; with "
    "`narrow` LayerNorm reads int8; with `wide` it gives int16 and writes the high byte, or with `low` the low byte "
    "minus 128",
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
    Register("DST_BASE", 9, DST_BITS, "destination of the first beat: an address, or row << 10 | k for target A"),
    *_loops("DST", 10, DESTINATION_LEVELS, DST_BITS),
)

REGISTERS: dict[Engine, tuple[Register, ...]] = {
    Engine.LOADT: (
        *_DESCRIPTORS,
        _LOAD_CONFIG,
        Register("A_BASE", 17, 16, "address of row 0, step 0 in the A buffer"),
        Register("A_BLOCK_STRIDE", 18, 16, "A addresses from one block of R rows to the next"),
        Register(
            "GROUPS",
            19,
            24,
            "LayerNorm, ShiftGELU: row groups, and channels of a row",
            fields=(Field("groups", 0, 10), Field("channels", 10, 14)),
        ),
        Register("MAX_GROUP", 20, 10, "ShiftGELU: the first row group, by whose number row maxima are read"),
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
        Register(
            "STEPS",
            4,
            16,
            "steps of four products in a tile, and how elements of A are read: in two `halves`, or `unsigned`",
            fields=(Field("k_steps", 0, 14), Field("halves", 14, 1), Field("unsigned", 15, 1)),
        ),
        Register("TILES", 5, 12, "tiles in a block; a tile has four columns"),
        Register(
            "BLOCKS",
            6,
            24,
            "blocks of R rows, and the rows of the last one",
            fields=(Field("blocks", 0, 12), Field("rows_last", 12, 8)),
        ),
        Register(
            "POST",
            7,
            8,
            "what becomes of the accumulators",
            fields=(
                Field("mode", 0, 2),
                Field("to_scores", 2, 1),
                Field("track_max", 3, 1),
                Field("max_first", 4, 1),
                Field("clamp_packed", 5, 1),
                Field("scatter", 6, 1),
                Field("int8", 7, 1),
            ),
        ),
        Register("CONST_BASE", 8, 16, "channel of tile 0, column 0 in the constant memory"),
        Register(
            "CONST_TILE_STRIDE",
            9,
            16,
            "channels from one tile to the next: 4, or 0 if the whole tensor has one constant",
        ),
        Register("OUT_BASE", 10, 24, "beat address of row 0, beat column of tile 0"),
        Register("OUT_SLAB", 11, 24, "beats between slabs of four beat columns"),
        Register("OUT_ROW", 12, 12, "matrix row of the result's first row; its maximum is kept under the same number"),
        Register("SKIP_BASE", 13, 24, "beat address of row 0 of the skip operand, beat column of tile 0"),
        Register("SKIP_SLAB", 14, 24, "beats between slabs of the skip operand"),
        Register("BRANCH_LO", 15, 24, "RESIDUAL: multiplier of the new branch, low 24 bits"),
        Register("BRANCH_HI", 16, 8, "high 8 bits of the same"),
        Register("SKIP_LO", 17, 24, "RESIDUAL: multiplier of the skip operand, low 24 bits"),
        Register("SKIP_HI", 18, 8, "high 8 bits of the same"),
        Register(
            "SHIFTS",
            19,
            16,
            "RESIDUAL: shifts of both multipliers",
            fields=(Field("branch", 0, 8), Field("skip", 8, 8)),
        ),
        Register("SCORE_LENGTH", 20, 12, "with `to_scores`: columns that count as scores; the others are ignored"),
        Register("SKIP_ROW", 21, 12, "matrix row of the skip operand that belongs to the first row of the result"),
    ),
    Engine.VEC: (
        Register("X0", 0, 16, "|x0| of the shift exponential"),
        Register("LENGTH", 1, 16, "scores in a row", fields=(Field("length", 0, 12),)),
        Register("ROWS", 2, 8, "rows in the block"),
        Register("A_BASE", 3, 16, "A address of the first word of probabilities"),
        Register("A_LOW", 4, 16, "16-bit probabilities: A addresses from the high halves to the low halves"),
    ),
    Engine.CONTROL: (
        Register("FINGERPRINT_LO", 0, 24, "low 24 bits of the configuration's fingerprint"),
        Register("FINGERPRINT_HI", 1, 8, "high 8 bits of the same; writing it compares the fingerprint"),
        Register("LOG_BASE", 2, 24, "beat address where MARK writes counters"),
    ),
}

RUN_FIELDS: dict[Engine, tuple[Field, ...]] = {
    Engine.LOADT: (Field("done", 0, 4),),
    Engine.LOADB: (Field("done", 0, 4),),
    Engine.EXEC: (Field("read", 0, 4), Field("read2", 4, 4), Field("written", 8, 4), Field("written2", 12, 4)),
    Engine.VEC: (Field("done", 0, 4),),
}
SEMAPHORE_FIELDS = fields_of(SemaphoreValue)  # of WAIT and SIGNAL


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
