"""Programs of a few lines that stand for tools, and what the real ones would write."""

import io
import json
import os
import stat
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from hw import build as command
from hw.boards.board import Board
from hw.boards.design import Design
from hw.boards.parts import LFE5U_85F, XC7A35T, Part

RTLIL = "module \\top\nend\nmodule \\top.machine\nend\nmodule \\top.machine.accelerator.core.array\nend\n"
SMALL = {"LUT6": 900, "FDRE": 800, "DSP48E1": 88, "RAMB36E1": 40, "RAMB18E1": 3}
SMALL_ECP5 = {"LUT4": 900, "TRELLIS_FF": 800, "MULT18X18D": 88, "DP16KD": 40}
XC7_NETLIST: dict[str, Any] = {
    "modules": {
        "top": {
            "cells": {
                "pll": {
                    "type": "PLLE2_ADV",
                    "parameters": {
                        "CLKIN1_PERIOD": "10.0 ",
                        "CLKFBOUT_MULT": f"{16:032b}",
                        "DIVCLK_DIVIDE": f"{1:032b}",
                        "CLKOUT0_DIVIDE": f"{16:032b}",
                        "CLKOUT1_DIVIDE": f"{4:032b}",
                    },
                    "port_directions": {"CLKOUT0": "output", "CLKOUT1": "output"},
                    "connections": {"CLKOUT0": [5], "CLKOUT1": [6]},
                },
                "buffer": {
                    "type": "BUFG",
                    "port_directions": {"I": "input", "O": "output"},
                    "connections": {"I": [5], "O": [7]},
                },
            },
            "ports": {},
            "netnames": {
                "pll_out": {"bits": [5]},
                "fast": {"bits": [6]},
                "dram.user_clk": {"bits": [7]},
                "$hidden": {"bits": [7], "hide_name": 1},
            },
        }
    }
}
ECP5_NETLIST: dict[str, Any] = {"modules": {"top": {"cells": {}, "ports": {}, "netnames": {}}}}
VARIABLES = ("YOSYS", "PRJXRAY_DB_DIR", "DB_DIR", "CHIPDB", "CHIPDB_DIR", "VIVADO", "NEXTPNR_ECP5", "ECPPACK")


class Small(Board):
    """A board of a few lines, for the flow around the tools."""

    name = "small"
    part = XC7A35T
    preset = "tiny"
    toolchains: ClassVar[tuple[str, ...]] = ("openxc7", "yosys")

    def design(self) -> Design:
        return Design(self.name, RTLIL, (), {"top.xdc": 'set_property LOC E3 [get_ports "clk100_0__io"]\n'})


class SmallEcp5(Small):
    part = LFE5U_85F
    toolchains = ("trellis",)


