"""What the fields of the instruction set's words may say: engines, operations, modes, targets, errors."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import enum  # Amaranth's has no types, so that its members would be plain numbers
else:
    from amaranth.lib import enum

__all__ = ["ERROR_SENTENCES", "Engine", "ErrorCode", "LoadTarget", "Op", "PostMode", "Transform"]


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
