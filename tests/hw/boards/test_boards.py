"""What is written for the boards: constraints, pins, clocks, and RTLIL that Yosys takes."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from gateware.config import config
from hw.asic.board import Asic
from hw.boards.arty_a7 import ArtyA7
from hw.boards.board import Board, BoardError
from hw.boards.clocks import pll_settings
from hw.boards.design import TOP, Design, plain_names
from hw.boards.ulx3s import Ulx3s85F
from hw.dram.settings import DramError
from hw.ethernet.settings import EthernetSettings
from hw.toolchains import openxc7
from hw.toolchains.process import run_tool
from hw.toolchains.utilisation import count
from hw.toolchains.yosys import NETLIST, TOTAL, script, yosys
from tests.hw.toolchains.fake_tools import RTLIL


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
    # Each of the four clocks has a reset that the PLL's lock releases, through two registers.
    core = design.sources[0].read_text()
    assert len(re.findall(r"assign \w+_async_reset = \(~main_locked\);", core)) == 4
    assert core.count('ars_ff1 = "true"') == core.count('ars_ff2 = "true"') == 4
    # The UART's pins have registers of their own, and its input a synchroniser behind.
    assert (
        re.search(r"cell \\top\.rx_pin\.buf \\buf", design.rtlil) and "top.uart.receiver.synchroniser" in design.rtlil
    )


def test_two_clocks_on_the_arty():
    machine = dataclasses.replace(config("tiny"), pump=2, clock_mhz=87.5)
    design = ArtyA7(machine).design()
    core = design.sources[0].read_text()
    dividers = [int(text) for text in re.findall(r"CLKOUT\d_DIVIDE +\(\d+'d(\d+)\)", core)]
    phases = re.findall(r"CLKOUT\d_PHASE +\(\d+'d(\d+)\)", core)
    # Of the controller's clocks the second is its own; the fifth, twice as fast, begins with it and has a buffer too.
    assert len(dividers) == 5 and dividers[1] == 2 * dividers[4] and phases[1] == phases[4] == "0"
    assert re.search(r"assign user_clk_fast = fast_clk;", core) and core.count("\nBUFG ") == 5
    machine_module = re.search(r"cell \\top\.machine \\machine\n(.*?)\n  end", design.rtlil, re.DOTALL)
    assert machine_module and "\\fast_clk" in machine_module[1] and "fast_rst" not in design.rtlil


@pytest.mark.parametrize("board", [Ulx3s85F, Asic])
def test_boards_of_one_clock_refuse_two(board: type[Board]):
    machine = dataclasses.replace(config(board.preset), pump=2)
    with pytest.raises((BoardError, DramError), match=r"choose pump=1|pump must be 1"):
        board(machine).design()


def test_ethernet_on_the_arty():
    design = ArtyA7(config("tiny"), EthernetSettings("10.1.2.3")).design()
    xdc = design.files["top.xdc"]
    assert "litex" not in xdc and {"top.ethernet", "top.lines", "liteeth_udp"} <= set(design.units)
    ports = openxc7.constraints(xdc, [])
    # The PHY's clocks, data in and out, reset, and the clock that it gets.
    for pin in ("F15", "H16", "D18", "H14", "H15", "G16", "C16", "G18"):
        assert f"set_property LOC {pin} " in ports
    assert openxc7.pin_clocks(xdc) == {"eth_mii_0__rx_clk__io": 25.0, "eth_mii_0__tx_clk__io": 25.0}
    assert "set_clock_groups -asynchronous -group eth_rx" in xdc and "eth_clk25_0__io -period" not in xdc
    # The PHY's two clocks, and the oscillator's, from which its own is made.
    assert design.rtlil.count("cell \\BUFG") == 3
    without = ArtyA7(config("tiny")).design()
    assert "eth_" not in without.files["top.xdc"] and "top.lines" not in without.units


@pytest.fixture(scope="module")
def ulx3s() -> Design:
    """The smallest machine on the ULX3S: it takes seconds to elaborate."""
    return Ulx3s85F(dataclasses.replace(config("tiny"), columns=4, pack=1, clock_mhz=60.0, address_bits=21)).design()


def test_files_for_the_ulx3s(ulx3s: Design):
    design = ulx3s
    lpf = design.files["top.lpf"]
    assert 'LOCATE COMP "sdram_0__clk__io" SITE "F19"' in lpf and 'LOCATE COMP "uart_0__rx__io" SITE "M1"' in lpf
    assert "FREQUENCY" in lpf and "25000000.0 HZ" in lpf
    assert "EHXPLLL" in design.rtlil and "ODDRX1F" in design.rtlil
    # The controller's reset, which is everybody's, waits for the PLL's lock and ends two registers later.
    reset = re.search(
        r"cell \$not \S+\n(?:\s+parameter.*\n)+\s+connect \\A \\locked.*\n\s+connect \\Y (\S+)", design.rtlil
    )
    assert reset is not None and f"connect \\rst {reset[1]}" in design.rtlil
    core = design.sources[0].read_text()
    chain = re.findall(r"\.CK \((\w+)\),\s+\.D\s+\((\S+)\),\s+\.PD \((\w+)\),.*?\.Q\s+\((\w+)\)", core, re.DOTALL)
    assert chain == [("sys_clk", "1'd0", "rst", "rst1"), ("sys_clk", "rst1", "rst", "sys_rst")]
    assert "assign user_rst = sys_rst;" in core


def test_synthesis_of_the_ulx3s(ulx3s: Design, tmp_path: Path):
    """Everything but the core goes through Yosys as for the bitstream, which takes too long here (`make bitstream`)."""
    core = "top.machine.accelerator.core"
    commands = script(ulx3s, "ecp5")
    read = f"read_rtlil {TOP}.il\n"
    assert read in commands and f"module \\{core}\n" in ulx3s.rtlil
    ulx3s.write(tmp_path)
    (tmp_path / "synthesis.ys").write_text(commands.replace(read, f"{read}hierarchy -top {TOP}\nblackbox {core}\n"))
    run_tool("synthesis", [yosys(), "-q", "-s", "synthesis.ys"], tmp_path, [TOTAL, NETLIST], 600)
    cells = json.loads((tmp_path / TOTAL).read_text())["modules"][f"\\{TOP}"]["num_cells_by_type"]
    assert cells.pop(core) == 1
    used = count(cells)  # raises for a cell that the part does not have
    assert used.lut > 3000 and used.ff > 2000 and (used.dsp, used.bram36) == (0, 1)  # the link's two packets
    # The PLL, the output register of the memory's clock, and the pins that have a buffer before place and route.
    assert (cells["EHXPLLL"], cells["ODDRX1F"], cells["TRELLIS_IO"]) == (1, 1, 25)
    ports = json.loads((tmp_path / NETLIST).read_text())["modules"][TOP]["ports"]
    wide = {name: [f"[{bit}]" for bit in range(len(port["bits"]))] for name, port in ports.items()}
    pins = {name + bit for name, bits in wide.items() for bit in (bits if len(bits) > 1 else [""])}
    assert pins == set(re.findall(r'LOCATE COMP "([^"]+)"', ulx3s.files["top.lpf"]))
