"""Registers of a load's descriptors, from loops of steps and strides."""

from collections.abc import Sequence

from gateware.isa.words import COUNT_BITS, DESTINATION_LEVELS, DST_BITS, SOURCE_LEVELS, VALUE_BITS

__all__ = ["loop_registers"]


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
