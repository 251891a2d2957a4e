"""Resources of a netlist against a part's, from the statistics that Yosys writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hw.boards.parts import Part
from hw.toolchains.cell_sizes import BLOCK_RAM, DSP, FF, FREE, LUT
from hw.toolchains.errors import ToolError

__all__ = ["Utilisation", "by_unit", "count", "over_limits", "packed", "read"]

# Cells that are no LUT, register, DSP or block RAM: pins' logic, clocks, and Yosys's notes.
HARD = frozenset(
    {
        *("BUFG", "BUFGCTRL", "BUFR", "PLLE2_ADV", "PLLE2_BASE", "MMCME2_ADV", "MMCME2_BASE"),
        *("IBUF", "IBUFDS", "IBUFG", "IOBUF", "IOBUFDS", "OBUF", "OBUFDS", "OBUFT", "ODDR", "IDDR"),
        *("IDELAYCTRL", "IDELAYE2", "ISERDESE2", "OSERDESE2"),
        *("EHXPLLL", "DCCA", "TRELLIS_IO", "BB", "ODDRX1F", "IDDRX1F"),
        *("OFS1P3BX", "OFS1P3DX", "IFS1P3BX", "IFS1P3DX"),
    }
)
REGISTERS = frozenset({"FD1S3BX", "FD1S3DX", "FD1P3BX", "FD1P3DX", "FDCE_1", "FDPE_1", "FDSE_1"})


@dataclass(frozen=True)
class Utilisation:
    """What a netlist takes.

    Parameters
    ----------
    lut : LUT sites, as a part has them and Vivado counts them ("Slice LUTs"): on xc7 two small LUTs share one
    ff, dsp : registers, DSP blocks
    bram36 : block memories of 36 kbit; smaller ones are halves
    lut_cells : LUT cells of the netlist, before any share a site; memories and shift registers in LUTs among them
    """

    lut: int
    ff: int
    dsp: int
    bram36: float
    lut_cells: int


def packed(cells: Mapping[str, int]) -> int:
    """LUTs of an xc7 after packing: a LUT6 has two outputs, for two functions of five inputs together at most.

    No inputs are taken to be shared, and memories and shift registers share with nothing; a packer that looks at the
    wires finds more pairs, and one that minds the carry chains fewer.
    """
    left = {inputs: cells.get(f"LUT{inputs}", 0) for inputs in range(1, 7)}
    left[1] += cells.get("INV", 0)
    pairs = 0
    for larger in range(4, 0, -1):
        for smaller in range(min(larger, 5 - larger), 0, -1):
            number = left[larger] // 2 if larger == smaller else min(left[larger], left[smaller])
            left[larger] -= number
            left[smaller] -= number
            pairs += number
    total = sum(LUT.get(cell, 0) * number for cell, number in cells.items())
    return total - pairs


def count(cells: Mapping[str, int]) -> Utilisation:
    """Resources of so many cells of each type. Raises ToolError for a type of unknown size."""
    unknown = sorted(cells.keys() - LUT.keys() - FF.keys() - DSP.keys() - BLOCK_RAM.keys() - FREE - HARD - REGISTERS)
    if unknown:
        raise ToolError(f"the netlist has cells of unknown size, {', '.join(unknown)}; add them to {__name__}.")
    # An ecp5's block RAM is half of an xc7's, and its LUTs have one output.
    halves = {"DP16KD": 0.5, "PDPW16KD": 0.5}
    lut = sum(LUT.get(cell, 0) * number for cell, number in cells.items())
    return Utilisation(
        lut=lut if "TRELLIS_FF" in cells else packed(cells),
        lut_cells=lut,
        ff=sum((FF.get(cell, 0) or cell in REGISTERS) * number for cell, number in cells.items()),
        dsp=sum(DSP.get(cell, 0) * number for cell, number in cells.items()),
        bram36=sum(halves.get(cell, BLOCK_RAM.get(cell, 0.0)) * number for cell, number in cells.items()),
    )


def _modules(text: str) -> dict[str, dict[str, int]]:
    """Cells by type of every module in the text of `stat -json`."""
    try:
        modules = json.loads(text[text.index("{") :])["modules"]
        return {name.removeprefix("\\"): dict(found["num_cells_by_type"]) for name, found in modules.items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise ToolError(f"these are no statistics of Yosys ({error}); synthesise again.") from None


def by_unit(text: str) -> dict[str, Utilisation]:
    """Resources of each module that was kept apart; its sub-modules that are in the list are not counted in it."""
    modules = _modules(text)
    used = {}
    for name, cells in modules.items():
        own = {cell: number for cell, number in cells.items() if cell.removeprefix("\\") not in modules}
        used[name] = count(own)
    return used


def read(text: str, top: str) -> Utilisation:
    """Resources of the module `top`, which must be flat."""
    modules = _modules(text)
    if top not in modules:
        raise ToolError(f"the netlist has no module {top}; synthesise again.")
    return count(modules[top])


def over_limits(used: Utilisation, part: Part) -> list[str]:
    """A sentence for each resource of which the part has too little."""
    advice = {
        "lut": "take a smaller grid (rows) or a larger part",
        "ff": "take a smaller grid (rows) or a larger part",
        "dsp": "lower rows: each takes columns * 4 multipliers",
        "bram36": "lower a_depth or b_depth",
    }
    # Some LUTs must stay free for the wires to find their way.
    limits = {"lut": part.lut_limit, "ff": part.ff, "dsp": part.dsp, "bram36": part.bram36}
    names = {"lut": "LUTs", "ff": "registers", "dsp": "DSPs", "bram36": "block RAMs of 36 kbit"}
    sentences = []
    for key in limits:
        value = getattr(used, key)
        if value > limits[key]:
            sentences.append(
                f"The design takes {value:,g} {names[key]} and a {part.name} should be given at most "
                f"{limits[key]:,g}: {value - limits[key]:,g} too many; {advice[key]}."
            )
    return sentences
