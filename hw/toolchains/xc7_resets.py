"""Wide resets of an xc7: each goes onto global buffers, where it has wires of its own that reach every slice.

A part has 32 global buffers, and a region of it twelve clock wires.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil

from hw.toolchains.errors import ToolError
from hw.toolchains.netlist import FlatNetlist

__all__ = ["buffer_resets"]

RESETS = {"FDRE": "R", "FDSE": "S"}
MANY_LOADS = 1000
MOST_LOADS = 2000  # of one buffer
MOST_BUFFERS = 8


def buffer_resets(netlist: FlatNetlist) -> list[int]:
    """Put synchronous resets of very many registers onto global buffers; returns how many loads each buffer has.

    Registers of one module stay together, as far as a buffer's loads allow. Raises ToolError where that would take more
    buffers than a region has wires for.
    """
    loads: defaultdict[int, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in netlist.cells.items():
        port = RESETS.get(cell["type"])
        if port and isinstance(bit := cell["connections"].get(port, ["0"])[0], int):
            loads[bit].append((name, port))
    signals = {
        bit: name for name, net in netlist.names.items() if not net.get("hide_name") for bit in map(str, net["bits"])
    }
    wide = [(bit, found) for bit, found in loads.items() if len(found) >= MANY_LOADS]
    buffered: list[int] = []
    for bit, found in sorted(wide, key=lambda entry: -len(entry[1])):
        found.sort(key=lambda load: (signals.get(str(netlist.cells[load[0]]["connections"]["Q"][0]), ""), load))
        each = ceil(len(found) / ceil(len(found) / MOST_LOADS))
        for first in range(0, len(found), each):
            buffered.append(_buffer(netlist, bit, f"reset_buffer_{len(buffered)}", found[first : first + each]))
    if len(buffered) > MOST_BUFFERS:
        raise ToolError(
            f"resets of {sum(buffered):,} registers would take {len(buffered)} global buffers, and {MOST_BUFFERS} are "
            "free in every region; choose --toolchain vivado."
        )
    return buffered


def _buffer(netlist: FlatNetlist, source: int, name: str, loads: list[tuple[str, str]]) -> int:
    """A global buffer between a net and some of its loads; returns how many these are."""
    spread = netlist.new_net(name)
    for cell, port in loads:
        netlist.connect(cell, port, spread)
    netlist.cells[name] = {
        "hide_name": 0,
        "type": "BUFG",
        "parameters": {},
        "attributes": {},
        "port_directions": {"I": "input", "O": "output"},
        "connections": {"O": [spread]},
    }
    netlist.drivers[spread] = name
    netlist.connect(name, "I", source)
    return len(loads)
