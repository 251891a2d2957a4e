"""The machine as a macro of its own, for standard cells and a process's memories."""

from __future__ import annotations

from typing import ClassVar

from amaranth.back import verilog
from amaranth.hdl import ClockDomain, Module, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.config import AcceleratorConfig
from gateware.link.control_port import ControlPort
from gateware.link.link import ByteStreams
from gateware.machine import Machine
from gateware.memory.port import MemoryPort
from hw.asic.layout import CLOCK, RESET, constraints, flow_configuration
from hw.asic.memories import AsicPlatform
from hw.asic.synthesis import MEMORIES, Sources, elaborate
from hw.boards.board import Board, BoardError
from hw.boards.design import Design

__all__ = ["TOP_NAME", "Asic", "AsicTop"]

TOP_NAME = "integer_vit"
CONSTRAINTS, CONFIGURATION, VERILOG = "constraints.sdc", "config.json", "top.v"


class AsicTop(wiring.Component):
    """The machine with a clock of its own and a synchronised reset; everything else is the machine's ports.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    clock : In(1)
    reset_n : In(1)
        Low for at least four cycles after power is good: no register has a value before. It may change at any time.
    link : Out(ByteStreams)
    memory : Out(MemoryPort)
    control : Out(ControlPort)
        Registers of the memory's controller.
    busy : Out(1), error : Out(4)
    """

    def __init__(self, config: AcceleratorConfig) -> None:
        if config.pump != 1:
            raise BoardError(f"asic: pump must be 1, for it has one clock, not {config.pump}.")
        self.config = config
        super().__init__(
            {
                "clock": In(1),
                "reset_n": In(1),
                "link": Out(ByteStreams()),
                "memory": Out(MemoryPort(config.address_bits)),
                "control": Out(ControlPort()),
                "busy": Out(1),
                "error": Out(4),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.sync = sync = ClockDomain("sync", local=True)
        m.d.comb += sync.clk.eq(self.clock)
        # Every register is reset in step with the clock, so the synchroniser has no reset itself.
        m.submodules.reset = FFSynchronizer(~self.reset_n, sync.rst)
        m.submodules.machine = machine = Machine(self.config)
        for port in ("link", "memory", "control"):
            connect(m, getattr(machine, port), flipped(getattr(self, port)))
        m.d.comb += [self.busy.eq(machine.busy), self.error.eq(machine.error)]
        return m


class Asic(Board):
    """Standard cells and memory macros of any process."""

    name = "asic"
    part = None
    preset = "asic"
    toolchains: ClassVar[tuple[str, ...]] = ("yosys",)
    summary = "standard cells of --liberty FILE, memories as macros, LibreLane's configuration"

    def sources(self) -> Sources:
        """The design for synthesis."""
        return elaborate(AsicTop(self.config), TOP_NAME)

    def design(self) -> Design:
        """RTLIL and Verilog of the logic, models of the memories, constraints, and the layout flow's configuration."""
        return self.design_of(self.sources())

    def _inputs(self, top: AsicTop) -> list[str]:
        """Patterns of the top's inputs but clock and reset."""
        found = []
        for path, member, value in top.signature.flatten(top):
            name = "__".join(map(str, path))
            if member.flow == In and name not in (CLOCK, RESET):
                found.append(name if len(Value.cast(value)) == 1 else f"{name}[*]")
        return found

    def design_of(self, sources: Sources) -> Design:
        """The same of a design that was elaborated already."""
        top = AsicTop(self.config)
        period = 1000 / self.config.clock_mhz
        files = {
            VERILOG: verilog.convert(top, name=TOP_NAME, platform=AsicPlatform(), emit_src=False),
            MEMORIES: sources.models,
            CONSTRAINTS: constraints(period, self._inputs(top)),
            CONFIGURATION: flow_configuration(TOP_NAME, period, sources.instances),
        }
        return Design(self.name, sources.rtlil, (), files)
