"""A component with LiteDRAM's own controller and memory model inside, in place of the C++ memory."""

import functools
from pathlib import Path

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.link.control_port import ControlPort
from hw.dram.controller import LiteDram
from hw.dram.generate import Core, generate
from hw.dram.settings import settings

__all__ = ["WithLiteDram", "with_litedram"]

WRITE_CYCLES = 15  # from the controller's taking a word to the word in the memory model, with a margin


class WithLiteDram(wiring.Component):
    """What the component shows but its memory port, the controller's control port, and what went through memory.

    ``busy`` falls when the last word is in memory: writes are posted, and whoever looks into memory by the back door
    would find the old ones.

    Parameters
    ----------
    component : wiring.Component
        With a port ``memory``.
    core : Core
        `hw.dram.generate` for simulation.

    Members
    -------
    control : In(ControlPort), only where the component has none of its own; that is joined with the controller
    ready : Out(1)
        See `LiteDram`; the model is ready without.
    beats_read, beats_written : Out(48)
        Since reset.

    Attributes
    ----------
    verilog_sources : tuple of Path
        Files that belong to this component's Verilog.
    accesses : list of Access
        The component's, where it is a `sim.watched.Watched`.
    pump : int
        The component's; 1 where it has none.
    """

    def __init__(self, component: wiring.Component, core: Core) -> None:
        self._component, self._core = component, core
        self.verilog_sources: tuple[Path, ...] = (core.verilog,)
        self.row_bytes = core.settings.columns * core.settings.lanes
        self.accesses, self.pump = getattr(component, "accesses", []), getattr(component, "pump", 1)
        members = dict(component.signature.members.items())
        self._address_bits = members.pop("memory").signature.address_bits
        # A machine with a link reaches the controller's registers itself.
        self._own_control = members.pop("control", None) is not None
        self._shared = {name for name in members if name != "busy"}
        extra = {
            **({} if self._own_control else {"control": In(ControlPort())}),
            "ready": Out(1),
            "beats_read": Out(48),
            "beats_written": Out(48),
        }
        super().__init__({**members, **extra})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.component = inner = self._component
        m.submodules.dram = dram = LiteDram(self._core, self._address_bits)
        connect(m, inner.memory, dram.memory)
        if self._own_control:
            connect(m, inner.control, dram.control)
        else:
            connect(m, flipped(self.control), dram.control)
        m.d.comb += self.ready.eq(dram.ready)
        command = inner.memory.cmd
        accepted = Signal()
        m.d.comb += accepted.eq(command.valid & command.ready)
        with m.If(accepted & command.payload.we):
            m.d.sync += self.beats_written.eq(self.beats_written + 1)
        with m.If(accepted & ~command.payload.we):
            m.d.sync += self.beats_read.eq(self.beats_read + 1)
        since = Signal(range(WRITE_CYCLES + 1), init=WRITE_CYCLES)
        with m.If(~dram.quiet):
            m.d.sync += since.eq(0)
        with m.Elif(since != WRITE_CYCLES):
            m.d.sync += since.eq(since + 1)
        m.d.comb += self.busy.eq(inner.busy | (since != WRITE_CYCLES))
        shared = {path: value for path, _, value in inner.signature.flatten(inner) if path[0] in self._shared}
        for path, member, value in self.signature.flatten(self):
            if path in shared:
                m.d.comb += shared[path].eq(value) if member.flow == In else value.eq(shared[path])
        return m


@functools.lru_cache(maxsize=2)
def with_litedram(component: wiring.Component, board: str) -> WithLiteDram:
    """The component with the controller and the memory of a board; for the same component the same object."""
    return WithLiteDram(component, generate(settings(board), simulation=True))
