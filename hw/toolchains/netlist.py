"""A flat netlist of Yosys's: who drives each bit and who reads it, and changes to it."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from hw.toolchains.errors import ToolError

__all__ = ["Bit", "Cell", "FlatNetlist", "opened"]

Bit = int | str
Cell = dict[str, Any]


class FlatNetlist:
    """A flat module, with who drives each bit and who reads it."""

    def __init__(self, module: dict[str, Any]) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.names: dict[str, Any] = module["netnames"]
        self.drivers: dict[int, str] = {}
        self.loads: defaultdict[int, set[tuple[str, str]]] = defaultdict(set)
        for name, cell in self.cells.items():
            self._enter(name, cell)
        for name, port in module["ports"].items():
            for bit in port["bits"]:
                if isinstance(bit, int):
                    # A port may be read from outside, and nobody inside may take its bit away.
                    self.loads[bit].add(("", name))
        bits = [bit for net in self.names.values() for bit in net["bits"] if isinstance(bit, int)]
        self.next_bit = 1 + max([*bits, *self.drivers, *self.loads], default=1)

    def _enter(self, name: str, cell: Cell) -> None:
        for port, bits in cell["connections"].items():
            for bit in bits:
                if isinstance(bit, int):
                    if cell["port_directions"][port] == "output":
                        self.drivers[bit] = name
                    else:
                        self.loads[bit].add((name, port))

    def connect(self, name: str, port: str, bit: Bit) -> None:
        """An input's wire."""
        cell = self.cells[name]
        for old in cell["connections"].get(port, []):
            if isinstance(old, int):
                self.loads[old].discard((name, port))
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"
        if isinstance(bit, int):
            self.loads[bit].add((name, port))

    def remove(self, name: str) -> None:
        """A cell that nobody needs any more."""
        for port, bits in self.cells.pop(name)["connections"].items():
            for bit in bits:
                if isinstance(bit, int):
                    self.loads[bit].discard((name, port))

    def new_net(self, name: str) -> int:
        bit = self.next_bit
        self.next_bit += 1
        self.names[name] = {"hide_name": 0, "bits": [bit], "attributes": {}}
        return bit


def opened(text: str, top: str) -> tuple[dict[str, Any], FlatNetlist]:
    """All of Yosys's `write_json`, and its module `top`, whose changes are changes of the whole.

    Raises ToolError where there is no such module.
    """
    try:
        whole = json.loads(text)
        return whole, FlatNetlist(whole["modules"][top])
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"the netlist has no module {top} ({error}); synthesise again.") from None
