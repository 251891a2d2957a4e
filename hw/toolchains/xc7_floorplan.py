"""Where the array's multipliers stand on an XC7A35T, for nextpnr-himbaechel.

A DSP's sum goes to the DSP above it in the same column over a wire of its own, four of them an element. The part's die
has two columns of sixty DSPs, two of them in a tile; a block of five tiles lies between the rows of the clock network,
where a chain cannot cross. So a block takes two chains of four, and a column twelve: a column of the array in a column
of the part, row by row. Left to itself the placer strews the chains, and the operands travel across the whole part.
"""

from __future__ import annotations

import json
import re
from typing import Any

from hw.toolchains.netlist import FlatNetlist

__all__ = ["CHAIN", "floorplan", "script", "site"]

CHAIN = 4  # DSPs
# Columns of the die's grid of tiles that are DSPs, and rows of the grid with the lower tile of a chain; the grid's rows
# are counted from the top, a tile of two DSPs is five rows high.
COLUMNS = (28, 86)
LOWER_ROWS = (155, 145, 129, 119, 103, 93, 77, 67, 51, 41, 25, 15)
TILE_ROWS = 5
ELEMENT = re.compile(r"\.\\?element_(\d+)_(\d+)\.")


def site(row: int, column: int, place: int) -> str | None:
    """Where a DSP of the array goes, the `place`th of its chain from below; None where there is no room."""
    if row >= len(LOWER_ROWS) or column >= len(COLUMNS) or place >= CHAIN:
        return None
    up, upper = divmod(place, 2)
    return f"X{COLUMNS[column]}Y{LOWER_ROWS[row] - TILE_ROWS * up}/DSP48_X0Y{upper}.DSP48E1"


def floorplan(netlist: FlatNetlist) -> dict[str, str]:
    """Places of the array's DSPs by cell, of those that are whole chains of four and have one."""
    places: dict[str, str] = {}
    for name, cell in netlist.cells.items():
        found = ELEMENT.search(name)
        if cell["type"] != "DSP48E1" or found is None or _wire(cell, "PCIN") is not None:
            continue
        chain = _chain(netlist, name)
        sites = [site(int(found[1]), int(found[2]), place) for place in range(len(chain))]
        if len(chain) == CHAIN:
            places |= {member: place for member, place in zip(chain, sites, strict=True) if place is not None}
    return places


def script(places: dict[str, str]) -> str:
    """Python that nextpnr runs before it places: it takes places of pads alone from a netlist."""
    return (
        f"for name, place in {json.dumps(places, indent=1)}.items():\n"
        '    ctx.cells[name].setAttr("BEL", place)  # noqa: F821 (nextpnr gives it)\n'
    )


def _wire(cell: dict[str, Any], port: str) -> int | None:
    """The first bit of a port that is a wire; None where it is constant or not there."""
    return next((bit for bit in cell["connections"].get(port, []) if isinstance(bit, int)), None)


def _chain(netlist: FlatNetlist, name: str) -> list[str]:
    """The DSPs from one to the last that gets its sum."""
    chain = [name]
    while (out := _wire(netlist.cells[chain[-1]], "PCOUT")) is not None:
        above = [load for load, port in netlist.loads[out] if port == "PCIN"]
        if len(above) != 1 or above[0] in chain:
            break
        chain.append(above[0])
    return chain
