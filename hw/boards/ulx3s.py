"""Radiona's ULX3S with the LFE5U-85F."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from amaranth.hdl import ClockDomain, Const, IOValue, Module
from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from firmware.dram.initialisation import FILE_NAME
from gateware.link.uart import BOARD_BAUD
from hw.boards.board import Board, BoardError
from hw.boards.clocks import Ecp5Pll
from hw.boards.design import TOP, Design
from hw.boards.parts import LFE5U_85F
from hw.boards.top import BoardTop, raw
from hw.dram.controller import LiteDram
from hw.dram.generate import generate
from hw.dram.settings import ULX3S

__all__ = ["Ulx3s85F", "Ulx3sTop"]

OSCILLATOR_MHZ = 25.0


class Ulx3sTop(BoardTop):
    """The machine on a ULX3S."""

    def memory_pads(self, platform: Any) -> Mapping[str, IOValue]:
        self._sdram = pins = platform.request("sdram", 0, dir="-")
        single = {
            "a": pins.a,
            "ba": pins.ba,
            "cas_n": pins.cas,
            "cke": pins.clk_en,
            "cs_n": pins.cs,
            "dm": pins.dqm,
            "dq": pins.dq,
            "ras_n": pins.ras,
            "we_n": pins.we,
        }
        return {f"sdram_{name}": raw(pin) for name, pin in single.items()}

    def clock(self, m: Module, platform: Any, dram: LiteDram) -> None:
        m.submodules.clock_pin = clock_pin = io.Buffer("i", platform.request("clk25", dir="-"))
        m.submodules.reset_pin = reset_pin = io.Buffer("i", platform.request("button_fire", 0, dir="-"))
        m.submodules.pll = pll = Ecp5Pll(OSCILLATOR_MHZ, self.config.clock_mhz)
        m.d.comb += [pll.clock_in.eq(clock_pin.i), pll.reset.eq(reset_pin.i)]
        # The controller synchronises this reset: it is asserted at once and released with the clock.
        m.d.comb += [dram.clock_in.eq(pll.clock), dram.reset_in.eq(~pll.locked)]
        # The chip's clock rises a quarter of a period after the controller's outputs change.
        m.domains.shifted = shifted = ClockDomain("shifted", reset_less=True)
        m.d.comb += shifted.clk.eq(pll.shifted)
        m.submodules.sdram_clock = pin = io.DDRBuffer("o", self._sdram.clk, o_domain="shifted")
        m.d.comb += [pin.o[0].eq(Const(1)), pin.o[1].eq(Const(0))]


class _Platform(ULX3S_85F_Platform):
    required_tools: tuple[str, ...] = ()

    @property
    def file_templates(self) -> dict[str, str]:
        """RTLIL and constraints: the commands are ours."""
        templates: dict[str, str] = super().file_templates
        return {name: text for name, text in templates.items() if name.endswith((".il", ".lpf"))}


class Ulx3s85F(Board):
    """The ULX3S with the largest part."""

    name = "ulx3s_85f"
    part = LFE5U_85F
    preset = "ulx3s_85f"
    toolchains = ("trellis", "yosys")
    clocks = (55.0, 53.125, 50.0, 46.875, 45.0, 40.0)  # what the PLL makes of 25 MHz
    loader = "ulx3s"
    summary = "Radiona ULX3S-85F: 32 MB of 16-bit SDRAM, UART at 3 Mbaud"

    def design(self) -> Design:
        memory = replace(ULX3S.at(self.config.clock_mhz), fast_clock=self.config.pump == 2)
        if self.config.address_bits > memory.beat_address_bits:
            raise BoardError(
                f"{self.name}: address_bits must be at most {memory.beat_address_bits}, its memory's, "
                f"not {self.config.address_bits}."
            )
        core = generate(memory)
        platform = _Platform(toolchain="Trellis")
        plan = platform.build(
            Ulx3sTop(self.config, core, self.baud or BOARD_BAUD["ulx3s_85f"]), name=TOP, do_build=False
        )
        files = {name: text if isinstance(text, str) else text.decode() for name, text in plan.files.items()}
        rtlil = files.pop(f"{TOP}.il")
        return Design(self.name, rtlil, (core.verilog,), {**files, FILE_NAME: core.initialisation.to_json()})
