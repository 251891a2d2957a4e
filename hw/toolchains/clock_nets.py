"""Clock nets of a flat xc7 netlist and their frequencies: open place and route derives none from a PLL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hw.toolchains.errors import ToolError

__all__ = ["ClockNet", "clock_nets"]

PLLS = {"PLLE2_ADV": ("CLKFBOUT_MULT", "DIVCLK_DIVIDE"), "PLLE2_BASE": ("CLKFBOUT_MULT", "DIVCLK_DIVIDE")}
OUTPUTS = range(6)


@dataclass(frozen=True)
class ClockNet:
    """A net's name in the netlist, and its frequency."""

    net: str
    mhz: float


def clock_nets(netlist: str, top: str, pins: Mapping[str, float] | None = None) -> list[ClockNet]:
    """Nets that a PLL or a pin drives, directly or through a global buffer.

    Parameters
    ----------
    netlist : text of Yosys's `write_json`, flat
    top : the module
    pins : MHz of the clocks that come in through pins and a global buffer, by port

    Raises ToolError where there is no such module or a PLL's settings cannot be read.
    """
    try:
        module = json.loads(netlist)["modules"][top]
    except (ValueError, KeyError) as error:
        raise ToolError(f"the netlist has no module {top} ({error}); synthesise again.") from None
    names = _names(module)
    frequencies: dict[int, float] = {}
    come_in = {module["ports"][port]["bits"][0]: mhz for port, mhz in (pins or {}).items() if port in module["ports"]}
    for cell in module["cells"].values():
        if cell["type"] == "IBUF" and (source := cell["connections"]["I"][0]) in come_in:
            frequencies[cell["connections"]["O"][0]] = come_in[source]
    for cell in module["cells"].values():
        if cell["type"] in PLLS:
            frequencies |= _outputs(cell)
    for cell in module["cells"].values():
        if cell["type"] in ("BUFG", "BUFGCTRL"):
            source = cell["connections"].get("I", cell["connections"].get("I0", [None]))[0]
            if source in frequencies:
                frequencies[cell["connections"]["O"][0]] = frequencies[source]
    return [ClockNet(names[bit], mhz) for bit, mhz in sorted(frequencies.items()) if bit in names]


def _names(module: Mapping[str, Any]) -> dict[int, str]:
    """The name that place and route will use for a bit: the shortest public one."""
    names: dict[int, str] = {}
    for name, net in module["netnames"].items():
        hidden = bool(net.get("hide_name", 0))
        for index, bit in enumerate(net["bits"]):
            if isinstance(bit, int) and not hidden:
                candidate = name if len(net["bits"]) == 1 else f"{name}[{index}]"
                if bit not in names or (len(candidate), candidate) < (len(names[bit]), names[bit]):
                    names[bit] = candidate
    return names


def _number(text: str) -> float:
    """A parameter: bits, of any number, or decimal text; Yosys ends text of zeros and ones alone with a space."""
    return float(int(text, 2)) if set(text) <= set("01") else float(text)


def _outputs(cell: Mapping[str, Any]) -> dict[int, float]:
    parameters, connections = cell["parameters"], cell["connections"]
    multiply, divide = PLLS[cell["type"]]
    try:
        vco = 1000 / _number(parameters["CLKIN1_PERIOD"]) * _number(parameters[multiply])
        vco /= _number(parameters.get(divide, "1"))
        found = {}
        for index in OUTPUTS:
            bits = connections.get(f"CLKOUT{index}", [])
            if bits and isinstance(bits[0], int) and f"CLKOUT{index}_DIVIDE" in parameters:
                found[bits[0]] = vco / _number(parameters[f"CLKOUT{index}_DIVIDE"])
        return found
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ToolError(f"the settings of a {cell['type']} cannot be read ({error}); synthesise again.") from None
