"""Every toolchain with tools that work, fail, hang or write nothing, and bitstreams that are none."""

import copy
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hw.boards.board import Board
from hw.boards.parts import LFE5U_85F, XC7A35T
from hw.program import program
from hw.toolchains import openxc7, process, trellis, vivado, yosys
from hw.toolchains.clock_nets import ClockNet, clock_nets
from hw.toolchains.errors import ToolError, ToolMissing
from hw.toolchains.outcome import check_bitstream
from tests.hw.toolchains import fake_tools as fake
from tests.hw.toolchains.fake_tools import tool, tools

__all__ = ["tools"]  # a fixture

CHAINS: dict[str, tuple[type[Board], Callable[..., None], list[str]]] = {
    "openxc7": (fake.Small, fake.open_tools, ["yosys", "nextpnr-himbaechel", "fasm2frames", "xc7frames2bit"]),
    "trellis": (fake.SmallEcp5, fake.ecp5_tools, ["yosys", "nextpnr-ecp5", "ecppack"]),
    "vivado": (fake.SmallVivado, fake.vivado_tool, ["vivado"]),
}
STEPS = [(chain, name) for chain, (_, _, names) in CHAINS.items() for name in names]
MISDEEDS = {
    "fails": ("print('out of memory'); sys.exit(3)", r"{name} failed with status 3: out of memory"),
    "writes nothing": ("pass", r"{name} ended as if all were well but did not write \S+; see \S+\.log"),
    "hangs": ("time.sleep(1000)", r"{name} did not end within 1 s and was stopped; see \S+\.log"),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_good_tools_make_a_bitstream(tools, tmp_path, monkeypatch, chain):
    board, install, _ = CHAINS[chain]
    install(tools, monkeypatch)
    outcome, chosen, status, problem = fake.run(board(), tmp_path / "out")
    assert (chosen, status, problem) == (chain, "success", "")
    assert outcome.routed is not None and outcome.routed.bitstream == tmp_path / "out" / "top.bit"


@pytest.mark.parametrize("misdeed", MISDEEDS)
@pytest.mark.parametrize(("chain", "name"), STEPS)
def test_bad_tools_are_told(tools, tmp_path, monkeypatch, chain, name, misdeed):
    board, install, _ = CHAINS[chain]
    install(tools, monkeypatch)
    out = tmp_path / "out"
    assert fake.run(board(), out)[2] == "success"  # what it leaves must not be taken for today's
    body, words = MISDEEDS[misdeed]
    tool(tools, name, body)
    for module in (yosys, openxc7, trellis, vivado):
        monkeypatch.setattr(module, "run_tool", impatient)
    outcome, _, status, problem = fake.run(board(), out)
    assert status == "failure" and outcome.routed is None
    assert re.search(words.format(name=name), problem)


def impatient(stage: str, command: list[str], folder: Path, outputs: list[str], seconds: float) -> Path:
    assert seconds > 60
    return process.run_tool(stage, command, folder, outputs, 1)


def test_what_a_tool_started_ends_with_it(tools, tmp_path):
    mark = tmp_path / "mark"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(mark)!r}).touch()"
    body = f"import subprocess\nsubprocess.Popen([sys.executable, '-c', {child!r}])\ntime.sleep(1000)"
    with pytest.raises(ToolError, match="did not end within 1 s and was stopped"):
        process.run_tool("stage", [tool(tools, "hangs", body)], tmp_path, [], 1)
    with pytest.raises(ToolError, match="did not end within 3 s"):
        process.run_tool("stage", [tool(tools, "waits", "time.sleep(1000)")], tmp_path, [], 3)
    assert not mark.exists()


def test_an_unusable_program_is_a_sentence(tools, tmp_path, monkeypatch):
    with pytest.raises(ToolMissing, match=r"^nothing-of-that-name is not installed; take another\.$"):
        process.find("nothing-of-that-name", remedy="take another")
    monkeypatch.setenv("YOSYS", "/nowhere/yosys")
    with pytest.raises(ToolMissing, match=r"YOSYS names /nowhere/yosys, which is not there"):
        process.find("yosys", variable="YOSYS")
    (tools / "broken").write_text("no program")
    (tools / "broken").chmod(0o755)
    with pytest.raises(ToolError, match=r"broken cannot be started"):
        process.run_tool("stage", [str(tools / "broken")], tmp_path, [], 1)


