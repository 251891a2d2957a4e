"""An xc7's netlist before open place and route, which does not see everything that a part cannot do.

* A SRLC32E's output Q31 leads to the next shift register alone, and the tool has no wire for it elsewhere. With the
  address at 31 the output Q is the same bit.
* The LUTs of a slice that are memories or shift registers have one write enable and one clock. The tool puts those of
  several into one slice, and stops when it routes them. A RAM32M or RAM64M fills a slice. Of shift registers those of
  one enable stay, the ones with the most stages; the others become registers.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from hw.toolchains.errors import ToolError
from hw.toolchains.netlist import Bit, Cell, FlatNetlist, opened

__all__ = ["Mended", "mend"]

ADDRESS = {"SRL16E": 4, "SRLC32E": 5}  # bits
PART_OF_A_SLICE = ("RAM32X1S", "RAM32X1D", "RAM64X1S", "RAM64X1D", "RAM128X1S")
Writing = tuple[Bit, Bit, str]  # clock, enable, whether the clock is inverted


@dataclass
class Mended:
    """What was done.

    Parameters
    ----------
    ends : outputs Q31 that are an output Q now
    dissolved : shift registers that are registers now
    registers : those
    """

    ends: int = 0
    dissolved: int = 0
    registers: int = 0


def mend(text: str, top: str) -> tuple[str, Mended]:
    """The netlist in `text`, Yosys's `write_json` of a flat design, made over, and what was done.

    Raises ToolError where the module `top` is missing, and where memories or shift registers must not share a slice
    and cannot be told apart.
    """
    whole, netlist = opened(text, top)
    done = Mended()
    shift_registers = [name for name, cell in netlist.cells.items() if cell["type"] in ADDRESS]
    for name in [name for name in shift_registers if _is_read(netlist, netlist.cells[name], "Q31")]:
        shift_registers += _without_end(netlist, name)
        done.ends += 1
    _dissolve_all_but_one(netlist, shift_registers, done)
    return json.dumps(whole), done


def _is_read(netlist: FlatNetlist, cell: Cell, port: str) -> bool:
    bits = cell["connections"].get(port, [])
    return bool(bits) and isinstance(bits[0], int) and bool(netlist.loads[bits[0]])


def _without_end(netlist: FlatNetlist, name: str) -> list[str]:
    """Let Q drive what Q31 does; returns the shift register beside it that takes, where Q has readers of its own."""
    cell = netlist.cells[name]
    end = cell["connections"].pop("Q31")
    cell["port_directions"].pop("Q31")
    if not _is_read(netlist, cell, "Q"):
        _at_the_end(cell, end)
        return []
    beside = f"{name}$end"
    netlist.cells[beside] = twin = json.loads(json.dumps(cell))
    _at_the_end(twin, end)
    for port in ("CE", "CLK", "D"):
        netlist.connect(beside, port, twin["connections"][port][0])
    return [beside]


def _at_the_end(cell: Cell, output: list[Bit]) -> None:
    cell["connections"] |= {"Q": output, "A": ["1"] * ADDRESS["SRLC32E"]}
    cell["port_directions"] |= {"Q": "output", "A": "input"}


def _writing(cell: Cell) -> Writing:
    connections = cell["connections"]
    clock = connections["CLK" if "CLK" in connections else "WCLK"][0]
    inverted = cell["parameters"].get("IS_CLK_INVERTED", cell["parameters"].get("IS_WCLK_INVERTED", "0"))
    return clock, connections["CE" if "CE" in connections else "WE"][0], "1" if "1" in inverted else "0"


def _dissolve_all_but_one(netlist: FlatNetlist, names: list[str], done: Mended) -> None:
    """Leave one clock and write enable to what takes a part of a slice."""
    memories = {name: _writing(cell) for name, cell in netlist.cells.items() if cell["type"] in PART_OF_A_SLICE}
    fixed = {name for name in names if _stages(netlist.cells[name]) is None}
    kept = set(memories.values()) | {_writing(netlist.cells[name]) for name in fixed}
    if len(kept) > 1:
        several = ", ".join(sorted([*memories, *fixed])[:3])
        raise ToolError(
            f"the netlist has memories in parts of a slice with {len(kept)} write enables ({several}), which place and "
            "route would put into one slice; choose --toolchain vivado."
        )
    if not kept and names:
        weights: Counter[Writing] = Counter()
        for name in names:
            weights[_writing(netlist.cells[name])] += _stages(netlist.cells[name]) or 0
        kept = {weights.most_common(1)[0][0]}
    for name in names:
        if _writing(netlist.cells[name]) not in kept:
            done.registers += _dissolve(netlist, name)
            done.dissolved += 1


def _stages(cell: Cell) -> int | None:
    """Of a shift register; None where they are not constant."""
    connections, bits = cell["connections"], ADDRESS[cell["type"]]
    address = connections["A"] if "A" in connections else [connections[f"A{index}"][0] for index in range(bits)]
    return 1 + int("".join(reversed(address)), 2) if set(address) <= {"0", "1"} else None


def _dissolve(netlist: FlatNetlist, name: str) -> int:
    """A shift register as registers; returns how many."""
    cell = netlist.cells[name]
    clock, enable, inverted = _writing(cell)
    stages = _stages(cell)
    assert stages is not None
    value, output = cell["connections"]["D"][0], cell["connections"]["Q"]
    start = cell["parameters"].get("INIT", "")[::-1].ljust(stages, "0")  # from the first stage to the last
    netlist.remove(name)
    for stage in range(stages):
        result = output if stage == stages - 1 else [netlist.new_net(f"{name}$stage{stage}")]
        netlist.cells[f"{name}$register{stage}"] = {
            "hide_name": 1,
            "type": "FDRE",
            "parameters": {"INIT": start[stage], "IS_C_INVERTED": inverted},
            "attributes": {},
            "port_directions": {"C": "input", "CE": "input", "D": "input", "R": "input", "Q": "output"},
            "connections": {"Q": result},
        }
        for port, bit in (("C", clock), ("CE", enable), ("D", value), ("R", "0")):
            netlist.connect(f"{name}$register{stage}", port, bit)
        value = result[0]
    return stages
