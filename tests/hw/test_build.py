"""`hw.build`: every path with tools that work, fail, hang or write nothing; what is written for the real ones."""

import dataclasses
import io
import json
import os
import re
import stat
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from gateware.config import config
from hw import build as command
from hw.boards.arty_a7 import ArtyA7
from hw.boards.board import Board
from hw.boards.clocks import pll_settings
from hw.boards.design import Design, plain_names
from hw.boards.parts import LFE5U_85F, XC7A35T
from hw.boards.ulx3s import Ulx3s85F
from hw.fit import estimate, misfits
from hw.program import program
from hw.toolchains import openxc7, trellis, vivado
from hw.toolchains.clock_nets import ClockNet, clock_nets
from hw.toolchains.errors import ToolError, ToolMissing
from hw.toolchains.outcome import check_bitstream
from hw.toolchains.process import find, run_tool
from hw.toolchains.utilisation import Utilisation, by_unit, count, over_limits, packed
from hw.toolchains.yosys import script

RTLIL = "module \\top\nend\nmodule \\top.machine\nend\nmodule \\top.machine.accelerator.core.array\nend\n"
SMALL = {"LUT6": 900, "FDRE": 800, "DSP48E1": 88, "RAMB36E1": 40, "RAMB18E1": 3}
XC7_NETLIST = {
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
                    "connections": {"CLKOUT0": [5], "CLKOUT1": [6]},
                },
                "buffer": {"type": "BUFG", "connections": {"I": [5], "O": [7]}},
            },
            "netnames": {
                "pll_out": {"bits": [5]},
                "fast": {"bits": [6]},
                "dram.user_clk": {"bits": [7]},
                "$hidden": {"bits": [7], "hide_name": 1},
            },
        }
    }
}


def statistics(cells: dict[str, int]) -> str:
    return json.dumps({"modules": {"\\top": {"num_cells_by_type": cells}}})


