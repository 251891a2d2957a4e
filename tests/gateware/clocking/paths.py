"""The paths between the clock domains `sync` and `fast` of a design, from register to register.

python -m tests.gateware.clocking.paths lists those of a whole machine; exit status 1 when one has logic in it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from gateware.config import config
from gateware.machine import Machine
from hw.toolchains.process import run_tool
from hw.toolchains.yosys import yosys

__all__ = ["Crossing", "paths"]

SCRIPT = """read_rtlil top.il
hierarchy -top top
proc
flatten
opt_expr
opt_clean
opt_dff
opt_clean
write_json flat.json
"""
REGISTERS = {"$dff", "$dffe", "$sdff", "$sdffe", "$sdffce", "$adff", "$adffe", "$aldff"}
SECONDS = 900.0


@dataclass(frozen=True, order=True)
class Crossing:
    """From a register of one domain to one of the other, by the names of their signals. ``direct``: with nothing in
    between, to its data.
    """

    source: str
    target: str
    into: str
    direct: bool

    def __str__(self) -> str:
        return f"to {self.into}: {self.source} -> {self.target}{'' if self.direct else ', with logic in between'}"


class _Netlist:
    """A flat netlist: who drives each bit, and from which registers it comes."""

    def __init__(self, top: dict[str, Any]) -> None:
        self.cells, names = top["cells"].values(), top["netnames"]
        self.domains = {names[port]["bits"][0]: name for port, name in (("clk", "sync"), ("fast_clk", "fast"))}
        self.drivers = {
            bit: cell
            for cell in self.cells
            for port, bits in cell["connections"].items()
            if cell["port_directions"][port] == "output"
            for bit in bits
        }
        self.names: dict[int, str] = {}
        for name in sorted(names, key=lambda name: ("$" in name, len(name))):
            for bit in names[name]["bits"]:
                self.names.setdefault(bit, name)
        self._from: dict[int, frozenset[int]] = {}

    def domain(self, cell: dict[str, Any]) -> str:
        return self.domains[cell["connections"]["CLK"][0]]

    def registers(self, bit: int | str) -> frozenset[int]:
        """Outputs of registers that the bit depends on in the same cycle."""
        if isinstance(bit, str) or bit not in self.drivers:
            return frozenset()
        if bit not in self._from:
            cell = self.drivers[bit]
            if cell["type"] in REGISTERS:
                self._from[bit] = frozenset((bit,))
            else:
                self._from[bit] = frozenset()
                inputs = (
                    one
                    for port, bits in cell["connections"].items()
                    # What comes out of a memory with a clock does not hang on its address in the same cycle.
                    if cell["port_directions"][port] == "input" and not _clocked(cell)
                    for one in bits
                )
                self._from[bit] = frozenset().union(*(self.registers(one) for one in inputs))
        return self._from[bit]


def _clocked(cell: dict[str, Any]) -> bool:
    return str(cell["type"]).startswith("$memrd") and int(cell["parameters"]["CLK_ENABLE"], 2) == 1


def paths(component: Elaboratable) -> list[Crossing]:
    """Every path between the domains, each pair of signals once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.il").write_text(rtlil.convert(component, name="top", emit_src=False))
        (folder / "flat.ys").write_text(SCRIPT)
        run_tool("flattening", [yosys(), "-q", "-s", "flat.ys"], folder, ["flat.json"], SECONDS)
        netlist = _Netlist(json.loads((folder / "flat.json").read_text())["modules"]["top"])
    found = set()
    for cell in netlist.cells:
        if cell["type"] not in REGISTERS:
            continue
        connections, into = cell["connections"], netlist.domain(cell)
        for port in connections.keys() - {"CLK", "Q"}:
            for index, bit in enumerate(connections[port]):
                target = netlist.names.get(connections["Q"][index if port == "D" else 0], "?")
                for source in netlist.registers(bit):
                    if netlist.domain(netlist.drivers[source]) != into:
                        direct = port == "D" and bit == source
                        found.add(Crossing(netlist.names.get(source, "?"), target, into, direct))
    return sorted(found)


def main() -> int:
    """The command."""
    sys.setrecursionlimit(100_000)
    found = paths(Machine(dataclasses.replace(config("tiny"), pump=2)))
    for path in found:
        print(path)
    return 0 if all(path.direct for path in found) else 1


if __name__ == "__main__":
    sys.exit(main())
