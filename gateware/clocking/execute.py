"""Everything that crosses between the front of EXEC, in the domain `fast`, and the rest of the machine, in `sync`."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from gateware.clocking.events import EventToFast, EventToSync
from gateware.clocking.streams import StreamToFast, StreamToSync
from gateware.control.sequencer import register_layout, run_layout
from gateware.isa import Engine, SemaphoreValue

__all__ = ["ExecuteCrossing"]

REGISTERS = ("a_base", "a_block_stride", "b_base", "b_tile_stride", "steps", "tiles", "blocks")
"""Registers of EXEC that its front needs."""

READ = ("read", "read2")
MOST_OPEN = 3  # operations that were taken and are not told of: one walks, and of two the ends are on their way


class ExecuteCrossing(wiring.Component):
    """The ports of a `StepIssuer` that works in ``fast``, as the machine in ``sync`` sees them, and as it has them.

    An operation begins two cycles of ``sync`` after it could have without the crossing, where the issuer has nothing to
    do; where it has, the next one follows the last without a gap.

    Members
    -------
    registers, run, accept, drain_ready, release, read, idle, blocked
        In ``sync``, as `StepIssuer` has them. ``accept``: the operation has begun a cycle or two before.
    stepping : Out(1)
        As many cycles as there are pairs of steps.
    fast_registers, fast_run, fast_release, fast_read, fast_stepping, fast_blocked
        The `StepIssuer`'s, in ``fast``; of its registers those that it needs.
    """

    def __init__(self) -> None:
        registers, run = register_layout(Engine.EXEC), run_layout(Engine.EXEC)
        self.operation = data.StructLayout(
            {**{name: registers[name].shape for name in REGISTERS}, **{name: run[name].shape for name in READ}}
        )
        super().__init__(
            {
                "registers": In(registers),
                "run": In(stream.Signature(run)),
                "accept": Out(1),
                "drain_ready": In(1),
                "release": In(1),
                "read": Out(stream.Signature(SemaphoreValue)).array(2),
                "idle": Out(1),
                "stepping": Out(1),
                "blocked": Out(1),
                "fast_registers": Out(registers),
                "fast_run": Out(stream.Signature(run)),
                "fast_release": Out(1),
                "fast_read": In(stream.Signature(SemaphoreValue)).array(2),
                "fast_stepping": In(1),
                "fast_blocked": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._elaborate_operation(m)
        self._elaborate_told(m)
        m.submodules.release = release = EventToFast()
        m.d.comb += [release.i.eq(self.release), self.fast_release.eq(release.o)]
        # Of two steps one crosses: so many fit into a cycle.
        m.submodules.steps = steps = EventToSync()
        odd, blocked = Signal(name="odd"), Signal(name="was_blocked")
        m.d.fast += [odd.eq(odd ^ self.fast_stepping), blocked.eq(self.fast_blocked)]
        m.d.comb += [steps.i.eq(self.fast_stepping & odd), self.stepping.eq(steps.o)]
        m.d.sync += self.blocked.eq(blocked)
        return m

    def _elaborate_operation(self, m: Module) -> None:
        m.submodules.operation = crossing = StreamToFast(self.operation)
        source, target = crossing.i, crossing.o
        m.d.comb += [
            source.valid.eq(self.run.valid & self.drain_ready),
            self.run.ready.eq(source.ready),
            self.accept.eq(source.ready),
            self.fast_run.valid.eq(target.valid),
            target.ready.eq(self.fast_run.ready),
        ]
        m.d.comb += [source.payload[name].eq(self.registers[name]) for name in REGISTERS]
        m.d.comb += [source.payload[name].eq(self.run.payload[name]) for name in READ]
        m.d.comb += [self.fast_registers[name].eq(target.payload[name]) for name in REGISTERS]
        m.d.comb += [self.fast_run.payload[name].eq(target.payload[name]) for name in READ]

    def _elaborate_told(self, m: Module) -> None:
        """Both semaphores of each operation; and whether there is one that has been taken and not told of."""
        m.d.comb += self.idle.eq(1)
        for index, (inner, outer) in enumerate(zip(self.fast_read, self.read, strict=True)):
            m.submodules[f"read_{index}"] = crossing = StreamToSync(SemaphoreValue)
            connect(m, wiring.flipped(inner), crossing.i)
            connect(m, crossing.o, wiring.flipped(outer))
            untold = Signal(range(MOST_OPEN + 1), name=f"untold_{index}")
            m.d.sync += untold.eq(untold + self.accept - (outer.valid & outer.ready))
            with m.If(untold != 0):
                m.d.comb += self.idle.eq(0)
