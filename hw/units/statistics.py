"""Resources of a netlist, from the statistics that Yosys writes as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hw.toolchains.cell_sizes import BLOCK_RAM, DSP, FF, FREE, LUT
from hw.units.errors import UnitsError

__all__ = ["Resources", "count_cells", "read_statistics"]


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
            f"the netlist has cells of unknown size, {', '.join(unknown)}; add them to hw/toolchains/cell_sizes.py"
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