def test_clocks_of_the_open_tools(tools, tmp_path, monkeypatch):
    fake.open_tools(tools, monkeypatch)
    outcome = fake.run(fake.Small(), tmp_path / "out")[0]
    assert outcome.routed is not None and outcome.routed.timing[0].achieved_mhz == 120.5
    text = (tmp_path / "out" / "open.xdc").read_text().splitlines()
    assert text[0] == "set_property LOC E3 [get_ports {clk100_0__io}]"
    assert "create_clock -period 10.000 [get_nets {dram.user_clk}]" in text
    assert "create_clock -period 2.500 [get_nets {fast}]" in text


def test_the_older_place_and_route_is_second_choice(tools, tmp_path, monkeypatch):
    fake.open_tools(tools, monkeypatch)
    assert openxc7.commands(XC7A35T, 7)[0][1][0] == str(tools / "nextpnr-himbaechel")
    (tools / "nextpnr-himbaechel").unlink()
    tool(tools, "nextpnr-xilinx", "")
    with pytest.raises(ToolMissing, match="CHIPDB_DIR is not set; let it name the folder"):
        openxc7.commands(XC7A35T, 7)
    monkeypatch.setenv("CHIPDB_DIR", str(tmp_path))
    (_, place, outputs), *_ = openxc7.commands(XC7A35T, 7)
    assert place[:3] == [str(tools / "nextpnr-xilinx"), "--chipdb", str(tmp_path / "xc7a35t.bin")]
    assert place[place.index("--seed") + 1] == "7" and outputs == ["top.fasm"]
    with pytest.raises(ToolError, match=r"xc7z020 is not in the open databases; choose --toolchain vivado"):
        openxc7.commands(dataclasses.replace(XC7A35T, device="xc7z020"), 7)


def test_the_database_must_be_named(tools, monkeypatch):
    fake.open_tools(tools, monkeypatch)
    monkeypatch.setenv("PRJXRAY_DB_DIR", str(tools))
    with pytest.raises(ToolMissing, match="which has no folder artix7; correct it"):
        openxc7.commands(XC7A35T, 1)
    monkeypatch.delenv("PRJXRAY_DB_DIR")
    with pytest.raises(ToolMissing, match="PRJXRAY_DB_DIR is not set"):
        openxc7.commands(XC7A35T, 1)


@pytest.mark.parametrize(
    ("part", "size", "words"),
    [
        (XC7A35T, 1000, "has 1,000 bytes"),
        (dataclasses.replace(XC7A35T, idcode=0x03631093), None, "is for part 0x03631093"),
    ],
    ids=["short", "another part"],
)
def test_a_bitstream_that_is_none_is_no_success(tools, tmp_path, monkeypatch, part, size, words):
    fake.open_tools(tools, monkeypatch, part, size)
    _, _, status, problem = fake.run(fake.Small(), tmp_path / "out")
    assert status == "failure" and words in problem


def test_bitstreams_are_looked_at(tmp_path):
    path = tmp_path / "top.bit"
    path.write_bytes(fake.bitstream(XC7A35T))
    assert check_bitstream(path, XC7A35T) is None
    path.write_bytes(fake.bitstream(XC7A35T).replace(b"\xaa\x99\x55\x66", b"\0\0\0\0"))
    assert "synchronisation" in str(check_bitstream(path, XC7A35T))
    path.write_bytes(fake.bitstream(LFE5U_85F, 500_000))
    assert check_bitstream(path, LFE5U_85F) is None


def test_clock_nets_and_their_frequencies():
    found = clock_nets(json.dumps(fake.XC7_NETLIST), "top")
    assert found == [ClockNet("pll_out", 100.0), ClockNet("fast", 400.0), ClockNet("dram.user_clk", 100.0)]
    with pytest.raises(ToolError, match="no module other"):
        clock_nets(json.dumps(fake.XC7_NETLIST), "other")


