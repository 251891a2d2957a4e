"""What the crossings ask of their neighbours is told where it is not so."""

from collections.abc import Sequence

import pytest
from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.sim import Simulator

from gateware.clocking.events import EventToSync
from gateware.clocking.rows import QueueToSync
from gateware.clocking.streams import StreamToFast
from sim.watched import Watched


def told(unit: wiring.Component, domain: str, port: str, values: Sequence[int]) -> str | None:
    """The contract that is violated when a port gets these values, one a cycle of its domain; some cycles later."""
    dut, found = Watched(unit), []
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_clock(5e-9, phase=5e-9, domain="fast")

    async def drive(ctx):
        signal: Value = dut
        for name in port.split("."):
            signal = getattr(signal, name)
        if port == "i.payload":
            ctx.set(dut.i.valid, 1)
        for value in values:
            ctx.set(signal, value)
            await ctx.tick(domain)
        await ctx.tick().repeat(4)
        number = ctx.get(dut.violation)
        found.append(dut.contracts[number - 1].text if number else None)

    simulator.add_testbench(drive)
    simulator.run()
    return found[0]


APART = "events for the slower domain are two of the faster one's cycles apart"


@pytest.mark.parametrize("before", [1, 2], ids=["in one cycle of the slower", "in two"])
def test_events_are_apart(before: int):
    quiet = [0] * (6 + before)
    assert told(EventToSync(), "fast", "i", [*quiet, 1, 0, 1, 0]) is None
    assert told(EventToSync(), "fast", "i", [*quiet, 1, 1, 0]) == APART


def test_an_offer_stays():
    assert told(StreamToFast(4), "sync", "i.payload", [5, 5]) is None
    assert told(StreamToFast(4), "sync", "i.payload", [5, 5, 6]) == "an offer stays until it is taken"


def test_a_queue_has_room():
    row = {full: [0, 0, *[1] * full, 0] for full in (3, 4)}
    # Nothing is taken, and one payload has gone on into the output register.
    assert told(QueueToSync(1, 2), "fast", "i.valid", row[3][:4] + [0]) is None
    assert told(QueueToSync(1, 2), "fast", "i.valid", row[4] + [1, 1]) == "the queue has room for what comes"
