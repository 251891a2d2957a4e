"""The machine on an FPGA board: link over a UART and Ethernet, memory behind LiteDRAM, lamps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import ClockDomain, Elaboratable, IOValue, Module
from amaranth.lib import io
from amaranth.lib.wiring import PureInterface, connect

from gateware.config import AcceleratorConfig
from gateware.link.datagrams import PEER_BITS
from gateware.link.two_lines import TwoLines
from gateware.link.uart import Uart
from gateware.machine import Machine
from hw.dram.controller import LiteDram
from hw.dram.generate import Core
from hw.ethernet.core import LiteEth
from hw.ethernet.generate import Core as EthernetCore

__all__ = ["BoardTop", "raw"]


class BoardTop(Elaboratable):
    """Machine, memory controller, UART and Ethernet in one domain, which the controller's clock drives; with `pump` 2
    the array in a second one, whose clock is the controller's too.

    A board derives from it, makes the clock that enters the controller, and names its pins.

    Parameters
    ----------
    config : AcceleratorConfig
    core : Core
        The controller, made for this board's memory and clock.
    baud : int
        Of the UART.
    ethernet : EthernetCore or None
        LiteEth's, made for this board's addresses and the machine's clock; None: the UART alone.
    """

    def __init__(self, config: AcceleratorConfig, core: Core, baud: int, ethernet: EthernetCore | None = None) -> None:
        self.config, self.core, self.baud, self.ethernet = config, core, baud, ethernet

    def memory_pads(self, platform: Any) -> Mapping[str, IOValue]:
        """The controller's ports on the board's pins."""
        raise NotImplementedError

    def clock(self, m: Module, platform: Any, dram: LiteDram) -> None:
        """Drives the controller's `clock_in` and `reset_in`."""
        raise NotImplementedError

    def phy(self, m: Module, platform: Any, mii: PureInterface) -> None:
        """Joins the PHY's pins; for a board with Ethernet."""
        raise NotImplementedError

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain("sync")
        peer_bits = PEER_BITS if self.ethernet else 0
        m.submodules.machine = machine = Machine(self.config, self.core.settings.bytes, peer_bits=peer_bits)
        m.submodules.dram = dram = LiteDram(self.core, self.config.address_bits, self.memory_pads(platform))
        self.clock(m, platform, dram)
        # The controller takes its reset away some cycles after its clock is good, in step with the clock.
        m.d.comb += [sync.clk.eq(dram.user_clk), sync.rst.eq(dram.user_rst)]
        if self.config.pump == 2:
            # It needs no reset of its own: the core has one that crosses (`gateware.clocking`).
            m.domains.fast = fast = ClockDomain("fast", reset_less=True)
            m.d.comb += fast.clk.eq(dram.user_clk_fast)
        connect(m, machine.memory, dram.memory)
        connect(m, machine.control, dram.control)
        uart = self._uart(m, platform)
        if self.ethernet:
            self._two_lines(m, platform, machine, uart, self.ethernet)
        else:
            connect(m, uart.link, machine.link)
        self._lamps(m, platform, [machine.busy, machine.error != 0, dram.ready, dram.error])
        return m

    def _two_lines(self, m: Module, platform: Any, machine: Machine, uart: Uart, core: EthernetCore) -> None:
        """The UART and Ethernet, and what gives the link to each in turn."""
        m.submodules.lines = lines = TwoLines()
        m.submodules.ethernet = ethernet = LiteEth(core)
        connect(m, uart.link, lines.uart)
        connect(m, ethernet.datagrams, lines.datagrams)
        connect(m, lines.link, machine.link)
        connect(m, lines.peers, machine.peers)
        self.phy(m, platform, ethernet.mii)

    def _uart(self, m: Module, platform: Any) -> Uart:
        """The UART, its pins behind registers."""
        m.submodules.uart = uart = Uart(round(self.config.clock_mhz * 1e6), self.baud)
        pins = platform.request("uart", 0, dir="-")
        m.submodules.rx_pin = rx_pin = io.FFBuffer("i", pins.rx)
        m.submodules.tx_pin = tx_pin = io.FFBuffer("o", pins.tx)
        m.d.comb += [uart.rx.eq(rx_pin.i), tx_pin.o.eq(uart.tx)]
        return uart

    def _lamps(self, m: Module, platform: Any, states: list[Any]) -> None:
        """Lamps, behind registers: they are for people."""
        for index, state in enumerate(states):
            lamp = platform.request("led", index, dir="-")
            buffer = io.FFBuffer("o", lamp)
            m.submodules[f"lamp_{index}"] = buffer
            m.d.comb += buffer.o.eq(state)


def raw(port: Any) -> IOValue:
    """The pin itself: a vendor's core brings its own buffers, and its names say which signals are low when active."""
    return port.io
