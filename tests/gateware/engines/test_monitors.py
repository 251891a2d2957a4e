"""The monitors of row maxima and of completion stop units that break their contracts, and no others."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from gateware.engines.execute.completion import Completion
from gateware.engines.execute.completion_monitor import watch_completion
from gateware.engines.execute.maxima import RowMaxima
from gateware.engines.execute.maxima_monitor import watch_maxima
from sim.watched import Watched

CYCLES = 40
LEAST, GREATER = 3, 7  # of the first update of a row, and of the second


class Forgetful(RowMaxima):
    """Gives the maxima before the last update, as a unit does that loses one on its way."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.group.ready.eq(~self.o.valid)
        with m.If(self.group.valid & self.group.ready):
            m.d.sync += self.o.valid.eq(1)
        m.d.comb += [self.o.payload[lane].eq(LEAST) for lane in range(4)]
        watch_maxima(m, platform, self)
        return m


class Hasty(Completion):
    """Tells of an operation as soon as any operation has ended."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ended = Signal()
        m.d.comb += self.operation.ready.eq(1)
        with m.If(self.stored | self.scored):
            m.d.sync += ended.eq(1)
        with m.If(self.operation.valid & ~ended):
            m.d.sync += self.written[0].payload.semaphore.eq(self.operation.payload.written[0])
        m.d.comb += self.written[0].valid.eq(ended)
        watch_completion(m, platform, self)
        return m


def violation(unit: Watched, process) -> str | None:
    """The contract that is violated while the process runs; None if none is."""
    found: list[str] = []

    async def watch(context):
        for _ in range(CYCLES):
            await context.tick()
            if number := context.get(unit.violation):
                found.append(unit.sentences[number - 1])
                return

    async def drive(context):
        await process(context, unit)

    simulator = Simulator(unit)
    simulator.add_clock(1e-8)
    simulator.add_testbench(watch)
    simulator.add_testbench(drive, background=True)
    simulator.run()
    return found[0] if found else None


async def two_updates(context, unit):
    """Two updates of row 0, one cycle after the other, and then a look-up of its group."""
    for lane in range(4):
        context.set(unit.update.row, lane)
        context.set(unit.update.fresh, 1)
        context.set(unit.update.valid, 1)
        context.set(unit.update["values"], [LEAST] * 4)
        await context.tick()
    context.set(unit.update.row, 0)
    context.set(unit.update.fresh, 0)
    context.set(unit.update["values"], [GREATER] * 4)
    await context.tick()
    context.set(unit.update.valid, 0)
    context.set(unit.group.valid, 1)
    await context.tick()
    context.set(unit.group.valid, 0)


async def scores_end_first(context, unit):
    """An operation that stores begins, then one that gives scores; the scores end, and the store does not."""
    context.set(unit.written[0].ready, 1)
    context.set(unit.written[1].ready, 1)
    for to_scores, semaphore in ((0, 5), (1, 6)):
        context.set(unit.operation.payload, {"written": [semaphore, 0], "to_scores": to_scores})
        context.set(unit.operation.valid, 1)
        await context.tick()
    context.set(unit.operation.valid, 0)
    context.set(unit.scored, 1)
    await context.tick()
    context.set(unit.scored, 0)


@pytest.mark.parametrize(
    ("wrong", "right", "process", "sentence"),
    [
        (Forgetful(8), RowMaxima(8), two_updates, "Forgetful: a look-up counts every update before it"),
        (Hasty(), Completion(), scores_end_first, "Hasty: operations are told in their order, each after its end"),
    ],
    ids=["maxima", "completion"],
)
def test_a_broken_contract_is_told(wrong, right, process, sentence: str):
    assert violation(Watched(wrong), process) == sentence
    assert violation(Watched(right), process) is None
