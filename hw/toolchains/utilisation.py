"""Resources of a netlist against a part's, from the statistics that Yosys writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from hw.boards.parts import Part
from hw.toolchains.errors import ToolError
from hw.units.statistics import BLOCK_RAM, DSP, FF, FREE, LUT

__all__ = ["Utilisation", "by_unit", "count", "over_limits", "read"]

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
    """What a netlist takes. LUTs are those of the netlist, before packing, which may merge small ones.

    ``bram36``: block memories of 36 kbit; smaller ones are halves.
    """

    lut: int
    ff: int
    dsp: int
    bram36: float

    def __add__(self, other: Utilisation) -> Utilisation:
        return Utilisation(self.lut + other.lut, self.ff + other.ff, self.dsp + other.dsp, self.bram36 + other.bram36)


def count(cells: Mapping[str, int]) -> Utilisation:
    """Resources of so many cells of each type. Raises ToolError for a type of unknown size."""
    unknown = sorted(cells.keys() - LUT.keys() - FF.keys() - DSP.keys() - BLOCK_RAM.keys() - FREE - HARD - REGISTERS)
    if unknown:
        raise ToolError(f"the netlist has cells of unknown size, {', '.join(unknown)}; add them to {__name__}.")
    # An ecp5's block RAM is half of an xc7's.
    halves = {"DP16KD": 0.5, "PDPW16KD": 0.5}
    return Utilisation(
        lut=sum(LUT.get(cell, 0) * number for cell, number in cells.items()),
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
    """A sentence for each resource of which the part has too few."""
    advice = {
        "lut": "take a smaller grid (rows) or a larger part",
        "ff": "take a smaller grid (rows) or a larger part",
        "dsp": "lower rows: each takes columns * 4 multipliers",
        "bram36": "lower a_depth or b_depth",
    }
    limits = {"lut": part.lut_limit, "ff": part.ff, "dsp": part.dsp, "bram36": part.bram36}
    names = {"lut": "LUTs", "ff": "registers", "dsp": "DSPs", "bram36": "block RAMs of 36 kbit"}
    sentences = []
    for key, value in asdict(used).items():
        if value > limits[key]:
            sentences.append(
                f"The design takes {value:,g} {names[key]} and a {part.name} should be given at most "
                f"{limits[key]:,g}: {value - limits[key]:,g} too many; {advice[key]}."
            )
    return sentences
