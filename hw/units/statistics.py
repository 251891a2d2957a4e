"""Resources of a netlist, from the statistics that Yosys writes as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hw.units.errors import UnitsError

__all__ = ["Resources", "count_cells", "read_statistics"]

# What one cell takes. LUTs that are memories or shift registers are LUTs. A block RAM is 36 kbit on xc7, 18 on ecp5.
LUT = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "INV": 1,
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    # ECP5: a carry cell is two LUT4s; a 16 x 4 memory takes three slices, one of them for its write port.
    "CCU2C": 2,
    "TRELLIS_DPR16X4": 6,
}
FF = dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "LDCE", "LDPE", "TRELLIS_FF"), 1)
DSP = dict.fromkeys(("DSP48E1", "MULT18X18D"), 1)
BLOCK_RAM = {"RAMB36E1": 1.0, "RAMB18E1": 0.5, "DP16KD": 1.0, "PDPW16KD": 1.0}
# Parts of slices that come with the LUTs, wires and buffers, and Yosys's own notes.
FREE = frozenset(
    {"CARRY4", "MUXF7", "MUXF8", "PFUMX", "L6MUX21", "GND", "VCC", "VLO", "VHI", "BUFG", "IBUF", "OBUF", "$scopeinfo"}
)


@dataclass(frozen=True)
class Resources:
    """Cells of a netlist. LUTs are upper bounds: before packing, where two small ones may share a LUT6."""

    lut: int
    ff: int
    dsp: int
    block_ram: float


def count_cells(cells: Mapping[str, int]) -> Resources:
    """Resources of so many cells of each type. Raises UnitsError for a type that is not known."""
    unknown = sorted(cells.keys() - LUT.keys() - FF.keys() - DSP.keys() - BLOCK_RAM.keys() - FREE)
    if unknown:
        raise UnitsError(
            f"the netlist has cells of unknown size, {', '.join(unknown)}; add them to hw/units/statistics.py"
        )
    return Resources(
        lut=sum(LUT.get(cell, 0) * count for cell, count in cells.items()),
        ff=sum(FF.get(cell, 0) * count for cell, count in cells.items()),
        dsp=sum(DSP.get(cell, 0) * count for cell, count in cells.items()),
        block_ram=sum(BLOCK_RAM.get(cell, 0) * count for cell, count in cells.items()),
    )


def read_statistics(text: str) -> Resources:
    """Resources of the flattened module ``top``, from the text of Yosys's ``stat -json``. Raises UnitsError."""
    try:
        modules = json.loads(text[text.index("{") :])["modules"]
        cells = modules["\\top"]["num_cells_by_type"]
    except (ValueError, KeyError) as error:
        raise UnitsError(f"these are not the statistics of a module `top` ({error}); synthesise it again") from error
    return count_cells(cells)
