"""An ECP5's netlist before place and route: what Yosys leaves to the fabric though the part has it elsewhere.

Place and route takes the netlist as it is, and with it three things make this machine unroutable:

* A multiplier of 8 bits has its operands' signs repeated up to bit 17, ten wires and pins for nothing. Here operands
  stand at the top bits, with zeros below, and the product is at the top.
* The registers in front of and behind a multiplier are registers of the fabric, with wires to and fro. A MULT18X18D has
  three ranks of its own: at the operands, within, and at the product.
* A reset of thousands of registers goes through the same wires as data. Here it goes onto a clock network.

And the array's multipliers get their places (`ecp5_floorplan`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from hw.toolchains.ecp5_floorplan import floorplan
from hw.toolchains.netlist import Bit, Cell, FlatNetlist, opened

__all__ = ["Improved", "improve"]

OPERAND, PRODUCT = 18, 36
MANY_LOADS = 1000
# A part has sixteen clock networks, of which eight reach more than clock pins; the machine's own clocks need two.
MOST_NETWORKS = 4


@dataclass
class Improved:
    """What was done.

    Parameters
    ----------
    registers : registers that are in multipliers now
    pins : pins of multipliers that need no wire any more
    resets : loads of each reset that is on a clock network now
    placed : multipliers that have a place now
    """

    registers: int = 0
    pins: int = 0
    resets: list[int] = field(default_factory=list)
    placed: int = 0


def improve(text: str, top: str) -> tuple[str, Improved]:
    """The netlist in `text`, Yosys's `write_json` of a flat design, made over, and what was done.

    Raises ToolError where the module `top` is missing.
    """
    whole, netlist = opened(text, top)
    done = Improved()
    for name in [name for name, cell in netlist.cells.items() if cell["type"] == "MULT18X18D"]:
        done.pins += _to_the_top(netlist, name)
        done.registers += _take_registers(netlist, name)
    done.resets = _promote_resets(netlist)
    done.placed = floorplan(whole["modules"][top])
    return json.dumps(whole), done


def _operand(cell: Cell, letter: str) -> list[Bit]:
    return [cell["connections"].get(f"{letter}{index}", ["0"])[0] for index in range(OPERAND)]


def _product(netlist: FlatNetlist, cell: Cell) -> dict[int, int]:
    """The product's bits that anybody reads."""
    bits = {index: cell["connections"].get(f"P{index}", ["x"])[0] for index in range(PRODUCT)}
    return {index: bit for index, bit in bits.items() if isinstance(bit, int) and netlist.loads[bit]}


def _to_the_top(netlist: FlatNetlist, name: str) -> int:
    """Shift signed operands to the top bits of a multiplier; returns how many pins that frees."""
    cell = netlist.cells[name]
    if any(cell["connections"].get(port) != ["1"] for port in ("SIGNEDA", "SIGNEDB")):
        return 0
    operands = {letter: _operand(cell, letter) for letter in "AB"}
    spare = {letter: _sign_copies(bits) for letter, bits in operands.items()}
    shift = sum(spare.values())
    product = _product(netlist, cell)
    # Bits above the last are copies of the sign, at which the shifted product ends.
    if not shift or any(index + shift >= PRODUCT for index in product):
        return 0
    for letter, bits in operands.items():
        for index in range(OPERAND):
            source = index - spare[letter]
            netlist.connect(name, f"{letter}{index}", bits[source] if source >= 0 else "0")
    for index in range(PRODUCT):
        cell["connections"].pop(f"P{index}", None)
        cell["port_directions"].pop(f"P{index}", None)
    for index, bit in product.items():
        cell["connections"][f"P{index + shift}"] = [bit]
        cell["port_directions"][f"P{index + shift}"] = "output"
    return shift


def _sign_copies(bits: list[Bit]) -> int:
    """Top bits that only repeat the one below them."""
    width = len(bits)
    while width > 1 and bits[width - 2] == bits[width - 1]:
        width -= 1
    return len(bits) - width


def _clock(cell: Cell) -> Bit | None:
    """The clock of a register that does nothing but delay by a cycle, from 0; None for every other cell."""
    connections, parameters = cell["connections"], cell["parameters"]
    plain = (
        cell["type"] == "TRELLIS_FF"
        and parameters.get("CEMUX", "CE").strip() == "1"
        and parameters.get("CLKMUX", "CLK") == "CLK"
        and parameters.get("LSRMUX", "LSR") == "LSR"
        and parameters.get("REGSET") == "RESET"
        and connections.get("LSR", ["0"]) == ["0"]
    )
    return connections["CLK"][0] if plain else None


