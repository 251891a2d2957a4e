"""Delay lines, for values that travel beside a pipeline: one register a cycle."""

from typing import Any

from amaranth.hdl import Module, Signal, Value, ValueLike

__all__ = ["delay_line", "delayed"]


def delay_line(
    m: Module,
    value: ValueLike,
    cycles: int,
    name: str,
    *,
    reset: bool = False,
    reset_last: bool = False,
    enable: Value | None = None,
) -> list[Any]:
    """``value`` now, and as it was 1, 2, ... ``cycles`` cycles ago. Each keeps the shape of ``value``.

    Parameters
    ----------
    m : Module
        Gets the registers, in its domain ``sync``.
    value
        A value, or a view of one.
    cycles : int
        Registers, 0 or more.
    name : str
        Register n is called ``name_n``, from 0 on.
    reset : bool
        Give the registers a reset. Three or more without become a shift register in LUTs, where nothing reads its
        middle: right for data, wrong for a valid bit.
    reset_last : bool
        Give the last one a reset. So it stays a register, where a shift register's output would come too late in a
        cycle.
    enable
        Advance only while this is high.
    """
    line: list[Any] = [value]
    for cycle in range(cycles):
        held = Signal(
            value.shape(), name=f"{name}_{cycle}", reset_less=not (reset or (reset_last and cycle == cycles - 1))
        )
        advance = held.eq(line[-1])
        if enable is None:
            m.d.sync += advance
        else:
            with m.If(enable):
                m.d.sync += advance
        line.append(held)
    return line


def delayed(
    m: Module,
    value: ValueLike,
    cycles: int,
    name: str,
    *,
    reset: bool = False,
    reset_last: bool = False,
    enable: Value | None = None,
) -> Any:
    """The end of a `delay_line`: ``value`` as it was ``cycles`` cycles ago."""
    return delay_line(m, value, cycles, name, reset=reset, reset_last=reset_last, enable=enable)[-1]
