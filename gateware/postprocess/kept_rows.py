"""Rows that wait in a memory for their second pass: there when they are used, and used when they are overwritten."""

from amaranth.hdl import Module, Signal, Value

from gateware.contracts import require, watched

__all__ = ["watch_rows"]


def watch_rows(
    m: Module,
    platform: object,
    unit: object,
    name: str,
    rows: int,
    written: tuple[Value, Value],
    used: tuple[Value, Value],
) -> None:
    """States that each row is written, then used once, then written again.

    Parameters
    ----------
    name : of what is kept
    rows : that are kept
    written, used : in a cycle, or not; and which row
    """
    if not watched(platform):
        return
    here, after = Signal(rows, name=f"kept_{name}"), Signal(rows, name=f"kept_{name}_after")
    (writes, into), (uses, out_of) = written, used
    m.d.comb += after.eq(here & ~(uses << out_of))
    m.d.sync += here.eq(after | (writes << into))
    there, free = here.bit_select(out_of, 1), ~after.bit_select(into, 1)
    require(m, platform, unit, f"a row's {name} is there when it is used", ~uses | there)
    require(m, platform, unit, f"a row's {name} stays until it is used", ~writes | free)
