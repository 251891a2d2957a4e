"""Digilent's Arty A7, with either of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from amaranth.hdl import ClockDomain, Instance, IOValue, Module, Signal
from amaranth.lib import io
from amaranth.lib.wiring import PureInterface
from amaranth_boards.arty_a7 import ArtyA7_35Platform, ArtyA7_100Platform

from firmware.dram.initialisation import FILE_NAME
from gateware.link.uart import BOARD_BAUD
from hw.boards.board import Board
from hw.boards.design import TOP, Design
from hw.boards.parts import XC7A35T, XC7A100T
from hw.boards.top import BoardTop, raw
from hw.dram.controller import LiteDram
from hw.dram.generate import generate
from hw.dram.settings import ARTY_A7
from hw.ethernet.generate import generate as ethernet_core

__all__ = ["ArtyA7", "ArtyA7_100", "ArtyTop"]

# Memory and machine run from one PLL in the controller: the machine's clock, four times that, the same shifted by 90
# degrees, and 200 MHz for the PHY's delays. A clock of another frequency would need a crossing at the memory port.

# Vivado derives the PLL's clocks. What it cannot know: which signals come from people or from another clock, and that
# the controller's reset synchronisers are asserted at any time and must settle between their two registers.
EXCEPTIONS = """
set_false_path -from [get_ports {uart_0__rx__io rst_0__io}]
set_false_path -to [get_ports {uart_0__tx__io led_0__io led_1__io led_2__io led_3__io}]
set synchronisers [get_cells -hierarchical -filter {ars_ff1 == TRUE || ars_ff2 == TRUE}]
set_false_path -to [get_pins -of_objects $synchronisers -filter {REF_PIN_NAME == PRE}]
set_max_delay 2 -from [get_pins -of_objects [get_cells -hierarchical -filter {ars_ff1 == TRUE}] \
    -filter {REF_PIN_NAME == C}] -to [get_pins -of_objects [get_cells -hierarchical -filter {ars_ff2 == TRUE}] \
    -filter {REF_PIN_NAME == D}]
"""

# The PHY's clocks have no relation to each other or to the machine's: whatever crosses goes through LiteEth's FIFOs.
# The PHY (DP83848J) changes what it sends 10 to 30 ns after its clock, and looks at what it gets from 10 ns before.
ETHERNET_EXCEPTIONS = """
create_clock -name eth_rx -period 40 [get_ports eth_mii_0__rx_clk__io]
create_clock -name eth_tx -period 40 [get_ports eth_mii_0__tx_clk__io]
set_clock_groups -asynchronous -group eth_rx
set_clock_groups -asynchronous -group eth_tx
set_input_delay -clock eth_rx -min 10 [get_ports {eth_mii_0__rx_dv__io eth_mii_0__rx_data__io[*]}]
set_input_delay -clock eth_rx -max 30 [get_ports {eth_mii_0__rx_dv__io eth_mii_0__rx_data__io[*]}]
set_output_delay -clock eth_tx -min 0 [get_ports {eth_mii_0__tx_en__io eth_mii_0__tx_data__io[*]}]
set_output_delay -clock eth_tx -max 10 [get_ports {eth_mii_0__tx_en__io eth_mii_0__tx_data__io[*]}]
set_false_path -to [get_ports {eth_mii_0__rst__io eth_mii_0__mdc__io eth_clk25_0__io}]
set_false_path -from [get_ports {eth_mii_0__rx_er__io eth_mii_0__col__io eth_mii_0__crs__io eth_mii_0__mdio__io}]
"""


class ArtyTop(BoardTop):
    """The machine on an Arty A7."""

    def memory_pads(self, platform: Any) -> Mapping[str, IOValue]:
        pins = platform.request("ddr3", 0, dir="-")
        single = {
            "a": pins.a,
            "ba": pins.ba,
            "cas_n": pins.cas,
            "cke": pins.clk_en,
            "cs_n": pins.cs,
            "dm": pins.dm,
            "dq": pins.dq,
            "odt": pins.odt,
            "ras_n": pins.ras,
            "reset_n": pins.rst,
            "we_n": pins.we,
        }
        pads = {f"ddram_{name}": raw(pin) for name, pin in single.items()}
        for name, pair in (("clk", pins.clk), ("dqs", pins.dqs)):
            pads[f"ddram_{name}_p"], pads[f"ddram_{name}_n"] = pair.p, pair.n
        return pads

    def clock(self, m: Module, platform: Any, dram: LiteDram) -> None:
        m.submodules.clock_pin = clock_pin = io.Buffer("i", platform.request("clk100", dir="-"))
        m.submodules.reset_pin = reset_pin = io.Buffer("i", platform.request("rst", dir="-"))
        # The button resets the PLL; everything else waits for its lock.
        m.d.comb += [dram.clock_in.eq(clock_pin.i), dram.reset_in.eq(reset_pin.i)]
        self._oscillator = clock_pin.i

    def phy(self, m: Module, platform: Any, mii: PureInterface) -> None:
        pins = platform.request("eth_mii", 0, dir="-")
        for name in ("rx_clk", "tx_clk"):
            m.submodules[f"{name}_pin"] = pin = io.Buffer("i", getattr(pins, name))
            m.submodules[f"{name}_net"] = Instance("BUFG", i_I=pin.i, o_O=getattr(mii, name))
        for name in ("rx_dv", "rx_data"):
            m.submodules[f"{name}_pin"] = pin = io.Buffer("i", getattr(pins, name))
            m.d.comb += getattr(mii, name).eq(pin.i)
        # The straps of the board choose what MDIO could, and full duplex needs neither carrier nor collisions.
        for name in ("rx_er", "col", "crs", "mdio"):
            m.submodules[f"{name}_pin"] = io.Buffer("i", getattr(pins, name))
        for name, value in (("tx_en", mii.tx_en), ("tx_data", mii.tx_data), ("rst", mii.reset), ("mdc", 0)):
            m.submodules[f"{name}_pin"] = pin = io.Buffer("o", getattr(pins, name))
            m.d.comb += pin.o.eq(value)
        # The PHY's own clock is a quarter of the oscillator's, whatever the machine's is.
        m.domains.oscillator = oscillator = ClockDomain(reset_less=True)
        m.submodules.oscillator = Instance("BUFG", i_I=self._oscillator, o_O=oscillator.clk)
        quarter = Signal(2)
        m.d.oscillator += quarter.eq(quarter + 1)
        m.submodules.phy_clock_pin = pin = io.FFBuffer(
            "o", platform.request("eth_clk25", 0, dir="-"), o_domain="oscillator"
        )
        m.d.comb += pin.o.eq(quarter[1])


class _Files:
    """What the vendor's tool and the open ones need, from one description."""

    required_tools: tuple[str, ...] = ()

    @property
    def file_templates(self) -> dict[str, str]:
        templates: dict[str, str] = super().file_templates
        # The Verilog for debugging takes as long as the Verilog.
        kept = {name: template for name, template in templates.items() if "debug" not in name}
        return {**kept, "{{name}}.il": "# {{autogenerated}}\n{{emit_rtlil()}}"}


