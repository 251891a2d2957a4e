"""The array's DSPs on an XC7A35T: chains of four up a column, none over another, none over the clock network's rows."""

import itertools
import re

from hw.toolchains.netlist import FlatNetlist
from hw.toolchains.xc7_floorplan import CHAIN, floorplan, script, site

CLOCK_ROWS = (28, 54, 80, 106, 132)  # rows of the die's grid between blocks of tiles


def dsp(above: int | None, below: int | str, bit: int) -> dict:
    connections = {"PCIN": [below], "P": [bit]} | ({"PCOUT": [above]} if above is not None else {})
    directions = {"PCIN": "input", "P": "output", "PCOUT": "output"}
    return {"type": "DSP48E1", "attributes": {}, "port_directions": directions, "connections": connections}


def chains(rows: int, columns: int, length: int) -> FlatNetlist:
    cells, bit = {}, itertools.count(2)
    for row, column in itertools.product(range(rows), range(columns)):
        below: int | str = "0"
        for place in range(length):
            above = next(bit) if place < length - 1 else None
            name = f"$flatten\\machine.\\array.\\element_{row}_{column}.\\dot.${place}"
            cells[name] = dsp(above, below, next(bit))
            below = above if above is not None else "0"
    cells["$flatten\\machine.\\layernorm.$1"] = dsp(None, "0", next(bit))
    return FlatNetlist({"cells": cells, "netnames": {}, "ports": {}})


def test_every_chain_of_the_array_has_a_place_of_its_own():
    netlist = chains(11, 2, CHAIN)
    bels = floorplan(netlist)
    assert len(bels) == len(set(bels.values())) == 88 and "$flatten\\machine.\\layernorm.$1" not in bels
    for row, column in itertools.product(range(11), range(2)):
        chain = [bels[f"$flatten\\machine.\\array.\\element_{row}_{column}.\\dot.${place}"] for place in range(CHAIN)]
        spots = [re.findall(r"^X(\d+)Y(\d+)/DSP48_X0Y([01]).DSP48E1$", bel)[0] for bel in chain]
        xs, ys, halves = zip(*(map(int, spot) for spot in spots), strict=True)
        # From the lower half of a tile to its upper, then to the tile above, which no clock row separates.
        assert len(set(xs)) == 1 and halves == (0, 1, 0, 1)
        assert ys == (ys[0], ys[0], ys[0] - 5, ys[0] - 5)
        assert not any(ys[3] < clock < ys[0] for clock in CLOCK_ROWS)


def test_what_has_no_place_is_left_to_the_placer():
    assert site(12, 0, 0) is None and site(0, 2, 0) is None and site(0, 0, 4) is None
    assert len(floorplan(chains(14, 3, CHAIN))) == 12 * 2 * CHAIN
    assert not floorplan(chains(2, 2, 3)) and not floorplan(chains(2, 2, 5))


def test_place_and_route_is_told_by_a_script():
    class Cell:
        def setAttr(self, name, value):
            self.told = (name, value)

    places = floorplan(chains(1, 1, CHAIN))
    cells = {name: Cell() for name in places}
    exec(script(places), {"ctx": type("Context", (), {"cells": cells})})
    assert {name: ("BEL", place) for name, place in places.items()} == {name: cell.told for name, cell in cells.items()}