def _take_registers(netlist: FlatNetlist, name: str) -> int:
    """Take the registers around a multiplier into it; returns how many that were."""
    cell = netlist.cells[name]
    if any(isinstance(cell["connections"].get(f"CLK{index}", ["0"])[0], int) for index in range(4)):
        return 0
    before = _registers_before(netlist, name)
    behind = _registers_behind(netlist, name)
    clocks = {_clock(netlist.cells[register]) for register in [*before.values(), *behind.values()]}
    if len(clocks) != 1:
        return 0
    ranks = []
    taken = 0
    if before:
        for port, register in before.items():
            netlist.connect(name, port, netlist.cells[register]["connections"]["DI"][0])
        for register in sorted(set(before.values())):
            if not netlist.loads[netlist.cells[register]["connections"]["Q"][0]]:
                netlist.remove(register)
                taken += 1
        ranks += ["INPUTA", "INPUTB"]
    if behind:
        ranks.append("OUTPUT")
        taken += _move_product(netlist, name, behind)
        further = _registers_behind(netlist, name)
        if further and {_clock(netlist.cells[register]) for register in further.values()} == clocks:
            ranks.append("PIPELINE")
            taken += _move_product(netlist, name, further)
    (clock,) = clocks
    assert clock is not None
    for port, bit in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
        netlist.connect(name, port, bit)
    for rank in ranks:
        cell["parameters"] |= {f"REG_{rank}_CLK": "CLK0", f"REG_{rank}_CE": "CE0", f"REG_{rank}_RST": "RST0"}
    cell["parameters"] |= {"GSR": "DISABLED", "RESETMODE": "SYNC"}
    return taken


def _registers_before(netlist: FlatNetlist, name: str) -> dict[str, str]:
    """The register at each pin of the operands, if every one has one; it stays where others read it, too."""
    found = {}
    for letter in "AB":
        for index, bit in enumerate(_operand(netlist.cells[name], letter)):
            if bit == "0":
                continue
            register = netlist.drivers.get(bit) if isinstance(bit, int) else None
            if register not in netlist.cells or _clock(netlist.cells[register]) is None:
                return {}
            found[f"{letter}{index}"] = register
    return found if _one_clock(netlist, found.values()) else {}


def _registers_behind(netlist: FlatNetlist, name: str) -> dict[str, str]:
    """The register at each bit of the product that is read, if every bit has one and no other reader."""
    found = {}
    for index, bit in _product(netlist, netlist.cells[name]).items():
        readers = list(netlist.loads[bit])
        if len(readers) != 1 or readers[0][1] != "DI" or _clock(netlist.cells[readers[0][0]]) is None:
            return {}
        found[f"P{index}"] = readers[0][0]
    return found if _one_clock(netlist, found.values()) else {}


def _one_clock(netlist: FlatNetlist, registers: Iterable[str]) -> bool:
    return len({_clock(netlist.cells[register]) for register in registers}) == 1


def _move_product(netlist: FlatNetlist, name: str, registers: Mapping[str, str]) -> int:
    """Let the product's pins drive what the registers behind them did; returns how many registers went."""
    cell = netlist.cells[name]
    for port, register in registers.items():
        result = netlist.cells[register]["connections"]["Q"][0]
        netlist.remove(register)
        netlist.loads[cell["connections"][port][0]].clear()
        cell["connections"][port] = [result]
        netlist.drivers[result] = name
    return len(registers)


def _promote_resets(netlist: FlatNetlist) -> list[int]:
    """Put resets with very many loads onto clock networks; returns how many loads each has."""
    loads = Counter(
        cell["connections"]["LSR"][0]
        for cell in netlist.cells.values()
        if cell["type"] == "TRELLIS_FF" and isinstance(cell["connections"].get("LSR", ["0"])[0], int)
    )
    promoted = []
    for place, (bit, number) in enumerate(loads.most_common(MOST_NETWORKS)):
        if number < MANY_LOADS:
            break
        spread = netlist.new_net(f"reset_network_{place}")
        for name, port in [load for load in netlist.loads[bit] if load[1] == "LSR"]:
            netlist.connect(name, port, spread)
        netlist.cells[f"reset_network_{place}"] = {
            "hide_name": 0,
            "type": "DCCA",
            "parameters": {},
            "attributes": {},
            "port_directions": {"CLKI": "input", "CE": "input", "CLKO": "output"},
            "connections": {"CLKI": [bit], "CE": ["1"], "CLKO": [spread]},
        }
        promoted.append(number)
    return promoted
