"""xc7 with open tools: nextpnr, then frames and bitstream with Project X-Ray's."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from hw.boards.design import TOP
from hw.boards.parts import XC7A35T, Part
from hw.toolchains.clock_nets import ClockNet, clock_nets
from hw.toolchains.errors import ToolError, ToolMissing
from hw.toolchains.netlist import opened
from hw.toolchains.outcome import Routed, Timing
from hw.toolchains.process import find, run_tool
from hw.toolchains.xc7_floorplan import floorplan, script
from hw.toolchains.xc7_netlist import mend
from hw.toolchains.yosys import NETLIST

__all__ = ["commands", "constraints", "pin_clocks", "route"]

SECONDS = 4 * 3600.0
REMEDY = "install nextpnr-himbaechel with the xilinx micro-architecture, or openXC7's nextpnr-xilinx"
CONSTRAINTS, MENDED, PLACES = "open.xdc", "open.json", "places.py"
FASM, FRAMES, BITSTREAM = f"{TOP}.fasm", f"{TOP}.frames", f"{TOP}.bit"
# Properties of pins that the open tools know; the others belong to Vivado.
KNOWN = ("LOC", "IOSTANDARD", "SLEW", "DRIVE", "PULLTYPE", "IN_TERM", "PULLUP", "PULLDOWN")


def constraints(xdc: str, clocks: list[ClockNet]) -> str:
    """Constraints that the open tools understand: pins and their properties, and every clock by its net's name."""
    lines = []
    for line in xdc.splitlines():
        found = re.match(r"\s*set_property\s+(\w+)\s+\"?([^\"\s]+)\"?\s+\[get_ports\s+\"?(.+?)\"?\]\s*$", line)
        if found and found[1] in KNOWN:
            port = found[3].replace("\\[", "[").strip('"')
            lines.append(f"set_property {found[1]} {found[2]} [get_ports {{{port}}}]")
    lines += [f"create_clock -period {1000 / clock.mhz:.3f} [get_nets {{{clock.net}}}]" for clock in clocks]
    return "\n".join(lines) + "\n"


def pin_clocks(xdc: str) -> dict[str, float]:
    """MHz of the clocks that come in through pins and have no PLL behind them, by port."""
    found = re.findall(r"^create_clock -name \w+ -period ([\d.]+) \[get_ports (\w+)\]$", xdc, re.MULTILINE)
    return {port: 1000 / float(period) for period, port in found}


def _device(part: Part) -> str:
    """The part as the open databases call it: they know no temperature grade and no low-voltage speed."""
    found = re.fullmatch(r"(xc7a\d+t)i?(csg324)-(\d)L?", part.device)
    if found is None:
        raise ToolError(f"{part.device} is not in the open databases; choose --toolchain vivado.")
    return f"{found[1]}{found[2]}-{found[3]}"


def _database(part: Part) -> Path:
    folder = os.environ.get("PRJXRAY_DB_DIR") or os.environ.get("DB_DIR")
    if not folder:
        raise ToolMissing(
            "PRJXRAY_DB_DIR is not set; let it name the folder of Project X-Ray's database that has `artix7` in it."
        )
    path = Path(folder) / "artix7"
    if not path.is_dir():
        raise ToolMissing(f"PRJXRAY_DB_DIR is {folder}, which has no folder artix7; correct it.")
    return path


def commands(part: Part, seed: int) -> list[tuple[str, list[str], list[str]]]:
    """(stage, command, what it writes) from netlist to bitstream. Raises ToolMissing for whatever is not there."""
    device = _device(part)
    if shutil.which("nextpnr-himbaechel") or os.environ.get("NEXTPNR_HIMBAECHEL"):
        nextpnr = find("nextpnr-himbaechel", variable="NEXTPNR_HIMBAECHEL")
        place = [nextpnr, "--device", device, "--json", MENDED, "-o", f"xdc={CONSTRAINTS}", "-o", f"fasm={FASM}"]
        place += ["--pre-place", PLACES]
        if chip := os.environ.get("CHIPDB"):
            place += ["--chipdb", chip]
    else:
        nextpnr = find("nextpnr-xilinx", variable="NEXTPNR_XILINX", remedy=REMEDY)
        folder = os.environ.get("CHIPDB_DIR")
        if not folder:
            raise ToolMissing("CHIPDB_DIR is not set; let it name the folder with nextpnr-xilinx's chip databases.")
        chip = str(Path(folder) / f"{device.split('csg')[0]}.bin")
        place = [nextpnr, "--chipdb", chip, "--json", MENDED, "--xdc", CONSTRAINTS, "--fasm", FASM]
    database = _database(part)
    frames = find("fasm2frames", "fasm2frames.py", variable="FASM2FRAMES", remedy="install Project X-Ray's tools")
    bits = find("xc7frames2bit", variable="XC7FRAMES2BIT", remedy="install Project X-Ray's tools")
    return [
        ("route", [*place, "--seed", str(seed), "--timing-allow-fail"], [FASM]),
        ("frames", [frames, "--part", device, "--db-root", str(database), FASM, FRAMES], [FRAMES]),
        (
            "pack",
            [bits, "--part_file", str(database / device / "part.yaml"), "--part_name", device]
            + ["--frm_file", FRAMES, "--output_file", BITSTREAM],
            [BITSTREAM],
        ),
    ]


def route(
    part: Part,
    folder: Path,
    stage: Callable[[str], None],
    seed: int = 1,
    force: bool = False,
    seconds: float = SECONDS,
) -> Routed:
    """From the netlist in `folder` to a bitstream; with `force` also to one that is too slow.

    Raises ToolMissing, ToolError.
    """
    steps = commands(part, seed)
    netlist, _ = mend((folder / NETLIST).read_text(), TOP)
    (folder / MENDED).write_text(netlist)
    # Only the 35T's die has a plan.
    (folder / PLACES).write_text(script(floorplan(opened(netlist, TOP)[1]) if part is XC7A35T else {}))
    xdc = (folder / f"{TOP}.xdc").read_text()
    clocks = clock_nets(netlist, TOP, pin_clocks(xdc))
    (folder / CONSTRAINTS).write_text(constraints(xdc, clocks))
    names = {"route": "place and route", "frames": "frames", "pack": "bitstream"}
    routed = Routed(())
    for step, command, outputs in steps:
        stage(names[step])
        log = run_tool(step, command, folder, outputs, seconds)
        if step == "route":
            routed = Routed(_timing(log.read_text(errors="replace"), {clock.net: clock.mhz for clock in clocks}))
            if routed.slow and not force:
                (folder / BITSTREAM).unlink(missing_ok=True)
                return routed
    return Routed(routed.timing, folder / BITSTREAM)


def _timing(log: str, wanted: dict[str, float]) -> tuple[Timing, ...]:
    """Clocks from the log's last words on each."""
    found: dict[str, Timing] = {}
    pattern = r"Max frequency for clock\s+'([^']+)':\s+([\d.]+) MHz \(\w+ at ([\d.]+) MHz\)"
    for clock, achieved, asked in re.findall(pattern, log):
        found[clock] = Timing(clock, float(achieved), wanted.get(clock, float(asked)))
    return tuple(found.values())
