"""The accelerator: a core behind the memory port, and the state that makes it startable after anything."""

from amaranth.hdl import Cat, Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.clocking.events import FastReset
from gateware.config import AcceleratorConfig
from gateware.contracts import require
from gateware.core import READERS, WRITERS, Core
from gateware.counters import COUNTERS
from gateware.isa import ErrorCode
from gateware.memory.arbiter import MemoryArbiter
from gateware.memory.port import MemoryPort, ReadPort, WritePort
from gateware.taps import tap_layouts, tap_members

__all__ = ["Accelerator"]

SETTLE = 16  # cycles of reset: longer than any pipeline that memory's answers go through


class Accelerator(wiring.Component):
    """Runs programs from memory, one at a time.

    Of its states, IDLE: nothing runs, and the core is in reset. CLEAR: so it is until memory owes nothing. RUN.

    Parameters
    ----------
    config : AcceleratorConfig
    taps : bool
        Have `taps.tap_layouts` as ports, to watch tensors that never reach memory.

    Members
    -------
    memory : Out(MemoryPort)
    read : In(ReadPort), write : In(WritePort)
        A guest on the memory port, whatever the accelerator does.
    start : In(1), program : In(address_bits)
        Run the program at that beat address. While one runs it is abandoned first: that is the machine's reset.
    stop : In(1)
        Abandon what runs.
    busy : Out(1)
    error : Out(ErrorCode)
        Why the last program stopped; 0 if it has come to its end.
    counters : Out
        `gateware.counters.COUNTERS` of the program that runs or has run last.
    """

    def __init__(self, config: AcceleratorConfig, taps: bool = False) -> None:
        self.config, self.taps = config, taps
        super().__init__(
            {
                **(tap_members(config) if taps else {}),
                "memory": Out(MemoryPort(config.address_bits)),
                "read": In(ReadPort(config.address_bits)),
                "write": In(WritePort(config.address_bits)),
                "start": In(1),
                "stop": In(1),
                "program": In(config.address_bits),
                "busy": Out(1),
                "error": Out(ErrorCode),
                "counters": Out(32).array(len(COUNTERS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.config
        clear = Signal(init=1)
        core = Core(cfg, self.taps)
        m.d.comb += [shown.eq(counter) for shown, counter in zip(self.counters, core.counters, strict=True)]
        m.submodules.core = ResetInserter(self._resets(m, clear))(core)
        m.submodules.arbiter = arbiter = MemoryArbiter(cfg.address_bits, len(READERS) + 1, len(WRITERS) + 1, guests=1)
        connect(m, arbiter.memory, flipped(self.memory))
        connect(m, flipped(self.read), arbiter.read[len(READERS)])
        connect(m, flipped(self.write), arbiter.write[len(WRITERS)])
        for index in range(len(READERS)):
            connect(m, core.read[index], arbiter.read[index])
        for index in range(len(WRITERS)):
            connect(m, core.write[index], arbiter.write[index])

        if self.taps:
            for name in tap_layouts(cfg):
                connect(m, getattr(core, name), flipped(getattr(self, name)))
        self._elaborate_state(m, platform, core, arbiter, clear)
        return m

    def _resets(self, m: Module, clear: Signal) -> dict[str, Value]:
        """The core's reset in each of its domains."""
        if self.config.pump == 1:
            return {"sync": clear}
        m.submodules.fast_reset = fast_reset = FastReset()
        m.d.comb += fast_reset.i.eq(clear)
        return {"sync": clear, "fast": fast_reset.o}

    def _elaborate_state(self, m: Module, platform: object, core: Core, arbiter: MemoryArbiter, clear: Signal) -> None:
        """From a start over the core's reset to its end; ``clear`` resets it, a cycle after a state begins or ends.

        It is a register because it has thousands of loads.
        """
        began, starting = Signal(), Signal()
        settled, idle_cycles = Signal(range(SETTLE)), Signal(self.config.watchdog_bits)
        program, ends = Signal(self.config.address_bits), Signal()
        m.d.comb += [
            core.start.eq(starting),
            core.program.eq(program),
            core.reads.eq(arbiter.reads),
            core.writes.eq(arbiter.writes),
            ends.eq(core.done & arbiter.quiet),
        ]
        m.d.sync += [began.eq(0), starting.eq(began)]

        def commanded() -> None:
            """A command goes before whatever a state decides."""
            with m.If(self.stop):
                m.next = "IDLE"
            with m.Elif(self.start):
                m.next = "CLEAR"

        with m.FSM() as state:
            with m.State("IDLE"):
                commanded()
            with m.State("CLEAR"):
                m.d.sync += settled.eq(settled + 1)
                with m.If(~arbiter.answered):
                    m.d.sync += settled.eq(0)
                with m.Elif(settled == SETTLE - 1):
                    m.d.sync += [began.eq(1), idle_cycles.eq(0)]
                    m.next = "RUN"
                commanded()
            with m.State("RUN"):
                m.d.sync += idle_cycles.eq(idle_cycles + 1)
                with m.If(core.progress):
                    m.d.sync += idle_cycles.eq(0)
                with m.If(core.error != ErrorCode.NONE):
                    m.d.sync += self.error.eq(core.error)
                    m.next = "IDLE"
                with m.Elif(idle_cycles.all()):
                    m.d.sync += self.error.eq(ErrorCode.WATCHDOG)
                    m.next = "IDLE"
                with m.Elif(ends):
                    m.next = "IDLE"
                commanded()
        with m.If(self.start & ~self.stop):
            m.d.sync += [settled.eq(0), program.eq(self.program), self.error.eq(ErrorCode.NONE)]
        running = state.ongoing("RUN")
        m.d.sync += clear.eq(~running)
        m.d.comb += [
            core.running.eq(running),
            arbiter.stop.eq(state.ongoing("CLEAR")),
            self.busy.eq(~state.ongoing("IDLE")),
        ]
        unwritten = Cat(port.beat.valid for port in core.write).any()
        require(m, platform, self, "a program begins when memory owes no answer", ~began | arbiter.answered)
        require(
            m, platform, self, "a program ends when memory has taken all that it writes", ~(running & ends & unwritten)
        )
