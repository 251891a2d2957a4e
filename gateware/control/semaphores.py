"""Sixteen counting semaphores: how the engines wait for each other."""

import itertools

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.contracts import require, watched
from gateware.isa import SEMAPHORE_BITS, SEMAPHORE_COUNT_BITS, SemaphoreValue

__all__ = ["SemaphoreTake", "Semaphores"]

SWEEP = 1 << SEMAPHORE_BITS  # cycles that setting all counts to 0 takes


class SemaphoreTake(wiring.Signature):
    """As an engine sees it: ``taking`` holds with ``take`` until ``taken``, which is high for one cycle."""

    def __init__(self) -> None:
        super().__init__({"take": Out(SemaphoreValue), "taking": Out(1), "taken": In(1)})


class Semaphores(wiring.Component):
    """Counts from 0 to 255; number 0 swallows what is given and satisfies every wait.

    One gift or one look at a waiting engine a cycle, gifts first in the order of their ports, then the waiting engines
    in turn. A gift is counted 2 cycles after it is taken; an engine passes at most ``takers`` + 2 cycles after that,
    and ``takers`` more for every gift that is taken meanwhile. A reset forgets what is under way and keeps the counts.

    Parameters
    ----------
    givers, takers : int
        Ports; at least two takers.

    Members
    -------
    give : In(stream of SemaphoreValue) x givers
    take : In(SemaphoreTake) x takers
    clear : In(1)
        Sets all counts to 0; hold for 16 cycles.
    overflow : Out(1)
        A count would pass 255, and goes on modulo 256; stays until ``clear``.
    """

    def __init__(self, givers: int, takers: int) -> None:
        require_range("Semaphores", "takers", takers, 2)
        self.givers, self.takers = givers, takers
        super().__init__(
            {
                "give": In(stream.Signature(SemaphoreValue)).array(givers),
                "take": In(SemaphoreTake()).array(takers),
                "clear": In(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counts = counts = memory.Memory(
            shape=SEMAPHORE_COUNT_BITS, depth=1 << SEMAPHORE_BITS, init=[], attrs={"ram_style": "distributed"}
        )
        writer, reader = counts.write_port(), counts.read_port(domain="comb")

        # First stage: choose a request.
        value = {"semaphore": SEMAPHORE_BITS, "count": SEMAPHORE_COUNT_BITS}
        kind = data.StructLayout({"give": 1, "take": 1, "taker": range(self.takers), **value})
        chosen = Signal(kind)
        turn = Signal(range(self.takers))
        asking = Array([t.taking for t in self.take])[turn]
        m.d.sync += [chosen.give.eq(0), chosen.take.eq(0), chosen.taker.eq(turn)]
        m.d.sync += turn.eq(Mux(turn == self.takers - 1, 0, turn + 1))
        taken = [Signal(name=f"taken_{i}") for i in range(self.takers)]
        with m.If(asking & ~Array(taken)[turn]):
            m.d.sync += chosen.take.eq(1)
            m.d.sync += [chosen[name].eq(Array([t.take[name] for t in self.take])[turn]) for name in value]
        free = 1
        for port in self.give:
            m.d.comb += port.ready.eq(free & ~self.clear)
            with m.If(port.valid & free):
                m.d.sync += [chosen.give.eq(1), chosen.take.eq(0)]
                m.d.sync += [chosen[name].eq(port.payload[name]) for name in value]
            free = free & ~port.valid

        # Second stage: count.
        count = reader.data
        total = Signal(SEMAPHORE_COUNT_BITS + 1)
        enough, never = Signal(), Signal()
        m.d.comb += [
            reader.addr.eq(chosen.semaphore),
            never.eq(chosen.semaphore == 0),
            total.eq(count + chosen.count),
            enough.eq((count >= chosen.count) | never),
            writer.addr.eq(chosen.semaphore),
            writer.data.eq(Mux(chosen.give, total[:SEMAPHORE_COUNT_BITS], count - chosen.count)),
            # What is written to the place of semaphore 0 is never looked at.
            writer.en.eq(chosen.give | (chosen.take & enough)),
        ]
        for index, signal in enumerate(taken):
            m.d.sync += signal.eq(chosen.take & enough & (chosen.taker == index))
            m.d.comb += self.take[index].taken.eq(signal)
        with m.If(chosen.give & total[SEMAPHORE_COUNT_BITS] & ~never):
            m.d.sync += self.overflow.eq(1)
        self._watch(m, platform)
        with m.If(self.clear):
            m.d.sync += [chosen.give.eq(0), chosen.take.eq(0), self.overflow.eq(0)]
            m.d.sync += chosen.semaphore.eq(chosen.semaphore + 1)
            m.d.comb += [writer.data.eq(0), writer.en.eq(1)]
        return m

    def _watch(self, m: Module, platform: object) -> None:
        """What the engines and whoever clears keep to."""
        both = [
            a.taking & b.taking & (a.take.semaphore == b.take.semaphore) & (a.take.semaphore != 0)
            for a, b in itertools.combinations(self.take, 2)
        ]
        require(m, platform, self, "one engine at a time waits for a semaphore", ~Cat(both).any())
        if watched(platform):
            cleared, before = Signal(range(SWEEP + 1), init=SWEEP), Signal()
            m.d.sync += [before.eq(self.clear), cleared.eq(Mux(self.clear & (cleared != SWEEP), cleared + 1, cleared))]
            with m.If(self.clear & ~before):
                m.d.sync += cleared.eq(1)
            ended = before & ~self.clear
            require(m, platform, self, "clear holds until all counts are 0", ~ended | (cleared == SWEEP))
