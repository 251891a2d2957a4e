"""Where the array's multipliers stand on an LFE5U-85F.

Place and route strews them over the part, for nearly all that there are get used and every one of them pulls at its
neighbours; then most of the part's wires lead to its middle, and the router does not end. A systolic array has an
order of its own. The part has three rows of multipliers, thirteen blocks of four in each, and an element of the array
is a block. Three rows of the array stand in one row of the part, a column of theirs side by side, so that the packed
operand goes from block to block and the shared one over three of them. Every second row of the part runs the other way,
and the packed operand comes down where it ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ROWS", "floorplan", "site"]

# Project Trellis's names: columns of a block's first tile, and of the multipliers from there; rows of the part.
BLOCKS = (4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114)
MULTIPLIERS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
ROWS = (10, 34, 58)
SHARE = 3  # rows of the array in a row of the part
ELEMENT = re.compile(r"(?:^|\.)array\.element_(\d+)_(\d+)\.dot\.(?:product|sum)_(\d)$")


def site(row: int, column: int, product: int) -> str | None:
    """The place of a multiplier of the array; None where there is none."""
    part_row, down = divmod(row, SHARE)
    block = column * SHARE + (SHARE - 1 - down if part_row % 2 else down)
    if part_row >= len(ROWS) or block >= len(BLOCKS) or product >= len(MULTIPLIERS):
        return None
    step, name = MULTIPLIERS[product]
    return f"X{BLOCKS[block] + step}/Y{ROWS[part_row]}/{name}"


def floorplan(module: Mapping[str, Any]) -> int:
    """Tell place and route where the array's multipliers go, those that have a place; returns how many that are."""
    drivers = {
        bits[0]: cell
        for cell in module["cells"].values()
        if cell["type"] == "MULT18X18D"
        for port, bits in cell["connections"].items()
        if cell["port_directions"][port] == "output"
    }
    placed = 0
    for name, net in module["netnames"].items():
        found = ELEMENT.search(name)
        where = site(*(int(number) for number in found.groups())) if found else None
        # Of a product and the sum behind it the multiplier drives one.
        cell = next((drivers[bit] for bit in net["bits"] if bit in drivers), None)
        if where is not None and cell is not None:
            cell["attributes"]["BEL"] = where
            placed += 1
    return placed
