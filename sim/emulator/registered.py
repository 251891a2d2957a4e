"""A component with registers on its inputs: what Verilator evaluates in one pass a cycle."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Elaboratable, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In

__all__ = ["RegisteredInputs"]


class RegisteredInputs(wiring.Component):
    """The component's ports; what is driven before an edge is what the component sees after it, its reset included.

    Verilator evaluates all logic behind an input on each call, and again after the edge. With nothing but registers
    behind the inputs one of the two passes is empty. The engine drives the inputs of a cycle before it begins.

    Parameters
    ----------
    component : a component with a signature; one whose ``pump`` is 2 has the port ``fast_clk`` beside, the clock of its
        domain ``fast``
    """

    def __init__(self, component: Elaboratable) -> None:
        self._component, self._pumped = component, getattr(component, "pump", 1) == 2
        clock = {"fast_clk": In(1)} if self._pumped else {}
        super().__init__({**dict(component.signature.members.items()), **clock})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.machine = machine = ClockDomain("machine", local=True)
        m.submodules.component = DomainRenamer("machine")(self._component)
        reset = Signal(init=1, reset_less=True)
        m.d.sync += reset.eq(ResetSignal("sync"))
        m.d.comb += [machine.clk.eq(ClockSignal("sync")), machine.rst.eq(reset)]
        if self._pumped:
            m.domains.fast = fast = ClockDomain("fast", reset_less=True, local=True)
            m.d.comb += fast.clk.eq(self.fast_clk)
        outside = {path: Value.cast(value) for path, _, value in self.signature.flatten(self)}
        for path, member, value in self._component.signature.flatten(self._component):
            inside = Value.cast(value)
            if member.flow == Flow.In:
                held = Signal(len(inside), reset_less=True, name="__".join(str(part) for part in path))
                m.d.sync += held.eq(outside[path])
                m.d.comb += inside.eq(held)
            else:
                m.d.comb += outside[path].eq(inside)
        return m
