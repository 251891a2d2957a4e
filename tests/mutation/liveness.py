"""Which bits of a netlist anything outside can depend on: a register bit that nothing reads proves nothing."""

from typing import Any

__all__ = ["live_bits"]

Bit = int | str
# Bit i of an operand reaches bit i of the result; of sums, bit i and those above.
BITWISE = {"$and", "$or", "$xor", "$xnor", "$not", "$mux", "$pmux", "$dff", "$pos"}
CARRIES = {"$add", "$sub", "$mul", "$neg", "$alu"}


def live_bits(module: Any) -> set[Bit]:
    """The bits of a module, as in Yosys's JSON, on which an output or a memory may depend, in whichever cycle."""
    driver: dict[Bit, tuple[Any, str, int]] = {}
    waiting: list[Bit] = []
    for port in module["ports"].values():
        if port["direction"] == "output":
            waiting += port["bits"]
    for cell in module["cells"].values():
        if _keeps_state_elsewhere(cell):
            waiting += [bit for port in _ports(cell, "input") for bit in cell["connections"][port]]
        for port in _ports(cell, "output"):
            for index, bit in enumerate(cell["connections"][port]):
                driver[bit] = (cell, port, index)
    live: set[Bit] = set()
    while waiting:
        bit = waiting.pop()
        if isinstance(bit, int) and bit not in live:
            live.add(bit)
            if bit in driver:
                waiting += _read_by(*driver[bit])
    return live


def _keeps_state_elsewhere(cell: Any) -> bool:
    """A memory, or a submodule that stayed one."""
    return cell["type"].startswith("$mem") or not cell["type"].startswith("$")


def _ports(cell: Any, direction: str) -> list[str]:
    return [port for port, way in cell["port_directions"].items() if way == direction]


def _read_by(cell: Any, output: str, index: int) -> list[Bit]:
    """What a bit of a cell's output is made of."""
    connections = cell["connections"]
    width = len(connections[output])
    result: list[Bit] = []
    for port in _ports(cell, "input"):
        bits = connections[port]
        if port == "CLK" or _keeps_state_elsewhere(cell):
            continue
        if cell["type"] in CARRIES:
            result += bits[: index + 1]
        elif cell["type"] in BITWISE and port in "ABD":
            # The operands of a `$pmux` lie one after the other; a shorter operand's last bit may be its sign.
            result += bits[index::width] or bits[-1:]
        else:
            result += bits
    return result
