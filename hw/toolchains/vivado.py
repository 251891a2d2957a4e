"""xc7 with AMD's Vivado: the project that the build writes, run from its script."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from hw.boards.design import TOP
from hw.boards.parts import Part
from hw.toolchains.errors import ToolError
from hw.toolchains.outcome import Routed, Timing
from hw.toolchains.process import find, run_tool
from hw.toolchains.utilisation import Utilisation

__all__ = ["read_timing", "read_utilisation", "route", "vivado"]

SECONDS = 4 * 3600.0
TOO_SLOW = f"{TOP}_too_slow.bit"
BITSTREAM, TIMING, USED = f"{TOP}.bit", f"{TOP}_timing.rpt", f"{TOP}_utilization_place.rpt"


def vivado() -> str:
    """Vivado's path. Raises ToolMissing."""
    return find("vivado", variable="VIVADO", remedy="install Vivado ML Standard and source its settings64.sh")


def route(
    part: Part,
    folder: Path,
    stage: Callable[[str], None],
    seed: int = 1,
    force: bool = False,
    seconds: float = SECONDS,
) -> tuple[Utilisation, Routed]:
    """Synthesis to bitstream; Vivado has no seed of its own, so `seed` is not used.

    A bitstream that is too slow stays under another name, unless `force`. Raises ToolMissing, ToolError.
    """
    program = vivado()
    stage("Vivado")
    command = [program, "-mode", "batch", "-log", "vivado.log", "-source", f"{TOP}.tcl"]
    run_tool("vivado-run", command, folder, [BITSTREAM, TIMING, USED], seconds)
    used = read_utilisation((folder / USED).read_text())
    routed = Routed(read_timing((folder / TIMING).read_text()), folder / BITSTREAM)
    if routed.slow and not force:
        (folder / BITSTREAM).replace(folder / TOO_SLOW)
        routed = Routed(routed.timing)
    return used, routed


def read_utilisation(text: str) -> Utilisation:
    """From the table of `report_utilization`. Raises ToolError for anything else."""

    def number(title: str) -> float:
        found = re.search(rf"^\|\s*{title}\s*\|\s*([\d.]+)", text, re.MULTILINE)
        if found is None:
            raise ToolError(f"Vivado's report of utilisation has no line '{title}'; build again.")
        return float(found[1])

    lut = int(number(r"Slice LUTs\*?"))  # sites; Vivado tells no cells here
    return Utilisation(lut, int(number("Slice Registers")), int(number("DSPs")), number("Block RAM Tile"), lut)


def read_timing(text: str) -> tuple[Timing, ...]:
    """From the tables of `report_timing_summary`: each clock's period and worst slack. Raises ToolError."""
    periods = {
        name: float(period)
        for name, period in re.findall(r"^\s*(\S+)\s+\{[\d. ]+\}\s+([\d.]+)\s+[\d.]+\s*$", text, re.MULTILINE)
    }
    table = text.partition("Intra Clock Table")[2].partition("Inter Clock Table")[0]
    timing = []
    for name, slack in re.findall(r"^\s*(\S+)\s+(-?[\d.]+)\s", table, re.MULTILINE):
        if name in periods:
            timing.append(Timing(name, 1000 / (periods[name] - float(slack)), 1000 / periods[name]))
    if not timing:
        raise ToolError("Vivado's timing report has no clock; build again.")
    return tuple(timing)