def tool(folder: Path, name: str, body: str) -> str:
    """A program of a few lines of Python that stands for a tool."""
    path = folder / name
    path.write_text(f"#!/usr/bin/env python3\nimport sys, time\nfrom pathlib import Path\na = sys.argv\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def yosys_tool(folder: Path, cells: dict[str, int], netlist: object = None) -> str:
    text = statistics(cells)
    body = f"Path('units.json').write_text({text!r})\nPath('total.json').write_text({text!r})\n"
    body += f"Path('netlist.json').write_text({json.dumps(netlist or XC7_NETLIST)!r})"
    return tool(folder, "yosys", body)


def bitstream(part, size: int | None = None) -> bytes:
    sync, compare = (
        (b"\xaa\x99\x55\x66", b"\x30\x01\x80\x01") if part.family == "xc7" else (b"\xff\xff\xbd\xb3", b"\xe2\0\0\0")
    )
    head = b"\xff" * 32 + sync + compare + part.idcode.to_bytes(4, "big")
    return head.ljust(size or part.bitstream_bytes[0], b"\0")


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


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what the test puts there."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in list(os.environ):
        if name in ("YOSYS", "PRJXRAY_DB_DIR", "DB_DIR", "CHIPDB", "CHIPDB_DIR", "VIVADO"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def run(board: Board, folder: Path, toolchain: str = "auto"):
    folder.mkdir(exist_ok=True)
    return command.build(board, toolchain, folder, 1, Console(file=io.StringIO()))


def test_without_place_and_route_everything_else_is_done(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", yosys_tool(tools, SMALL))
    outcome, chosen, status, problem = run(Small(), tmp_path / "out")
    assert (chosen, status, problem) == ("yosys", "partial", "")
    assert outcome.used == Utilisation(900, 800, 88, 41.5, 900)
    assert "nextpnr-xilinx is not installed; install nextpnr-himbaechel" in outcome.missing
    assert outcome.routed is None


def test_a_design_that_does_not_fit_is_refused_with_numbers(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("YOSYS", yosys_tool(tools, {**SMALL, "LUT6": 19_000, "LUT2": 2_000, "DSP48E1": 96}))
    outcome, _, status, problem = run(Small(), tmp_path / "out", "yosys")
    assert status == "failure" and outcome.routed is None
    assert "takes 21,000 LUTs and a XC7A35T should be given at most 20,800: 200 too many" in problem
    assert "20,000 LUTs after packing and a XC7A35T should be given at most 17,680: 2,320 too many" in problem
    assert "96 DSPs" in problem and "lower rows" in problem


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('out of memory'); sys.exit(3)", r"yosys failed with status 3: out of memory"),
        ("pass", r"did not write units.json"),
    ],
)
def test_a_yosys_that_fails_or_writes_nothing(tools, tmp_path, monkeypatch, body, words):
    monkeypatch.setenv("YOSYS", tool(tools, "yosys", body))
    out = tmp_path / "out"
    out.mkdir()
    (out / "units.json").write_text(statistics(SMALL))  # of another day
    outcome, _, status, problem = run(Small(), out, "yosys")
    assert status == "failure" and outcome.used is None
    assert re.search(words, problem)


def test_a_tool_that_hangs_is_ended(tools, tmp_path):
    body = "import subprocess\nsubprocess.Popen(['sleep', '1000'])\ntime.sleep(1000)"
    with pytest.raises(ToolError, match=r"did not end within 1 s and was stopped"):
        run_tool("stage", [tool(tools, "hangs", body)], tmp_path, [], 1)


def test_an_unusable_program_is_a_sentence(tools, tmp_path, monkeypatch):
    with pytest.raises(ToolMissing, match=r"^nothing-of-that-name is not installed; take another\.$"):
        find("nothing-of-that-name", remedy="take another")
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolMissing, match=r"YOSYS names /nowhere/yosys, which is not there"):
        find("yosys", variable="YOSYS")
    (tools / "broken").write_text("no program")
    (tools / "broken").chmod(0o755)
    with pytest.raises(ToolError, match=r"broken cannot be started"):
        run_tool("stage", [str(tools / "broken")], tmp_path, [], 1)


def open_tools(tools: Path, monkeypatch, part=XC7A35T, size: int | None = None) -> None:
    monkeypatch.setenv("YOSYS", yosys_tool(tools, SMALL))
    said = "print(\"Info: Max frequency for clock 'dram.user_clk': 120.50 MHz (PASS at 100.00 MHz)\")"
    write = "Path([x for x in a if x.startswith('fasm=')][0][5:]).write_text('F')"
    tool(tools, "nextpnr-himbaechel", f"{said}\n{write}")
    tool(tools, "fasm2frames", "Path(a[-1]).write_text('frames')")
    content = tools / "content"
    content.write_bytes(bitstream(part, size))
    copy = f"Path(a[a.index('--output_file') + 1]).write_bytes(Path({str(content)!r}).read_bytes())"
    tool(tools, "xc7frames2bit", copy)
    (tools / "db" / "artix7").mkdir(parents=True)
    monkeypatch.setenv("PRJXRAY_DB_DIR", str(tools / "db"))


def test_open_tools_to_a_bitstream(tools, tmp_path, monkeypatch):
    open_tools(tools, monkeypatch)
    outcome, chosen, status, problem = run(Small(), tmp_path / "out")
    assert (chosen, status, problem) == ("openxc7", "success", "")
    assert outcome.routed is not None and outcome.routed.timing[0].achieved_mhz == 120.5
    text = (tmp_path / "out" / "open.xdc").read_text().splitlines()
    assert text[0] == "set_property LOC E3 [get_ports {clk100_0__io}]"
    assert "create_clock -period 10.000 [get_nets {dram.user_clk}]" in text
    assert "create_clock -period 2.500 [get_nets {fast}]" in text


@pytest.mark.parametrize(
    ("part", "size", "words"),
    [
        (XC7A35T, 1000, "has 1,000 bytes"),
        (dataclasses.replace(XC7A35T, idcode=0x03631093), None, "is for part 0x03631093"),
    ],
    ids=["short", "another part"],
)
def test_a_bitstream_that_is_none_is_no_success(tools, tmp_path, monkeypatch, part, size, words):
    open_tools(tools, monkeypatch, part, size)
    _, _, status, problem = run(Small(), tmp_path / "out")
    assert status == "failure" and words in problem


def test_the_database_must_be_named(tools, monkeypatch):
    open_tools(tools, monkeypatch)
    monkeypatch.delenv("PRJXRAY_DB_DIR")
    with pytest.raises(ToolMissing, match="PRJXRAY_DB_DIR is not set"):
        openxc7.commands(XC7A35T, 1)


def test_clock_nets_and_their_frequencies():
    found = clock_nets(json.dumps(XC7_NETLIST), "top")
    assert found == [ClockNet("pll_out", 100.0), ClockNet("fast", 400.0), ClockNet("dram.user_clk", 100.0)]
    with pytest.raises(ToolError, match="no module other"):
        clock_nets(json.dumps(XC7_NETLIST), "other")


def test_ecp5_timing_decides(tools, tmp_path, monkeypatch):
    cells = {"LUT4": 900, "TRELLIS_FF": 800, "MULT18X18D": 88, "DP16KD": 40}
    monkeypatch.setenv("YOSYS", yosys_tool(tools, cells))
    report: dict[str, Any] = {"fmax": {"$glbnet$clk": {"achieved": 55.0, "constraint": 60.0}}, "critical_paths": []}
    body = f"Path('timing.json').write_text({json.dumps(report)!r})\nPath('top.config').write_text('c')"
    monkeypatch.setenv("NEXTPNR_ECP5", tool(tools, "nextpnr-ecp5", body))
    content = tools / "content"
    content.write_bytes(bitstream(LFE5U_85F, 200_000))
    body = f"Path('top.bit').write_bytes(Path({str(content)!r}).read_bytes())"
    monkeypatch.setenv("ECPPACK", tool(tools, "ecppack", body))
    outcome, chosen, status, problem = run(SmallEcp5(), tmp_path / "out")
    assert (chosen, status) == ("trellis", "failure") and outcome.used == Utilisation(900, 800, 88, 20, 900)
    assert problem.startswith("The clock clk reaches 55.0 MHz and is to be 60.0")
    report["fmax"]["$glbnet$clk"]["achieved"] = 61.0
    monkeypatch.setenv(
        "NEXTPNR_ECP5",
        tool(
            tools,
            "nextpnr",
            f"Path('timing.json').write_text({json.dumps(report)!r})\nPath('top.config').write_text('c')",
        ),
    )
    assert run(SmallEcp5(), tmp_path / "out")[2] == "success"


def test_reports_that_cannot_be_read():
    with pytest.raises(ToolError, match="nextpnr's report cannot be read"):
        trellis.read_timing("{}")
    with pytest.raises(ToolError, match="no line"):
        vivado.read_utilisation("")
    with pytest.raises(ToolError, match="no clock"):
        vivado.read_timing("")


def test_vivado_s_tables():
    table = "| Slice LUTs | 15000 | 0 | 0 | 20800 | 72.1 |\n| Slice Registers | 20000 | 0 |\n"
    table += "| Block RAM Tile | 41.5 | 0 |\n| DSPs | 90 | 0 |\n"
    assert vivado.read_utilisation(table) == Utilisation(15_000, 20_000, 90, 41.5, 15_000)
    timing = "Clock      Waveform(ns)       Period(ns)      Frequency(MHz)\nsys_clk  {0.000 5.000}  10.000  100.000\n"
    timing += "| Intra Clock Table\nClock  WNS(ns)\nsys_clk   -2.500   -3.0  4\n| Inter Clock Table\n"
    (clock,) = vivado.read_timing(timing)
    assert clock.achieved_mhz == pytest.approx(80) and not clock.met


def test_units_are_counted_once():
    modules = {"top": {"LUT6": 5, "unit": 2}, "unit": {"LUT2": 7, "DSP48E1": 1}}
    text = json.dumps({"modules": {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}})
    assert by_unit(text) == {"top": Utilisation(5, 0, 0, 0, 5), "unit": Utilisation(7, 0, 1, 0, 4)}
    with pytest.raises(ToolError, match="unknown size, NEW_CELL"):
        count({"NEW_CELL": 1})


def test_limits_are_the_part_s_own():
    assert over_limits(Utilisation(20_800, 41_600, 90, 50, 17_680), XC7A35T) == []
    assert len(over_limits(Utilisation(20_801, 41_601, 91, 50.5, 17_681), XC7A35T)) == 5


def test_small_luts_share_one():
    assert packed({"LUT6": 3, "LUT5": 4, "RAM32M": 2, "SRL16E": 5}) == 3 + 4 + 8 + 5
    assert packed({"LUT4": 10, "INV": 4, "LUT1": 2}) == 10  # each with an inverter
    assert packed({"LUT3": 10, "LUT2": 12, "LUT1": 1}) == 12  # ten pairs, two LUT2 together, one alone
    assert packed({"LUT3": 6}) == 6  # two have six inputs


def test_bitstreams_are_looked_at(tmp_path):
    path = tmp_path / "top.bit"
    path.write_bytes(bitstream(XC7A35T))
    assert check_bitstream(path, XC7A35T) is None
    path.write_bytes(bitstream(XC7A35T).replace(b"\xaa\x99\x55\x66", b"\0\0\0\0"))
    assert "synchronisation" in str(check_bitstream(path, XC7A35T))
    path.write_bytes(bitstream(LFE5U_85F, 500_000))
    assert check_bitstream(path, LFE5U_85F) is None


def test_names_with_brackets_become_plain():
    assert plain_names("wire \\a[0].b[1] [3:0]\n connect \\c [1] \\a[0].b[1] [2]") == (
        "wire \\a.0.b.1 [3:0]\n connect \\c [1] \\a.0.b.1 [2]"
    )


def test_script_keeps_units_apart_and_ends_flat():
    text = script(Design("x", RTLIL), "xc7")
    assert "setattr -mod -set keep_hierarchy 1 top.machine\n" in text
    assert "core.array" not in text  # deeper than a unit
    assert text.index("keep_hierarchy 1") < text.index("synth_xilinx") < text.index("\nflatten")
    assert "-nobram" not in text and "delete t:$scopeinfo" in text


def test_pll_of_the_ulx3s():
    settings = pll_settings(25, 60)
    assert 25 / settings.clki_div * settings.clkfb_div == pytest.approx(60) == settings.mhz
    assert 400 <= settings.mhz * settings.clkop_div <= 800
    with pytest.raises(ValueError, match=r"cannot make 1 MHz from 25 MHz"):
        pll_settings(25, 1)


# What `python -m hw.build` reports of the boards' presets.
@pytest.mark.parametrize(
    ("preset", "part", "lut", "dsp", "bram36"),
    [("arty_a7_35", XC7A35T, 16_516, 90, 47), ("ulx3s_85f", LFE5U_85F, 37_242, 148, 61.5)],
)
def test_estimates_are_within_a_tenth(preset, part, lut, dsp, bram36):
    found = estimate(config(preset), part)
    assert found.lut == pytest.approx(lut, rel=0.1)
    assert found.dsp == pytest.approx(dsp, rel=0.1) and found.bram36 == pytest.approx(bram36, rel=0.1)
    assert misfits(config(preset), part) == []


def test_what_cannot_fit_is_refused_before_any_tool_runs(capsys):
    assert command.main(["--board", "arty_a7", "--set", "rows=12", "--set", "b_depth=12288"]) == 2
    said = capsys.readouterr().err
    assert "needs 98 DSPs and a XC7A35T has 90; set rows to 11 or less" in said
    assert "lower a_depth (2048) or b_depth (12288)" in said


def test_users_mistakes(capsys, tmp_path):
    assert command.main(["--board", "arty"]) == 2
    assert "--board must be one of arty_a7" in capsys.readouterr().err
    assert command.main(["--board", "ulx3s_85f", "--toolchain", "vivado", "--out", str(tmp_path)]) == 2
    assert "built with trellis, yosys or auto, not vivado" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--set", "rows=3"]) == 2
    assert "rows must be 4 to 64" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--set", "size=3"]) == 2
    assert "names no number of the configuration" in capsys.readouterr().err
    assert command.main(["--board", "arty_a7", "--clock", "90", "--out", str(tmp_path), "--toolchain", "yosys"]) == 2
    assert "clock_mhz must be 100" in capsys.readouterr().err
    assert command.main(["--list-boards"]) == 0


def test_programming(tools, tmp_path, monkeypatch):
    with pytest.raises(ToolError, match="there is no bitstream"):
        program(tmp_path / "top.bit", "arty_a7_35t")
    (tmp_path / "top.bit").write_bytes(b"x")
    with pytest.raises(ToolMissing, match="openFPGALoader is not installed; install the package"):
        program(tmp_path / "top.bit", "arty_a7_35t")
    seen = tmp_path / "seen"
    monkeypatch.setenv("OPENFPGALOADER", tool(tools, "loader", f"Path({str(seen)!r}).write_text(' '.join(a[1:]))"))
    program(tmp_path / "top.bit", "arty_a7_35t")
    assert seen.read_text() == "-b arty_a7_35t top.bit"


def test_files_for_the_arty():
    design = ArtyA7(config("tiny")).design()
    xdc, tcl = design.files["top.xdc"], design.files["top.tcl"]
    assert "create_clock -name clk100_0__io -period 10.0" in xdc
    assert "INTERNAL_VREF 0.675" in xdc and 'IOSTANDARD "DIFF_SSTL135"' in xdc
    assert "set_false_path -from [get_ports {uart_0__rx__io rst_0__io}]" in xdc and "ars_ff1 == TRUE" in xdc
    assert "ars_ff1" in design.sources[0].read_text()
    assert "-part xc7a35ticsg324-1L" in tcl and f'add_files "{design.sources[0].name}"' in tcl
    assert "module top(" in design.files["top.v"]
    assert json.loads(design.files["dram.json"])["phy"]["delays"] == 32
    ports = openxc7.constraints(xdc, [])
    for pin in ("E3", "C2", "A9", "D10", "K6", "U9"):  # clock, button, UART, memory's reset and clock
        assert f"set_property LOC {pin} " in ports
    assert "top.machine" in design.units and "litedram_arty_a7" in design.units


def test_files_for_the_ulx3s():
    machine = dataclasses.replace(config("tiny"), clock_mhz=60.0, address_bits=21)
    design = Ulx3s85F(machine).design()
    lpf = design.files["top.lpf"]
    assert 'LOCATE COMP "sdram_0__clk__io" SITE "F19"' in lpf and 'LOCATE COMP "uart_0__rx__io" SITE "M1"' in lpf
    assert "FREQUENCY" in lpf and "25000000.0 HZ" in lpf
    assert "EHXPLLL" in design.rtlil and "ODDRX1F" in design.rtlil
