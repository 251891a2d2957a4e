"""The instruction set: every word's layout, defined once; decoder, assembler and disassembler derive from it.

A program is a sequence of 32-bit words. Bits 31..29 name the engine, 28..24 the operation, 23..0 carry a value.
Operations below `Op.RUN` are SET: they write register number `op` of that engine.
"""

from gateware.isa.descriptors import loop_registers
from gateware.isa.enumerations import ERROR_SENTENCES, Engine, ErrorCode, LoadTarget, Op, PostMode, Transform
from gateware.isa.registers import (
    REGISTERS,
    RUN_FIELDS,
    SEMAPHORE_FIELDS,
    Field,
    Register,
    fields_of,
    pack_fields,
    register,
)
from gateware.isa.words import (
    ADDRESS_BITS,
    COUNT_BITS,
    DESTINATION_LEVELS,
    DST_BITS,
    DST_COLUMN_BITS,
    ISA_VERSION,
    LOG_BEATS,
    MOST_COUNT,
    ROW_MAP_BITS,
    SEMAPHORE_BITS,
    SEMAPHORE_COUNT_BITS,
    SOURCE_LEVELS,
    VALUE_BITS,
    Constants,
    InstructionWord,
    SemaphoreValue,
    encode,
    joined,
    low_and_high,
    parts,
)

__all__ = [
    "ADDRESS_BITS",
    "COUNT_BITS",
    "DESTINATION_LEVELS",
    "DST_BITS",
    "DST_COLUMN_BITS",
    "ERROR_SENTENCES",
    "ISA_VERSION",
    "LOG_BEATS",
    "MOST_COUNT",
    "REGISTERS",
    "ROW_MAP_BITS",
    "RUN_FIELDS",
    "SEMAPHORE_BITS",
    "SEMAPHORE_COUNT_BITS",
    "SEMAPHORE_FIELDS",
    "SOURCE_LEVELS",
    "VALUE_BITS",
    "Constants",
    "Engine",
    "ErrorCode",
    "Field",
    "InstructionWord",
    "LoadTarget",
    "Op",
    "PostMode",
    "Register",
    "SemaphoreValue",
    "Transform",
    "encode",
    "fields_of",
    "joined",
    "loop_registers",
    "low_and_high",
    "pack_fields",
    "parts",
    "register",
]
