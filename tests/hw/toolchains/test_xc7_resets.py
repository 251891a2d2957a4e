"""Wide resets onto global buffers: who is reset by what stays the same."""

import random
from typing import Any

import pytest

from hw.toolchains.errors import ToolError
from hw.toolchains.netlist import FlatNetlist
from hw.toolchains.xc7_resets import buffer_resets

CLOCK, WIDE, WIDER, NARROW = 2, 3, 4, 5


def register(q: int, reset: int | str, kind: str = "FDRE") -> dict[str, Any]:
    connections = {"C": [CLOCK], "D": [q], "CE": ["1"], "R" if kind == "FDRE" else "S": [reset], "Q": [q]}
    directions = {port: "output" if port == "Q" else "input" for port in connections}
    return {"type": kind, "parameters": {}, "attributes": {}, "port_directions": directions, "connections": connections}


def design(loads: dict[int, int]) -> FlatNetlist:
    """So many registers on each reset, in two modules; every third is set by it."""
    cells, names, q = {}, {}, 100
    for reset, number in loads.items():
        for index in range(number):
            cells[f"r{q}"] = register(q, reset, "FDSE" if index % 3 == 0 else "FDRE")
            names[f"{'one' if index % 2 else 'two'}.s{q}"] = {"hide_name": 0, "bits": [q]}
            q += 1
    cells["none"] = register(q, "0")
    inverter = {"type": "INV", "port_directions": {"I": "input", "O": "output"}}
    cells["other"] = {**inverter, "connections": {"I": [WIDER], "O": [q + 1]}}
    shuffled = list(cells.items())
    random.Random(1).shuffle(shuffled)
    return FlatNetlist({"cells": dict(shuffled), "netnames": names, "ports": {}})


def resets(netlist: FlatNetlist) -> dict[str, Any]:
    """By register: its pin, and the net in front of any buffer."""
    found = {}
    for name, cell in netlist.cells.items():
        for port in "RS":
            if cell["type"].startswith("FD") and port in cell["connections"]:
                net = cell["connections"][port][0]
                driver = netlist.drivers.get(net)
                found[name] = port, netlist.cells[driver]["connections"]["I"][0] if driver else net
    return found


def test_wide_resets_get_buffers_of_at_most_2000_loads():
    netlist = design({WIDE: 1000, WIDER: 4500, NARROW: 999})
    before = resets(netlist)
    assert sorted(buffer_resets(netlist)) == [1000, 1500, 1500, 1500]
    assert resets(netlist) == before
    buffers = {name: cell for name, cell in netlist.cells.items() if cell["type"] == "BUFG"}
    assert sorted(len(netlist.loads[cell["connections"]["O"][0]]) for cell in buffers.values()) == [1000, *[1500] * 3]
    assert netlist.loads[NARROW] and netlist.cells["other"]["connections"]["I"] == [WIDER]
    # A module is on as few buffers as its registers allow: 2,250 of a reset on two of three.
    nets: dict[str, set[Any]] = {"one": set(), "two": set()}
    for name, net in netlist.names.items():
        register_name = f"r{net['bits'][0]}"
        if before.get(register_name, ("", 0))[1] == WIDER:
            port = before[register_name][0]
            nets[name.split(".")[0]].add(netlist.cells[register_name]["connections"][port][0])
    assert [len(found) for found in nets.values()] == [2, 2]


def test_more_than_a_region_has_wires_for():
    with pytest.raises(ToolError, match="resets of 18,000 registers would take 9 global buffers"):
        buffer_resets(design({WIDE: 18_000}))
