"""From RTLIL to a netlist of a library's cells, its area by unit, and Verilog models of the cells."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable

from hw.asic.cells import Library, read_library
from hw.asic.memories import AsicPlatform, Wrapper, behavioural
from hw.boards.design import plain_names
from hw.toolchains.errors import ToolError
from hw.toolchains.process import run_tool
from hw.toolchains.yosys import yosys

__all__ = ["CELLS", "MEMORIES", "NETLIST", "Area", "Sources", "area", "elaborate", "script", "synthesise"]

SECONDS = 4 * 3600.0
RTLIL, MEMORIES, LIBERTY, STATISTICS = "top.il", "memories.v", "cells.lib", "area.json"
NETLIST, CELLS = "netlist.v", "cells.v"
UNIT_DEPTH = 5  # levels below the top that stay apart: the core's units, and the parts of each


@dataclass(frozen=True)
class Sources:
    """A design for synthesis: the top module's name, RTLIL, and the memory wrappers that it instantiates."""

    top: str
    rtlil: str
    wrappers: tuple[Wrapper, ...]

    @property
    def models(self) -> str:
        """Verilog of the wrappers for simulation."""
        return "\n".join(behavioural(wrapper) for wrapper in self.wrappers)

    @property
    def instances(self) -> list[tuple[str, Wrapper]]:
        """Every wrapper's path below the top, as it is after flattening, and what it is."""
        by_name = {wrapper.name: wrapper for wrapper in self.wrappers}
        found = []
        module = ""
        for line in self.rtlil.splitlines():
            if line.startswith("module \\"):
                module = line.removeprefix("module \\").removeprefix(self.top).lstrip(".")
            elif cell := re.match(r"\s*cell \\(memory_\w+) \\(\S+)$", line):
                found.append((f"{module}.{cell[2]}".lstrip("."), by_name[cell[1]]))
        return found

    def write(self, folder: Path) -> None:
        """RTLIL and the wrappers' models into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RTLIL).write_text(self.rtlil)
        (folder / MEMORIES).write_text(self.models)


@dataclass(frozen=True)
class Area:
    """What a module takes without the modules below it.

    Parameters
    ----------
    cells : standard cells, memory macros not among them
    area, sequential : of all cells and of flip-flops, in the library's unit
    gates : `area` in NANDs of two inputs
    macro_bits : bits in memory macros, which have no area here
    """

    cells: int
    area: float
    sequential: float
    gates: float
    macro_bits: int


def elaborate(component: Elaboratable, top: str) -> Sources:
    """A component with its larger memories behind wrappers."""
    platform = AsicPlatform()
    text = plain_names(rtlil.convert(component, name=top, platform=platform, emit_src=False))
    return Sources(top, text, tuple(sorted(platform.wrappers)))


def units(sources: Sources) -> list[str]:
    """The modules that stay apart."""
    names = re.findall(r"^module \\(\S+)", sources.rtlil, re.MULTILINE)
    return sorted(name for name in names if 0 < name.count(".") <= UNIT_DEPTH)


def script(sources: Sources, library: Library, period_ns: float | None = None) -> str:
    """Yosys's commands. `period_ns` tells the mapper how fast it should be; by default it minds area."""
    lines = [f"read_rtlil {RTLIL}"]
    lines += [f"read_verilog -lib {MEMORIES}"] if sources.wrappers else []
    lines += [f"hierarchy -check -top {sources.top}"]
    lines += [f"setattr -mod -set keep_hierarchy 1 {name}" for name in units(sources)]
    lines += [
        # Nothing has a value before the first reset.
        "setattr -unset init w:*",
        # Its own run of abc, one for every enable of every module, would be undone by the one below.
        f"synth -flatten -booth -noabc -top {sources.top}",
        f"dfflibmap -liberty {LIBERTY}",
        f"abc -liberty {LIBERTY}" + (f" -D {round(1000 * period_ns)}" if period_ns else ""),
    ]
    one, zero = library.tie("1"), library.tie("0")
    if one and zero:
        lines += [f"hilomap -hicell {one[0]} {one[1]} -locell {zero[0]} {zero[1]}"]
    lines += [
        "opt_clean -purge",
        "delete t:$scopeinfo",
        f"tee -q -o {STATISTICS} stat -json -liberty {LIBERTY} -top {sources.top}",
        f"write_verilog -noattr {NETLIST}",
        "design -reset",
        f"read_liberty {LIBERTY}",
        f"write_verilog -noattr {CELLS}",
    ]
    return "\n".join(lines) + "\n"


def synthesise(
    sources: Sources, liberty: Path, folder: Path, period_ns: float | None = None, seconds: float = SECONDS
) -> dict[str, Area]:
    """Netlist, models of its cells, and area by module, from and into a folder.

    Raises BoardError for an unusable library, ToolMissing without Yosys, ToolError when it fails.
    """
    library = read_library(liberty)
    program = yosys()
    sources.write(folder)
    # Yosys in a sandbox sees nothing but its folder.
    shutil.copyfile(liberty, folder / LIBERTY)
    (folder / "synthesis.ys").write_text(script(sources, library, period_ns))
    outputs = [STATISTICS, NETLIST, CELLS]
    run_tool("synthesis", [program, "-q", "-l", "yosys.log", "-s", "synthesis.ys"], folder, outputs, seconds)
    return area((folder / STATISTICS).read_text(), library, sources.wrappers)


def area(text: str, library: Library, wrappers: Sequence[Wrapper]) -> dict[str, Area]:
    """Area by module from the text of `stat -json`.

    Raises ToolError for other text, and for a netlist with cells that are neither the library's nor memory wrappers:
    something was not mapped.
    """
    bits = {wrapper.name: wrapper.bits for wrapper in wrappers}
    try:
        modules = json.loads(text[text.index("{") :])["modules"]
        by_type = {name.removeprefix("\\"): dict(found["num_cells_by_type"]) for name, found in modules.items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise ToolError(f"these are no statistics of Yosys ({error}); synthesise again.") from None
    unknown = sorted(
        {cell for cells in by_type.values() for cell in cells} - library.cells.keys() - bits.keys() - by_type.keys()
    )
    if unknown:
        raise ToolError(
            f"cells that are not in {library.name} remain: {', '.join(unknown[:5])}; look at its functions."
        )
    found = {}
    for name, cells in by_type.items():
        own = {cell: number for cell, number in cells.items() if cell in library.cells}
        total = sum(library.cells[cell].area * number for cell, number in own.items())
        found[name] = Area(
            cells=sum(own.values()),
            area=total,
            sequential=sum(library.cells[cell].area * n for cell, n in own.items() if library.cells[cell].flip_flop),
            gates=total / library.gate,
            macro_bits=sum(bits[cell] * number for cell, number in cells.items() if cell in bits),
        )
    return found
