"""Two pages of beats: a slab's beat columns of a block, as they leave for memory or come from there."""

from amaranth.hdl import Cat, Value
from amaranth.lib import data

from gateware.config import LANES

__all__ = ["PAGES", "block_groups", "counting_lanes", "page_cell_layout"]

PAGES = 2  # one is filled while the other is emptied


def block_groups(rows: int) -> int:
    """Row groups (four matrix rows, a beat) that a block of ``rows`` rows can touch, wherever it begins."""
    return (rows + 2 * LANES - 2) // LANES


def page_cell_layout(rows: int) -> data.StructLayout:
    """The address of a beat in the pages."""
    group_bits = (block_groups(rows) - 1).bit_length()
    return data.StructLayout({"column": 2, "group": group_bits, "page": range(PAGES)})


def counting_lanes(group: Value, last_group: Value, first_lane: Value, last_lane: Value) -> Value:
    """Which lanes of a row group hold rows of the block, a bit each; the block's first row is in group 0."""
    return Cat(
        ((group != 0) | (first_lane <= lane)) & ((group != last_group) | (last_lane >= lane)) for lane in range(LANES)
    )