class _Platform35(_Files, ArtyA7_35Platform):
    pass


class _Platform100(_Files, ArtyA7_100Platform):
    pass


class ArtyA7(Board):
    """The Arty A7-35T."""

    name = "arty_a7"
    part = XC7A35T
    preset = "arty_a7_35"
    toolchains = ("vivado", "openxc7", "yosys")
    loader = "arty_a7_35t"
    clocks = ARTY_A7.clocks
    has_ethernet = True
    summary = "Digilent Arty A7-35T: 256 MB of DDR3, UART at 12 Mbaud, Ethernet at 100 Mbit"
    platform: Any = _Platform35

    def design(self) -> Design:
        memory = ARTY_A7.at(self.config.clock_mhz)
        core = generate(memory if self.config.pump == 1 else replace(memory, fast_clock=True))
        platform = self.platform(toolchain="Vivado")
        ethernet = None if self.ethernet is None else ethernet_core(self.ethernet, round(1e6 * self.config.clock_mhz))
        sources = [made.verilog for made in (core, ethernet) if made is not None]
        for path in sources:
            platform.add_file(path.name, path.read_text())
        top = ArtyTop(self.config, core, self.baud or BOARD_BAUD["arty_a7_35"], ethernet)
        plan = platform.build(top, name=TOP, do_build=False)
        files = {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}
        for path in sources:
            files.pop(path.name)
        rtlil = files.pop(f"{TOP}.il")
        # The board's description calls the clock that goes out to the PHY one that comes in.
        pins = [line for line in files[f"{TOP}.xdc"].splitlines() if "create_clock -name eth_clk25" not in line]
        files[f"{TOP}.xdc"] = "\n".join([*pins, EXCEPTIONS, ETHERNET_EXCEPTIONS if ethernet else ""])
        return Design(self.name, rtlil, tuple(sources), {**files, FILE_NAME: core.initialisation.to_json()})


class ArtyA7_100(ArtyA7):
    """The Arty A7-100T."""

    name = "arty_a7_100"
    part = XC7A100T
    preset = "arty_a7_100"
    loader = "arty_a7_100t"
    summary = "Digilent Arty A7-100T: the same board with a part three times as large"
    platform: Any = _Platform100