def test_clocks_that_come_in_through_pins():
    xdc = "create_clock -name rx -period 40 [get_ports rx_clk]\ncreate_clock -name c -period 10.0 [get_nets clk100]\n"
    assert openxc7.pin_clocks(xdc) == {"rx_clk": 25.0}
    netlist = copy.deepcopy(fake.XC7_NETLIST)
    module = netlist["modules"]["top"]
    module["ports"] |= {"rx_clk": {"bits": [20]}, "rx_data": {"bits": [23]}}
    module["cells"] |= {
        "pin": {"type": "IBUF", "connections": {"I": [20], "O": [21]}},
        "other": {"type": "IBUF", "connections": {"I": [23], "O": [24]}},
        "net": {"type": "BUFG", "connections": {"I": [21], "O": [22]}},
    }
    module["netnames"] |= {"pin": {"bits": [21]}, "net": {"bits": [22]}, "data": {"bits": [24]}}
    found = {clock.net: clock.mhz for clock in clock_nets(json.dumps(netlist), "top", openxc7.pin_clocks(xdc))}
    assert {name: found.get(name) for name in ("pin", "net", "data")} == {"pin": 25.0, "net": 25.0, "data": None}


def test_a_plls_settings_may_have_any_width():
    netlist = copy.deepcopy(fake.XC7_NETLIST)
    parameters: dict[str, str] = netlist["modules"]["top"]["cells"]["pll"]["parameters"]
    # Bits as an `Instance` of Amaranth gives them, and text of zeros and ones, which Yosys ends with a space.
    parameters |= {"CLKFBOUT_MULT": "10000", "DIVCLK_DIVIDE": "1", "CLKOUT0_DIVIDE": "10000", "CLKIN1_PERIOD": "10 "}
    found = {clock.net: clock.mhz for clock in clock_nets(json.dumps(netlist), "top")}
    assert found == {"pll_out": 100.0, "fast": 400.0, "dram.user_clk": 100.0}
    parameters["CLKOUT0_DIVIDE"] = "1x000"
    with pytest.raises(ToolError, match="the settings of a PLLE2_ADV cannot be read"):
        clock_nets(json.dumps(netlist), "top")


def test_reports_that_cannot_be_read():
    with pytest.raises(ToolError, match="nextpnr's report cannot be read"):
        trellis.read_timing("{}")
    with pytest.raises(ToolError, match="no line"):
        vivado.read_utilisation("")
    with pytest.raises(ToolError, match="no clock"):
        vivado.read_timing("")


def test_the_worst_path_in_our_names():
    steps = [{"from": {"cell": "core.fetch.index"}, "to": {"cell": "core.issue"}}]
    path = {"from": "posedge $glbnet$clk", "to": "posedge $glbnet$clk", "path": steps}
    report: dict[str, Any] = {"fmax": {"$glbnet$clk": {"achieved": 50, "constraint": 40}}, "critical_paths": [path]}
    (clock,) = trellis.read_timing(json.dumps(report))
    assert (clock.clock, clock.achieved_mhz, clock.path) == ("clk", 50, ("core.fetch.index", "core.issue"))


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
    program(tmp_path / "top.bit", "ulx3s", flash=True)
    assert seen.read_text() == "-b ulx3s --write-flash top.bit"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('no cable'); sys.exit(1)", "loader failed with status 1: no cable"),
        ("time.sleep(1000)", "loader did not end within 1 s and was stopped"),
    ],
)
def test_a_loader_that_fails_or_hangs(tools, tmp_path, monkeypatch, body, words):
    (tmp_path / "top.bit").write_bytes(b"x")
    monkeypatch.setenv("OPENFPGALOADER", tool(tools, "loader", body))
    with pytest.raises(ToolError, match=words):
        program(tmp_path / "top.bit", "arty_a7_35t", seconds=1)