class SmallVivado(Small):
    toolchains = ("vivado",)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a PATH with nothing but what the test puts there."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in VARIABLES:
        if name in os.environ:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def tool(folder: Path, name: str, body: str) -> str:
    """A program that stands for a tool: lines of Python, with its arguments in `a`."""
    path = folder / name
    path.write_text(f"#!/usr/bin/env python3\nimport sys, time\nfrom pathlib import Path\na = sys.argv\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def writes(files: dict[str, str]) -> str:
    """Lines that write files."""
    return "\n".join(f"Path({name!r}).write_text({text!r})" for name, text in files.items())


def statistics(cells: dict[str, int]) -> str:
    return json.dumps({"modules": {"\\top": {"num_cells_by_type": cells}}})


def yosys_tool(folder: Path, cells: dict[str, int]) -> str:
    text = statistics(cells)
    netlist = json.dumps(ECP5_NETLIST if "TRELLIS_FF" in cells else XC7_NETLIST)
    return tool(folder, "yosys", writes({"units.json": text, "total.json": text, "netlist.json": netlist}))


def bitstream(part: Part, size: int | None = None) -> bytes:
    sync, compare = (
        (b"\xaa\x99\x55\x66", b"\x30\x01\x80\x01") if part.family == "xc7" else (b"\xff\xff\xbd\xb3", b"\xe2\0\0\0")
    )
    head = b"\xff" * 32 + sync + compare + part.idcode.to_bytes(4, "big")
    return head.ljust(size or part.bitstream_bytes[0], b"\0")


def open_tools(
    tools: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: Part = XC7A35T,
    size: int | None = None,
    mhz: float = 120.5,
) -> None:
    """Everything for xc7 with open tools; the bitstream is of `part` and `size`, the machine's clock reaches `mhz`."""
    monkeypatch.setenv("YOSYS", yosys_tool(tools, SMALL))
    said = f"print(\"Info: Max frequency for clock 'dram.user_clk': {mhz} MHz (PASS at 100.00 MHz)\")"
    write = "Path([x for x in a if x.startswith('fasm=')][0][5:]).write_text('F')"
    tool(tools, "nextpnr-himbaechel", f"{said}\n{write}")
    tool(tools, "fasm2frames", "Path(a[-1]).write_text('frames')")
    (tools / "content").write_bytes(bitstream(part, size))
    copy = f"Path(a[a.index('--output_file') + 1]).write_bytes(Path({str(tools / 'content')!r}).read_bytes())"
    tool(tools, "xc7frames2bit", copy)
    (tools / "db" / "artix7").mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("PRJXRAY_DB_DIR", str(tools / "db"))


def ecp5_tools(tools: Path, monkeypatch: pytest.MonkeyPatch, mhz: float = 61.0, wanted: float = 60.0) -> None:
    """Everything for ECP5; the clock reaches `mhz`."""
    monkeypatch.setenv("YOSYS", yosys_tool(tools, SMALL_ECP5))
    report = {"fmax": {"$glbnet$clk": {"achieved": mhz, "constraint": wanted}}, "critical_paths": []}
    files = {"timing.json": json.dumps(report), "top.config": "c"}
    monkeypatch.setenv("NEXTPNR_ECP5", tool(tools, "nextpnr-ecp5", writes(files)))
    (tools / "content").write_bytes(bitstream(LFE5U_85F, 200_000))
    copy = f"Path(a[a.index('--bit') + 1]).write_bytes(Path({str(tools / 'content')!r}).read_bytes())"
    monkeypatch.setenv("ECPPACK", tool(tools, "ecppack", copy))


VIVADO_USED = (
    "| Slice LUTs | 15000 | 0 | 0 | 20800 | 72.1 |\n| Slice Registers | 20000 | 0 |\n"
    "| Block RAM Tile | 41.5 | 0 |\n| DSPs | 90 | 0 |\n"
)
VIVADO_TIMING = (
    "Clock      Waveform(ns)       Period(ns)      Frequency(MHz)\nsys_clk  {{0.000 5.000}}  10.000  100.000\n"
    "| Intra Clock Table\nClock  WNS(ns)\nsys_clk   {slack}   -3.0  4\n| Inter Clock Table\n"
)


def vivado_tool(tools: Path, monkeypatch: pytest.MonkeyPatch, slack: float = 0.1) -> None:
    files = {"top_utilization_place.rpt": VIVADO_USED, "top_timing.rpt": VIVADO_TIMING.format(slack=slack)}
    (tools / "content").write_bytes(bitstream(XC7A35T))
    copy = f"Path('top.bit').write_bytes(Path({str(tools / 'content')!r}).read_bytes())"
    monkeypatch.setenv("VIVADO", tool(tools, "vivado", f"{writes(files)}\n{copy}"))


def run(board: Board, folder: Path, toolchain: str = "auto", force: bool = False):
    """`hw.build` on a board, without its command line: outcome, toolchain, status, problem."""
    folder.mkdir(exist_ok=True)
    return command.build(board, toolchain, folder, 1, Console(file=io.StringIO()), force)
