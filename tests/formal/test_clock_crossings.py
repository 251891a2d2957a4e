"""Proofs that whatever crosses between the machine's clock and the array's is neither lost nor doubled.

Of events it is proved for ever when each is seen; of payloads in the first cycles, several times around, that they come
in their turn. Each twin has a fault that such crossings have in practice, and must fail.
"""

from collections.abc import Callable

import pytest
from amaranth.hdl import Assert, Assume, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.clocking.events import EventToFast, EventToSync, FastReset
from gateware.clocking.rows import QueueToSync
from gateware.clocking.streams import StreamToFast, StreamToSync
from tests.formal.prove import prove, refute
from tests.formal.two_clocks import TwoClocks
from tests.gateware.clocking.faults import Direct, Forgetful, Hasty, Level

CYCLES = 26  # of the faster clock
NUMBER = 3  # bits of a payload's number: more than are ever under way


class ToFast(TwoClocks):
    """Each event is seen in one cycle: the second after the edge that ends its own."""

    def __init__(self, unit: wiring.Component) -> None:
        self.unit = unit
        super().__init__({"event": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.clocked(m, self.unit)
        event, once, twice = self.slow(m, self.event), Signal(), Signal()
        m.d.sync += [once.eq(event & self.edge), twice.eq(once)]
        m.d.comb += [self.unit.i.eq(event), Assert(self.unit.o == twice)]
        return m


class ToSync(TwoClocks):
    """Events that are apart are seen in one cycle each: the next but one, or the next for one of the first half."""

    def __init__(self, unit: wiring.Component) -> None:
        self.unit = unit
        super().__init__({"event": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.clocked(m, self.unit)
        once, twice, due = Signal(), Signal(), Signal()
        m.d.sync += [once.eq(self.event), twice.eq(once)]
        with m.If(self.edge):
            m.d.sync += due.eq(once | twice)
        m.d.comb += [self.unit.i.eq(self.event), Assume(~(self.event & once)), Assert(self.unit.o == due)]
        return m


class Resets(TwoClocks):
    """A reset is seen three of the faster clock's cycles later, with its whole length."""

    def __init__(self, unit: wiring.Component) -> None:
        self.unit = unit
        super().__init__({"reset": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.clocked(m, self.unit)
        wanted, held, due = self.slow(m, self.reset), Signal(init=1), Signal(init=1)
        with m.If(self.edge):
            m.d.sync += held.eq(wanted)
        m.d.sync += due.eq(held)
        m.d.comb += [self.unit.i.eq(wanted), Assert(self.unit.o == due)]
        return m


class Payloads(TwoClocks):
    """A stream or queue between the domains, whose payloads are numbers in turn: at the other end they come in turn.

    `put` and `get` are wishes. A payload that is wished for at both ends gets there within `most` cycles.
    """

    def __init__(self, unit: wiring.Component, *, from_sync: bool, capacity: int, most: int = 12) -> None:
        self.unit, self.from_sync, self.capacity, self.most = unit, from_sync, capacity, most
        super().__init__({"put": In(1), "get": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self.clocked(m, self.unit)
        unit, from_sync = self.unit, self.from_sync
        sent, got = Signal(NUMBER), Signal(NUMBER)
        wish, ready = (self.slow(m, self.put), self.get) if from_sync else (self.put, self.slow(m, self.get))
        put_edge, get_edge = (self.edge, Const(1)) if from_sync else (Const(1), self.edge)
        put, get, waiting = Signal(), Signal(), Signal()
        m.d.comb += [get.eq(unit.o.valid & ready & get_edge), unit.o.ready.eq(ready)]
        inside, offer = Signal(NUMBER), Signal()
        m.d.comb += [inside.eq(sent - got), offer.eq(wish | waiting)]
        if isinstance(unit, QueueToSync):
            m.d.comb += [put.eq(wish & (inside < self.capacity)), unit.i.valid.eq(put), unit.i.payload.eq(sent)]
        else:
            # An offer stays until it is taken.
            m.d.comb += [put.eq(offer & unit.i.ready & put_edge), unit.i.valid.eq(offer), unit.i.payload.eq(sent)]
            with m.If(put_edge):
                m.d.sync += waiting.eq(offer & ~put)
        m.d.sync += [sent.eq(sent + put), got.eq(got + get)]
        with m.If(unit.o.valid):
            m.d.comb += Assert(unit.o.payload == got)
        # What is taken at one end was given at the other; a stream out of `sync` is told so afterwards.
        m.d.comb += Assert((inside <= self.capacity) | ((inside == (1 << NUMBER) - 1) & from_sync))
        still = Signal(range(self.most + 1))
        m.d.sync += still.eq(Mux(wish & ready & ~put & ~get, still + (still != self.most), 0))
        m.d.comb += Assert(still != self.most)
        return m


@pytest.mark.parametrize(
    "harness",
    [
        pytest.param(lambda: ToFast(EventToFast()), id="EventToFast"),
        pytest.param(lambda: ToSync(EventToSync()), id="EventToSync"),
        pytest.param(lambda: Resets(FastReset()), id="FastReset"),
    ],
)
def test_each_event_is_seen_once(harness: Callable[[], TwoClocks]):
    prove(harness(), 6, "prove")


@pytest.mark.parametrize(
    "harness",
    [pytest.param(lambda: ToFast(Level()), id="to fast"), pytest.param(lambda: ToSync(Direct()), id="to sync")],
)
def test_a_pulse_of_the_wrong_length_is_found(harness: Callable[[], TwoClocks]):
    refute(harness(), 8)


@pytest.mark.parametrize(
    "harness",
    [
        pytest.param(lambda: Payloads(StreamToFast(NUMBER), from_sync=True, capacity=0), id="StreamToFast"),
        pytest.param(lambda: Payloads(StreamToSync(NUMBER), from_sync=False, capacity=2), id="StreamToSync"),
        pytest.param(lambda: Payloads(QueueToSync(NUMBER, 2), from_sync=False, capacity=2), id="QueueToSync"),
    ],
)
def test_payloads_come_in_turn(harness: Callable[[], TwoClocks]):
    prove(harness(), CYCLES)


@pytest.mark.parametrize(
    "harness",
    [
        pytest.param(lambda: Payloads(Forgetful(NUMBER), from_sync=True, capacity=0), id="StreamToFast"),
        pytest.param(lambda: Payloads(Hasty(NUMBER), from_sync=False, capacity=2), id="StreamToSync"),
        pytest.param(lambda: Payloads(QueueToSync(NUMBER, 2), from_sync=False, capacity=3), id="QueueToSync"),
    ],
)
def test_a_payload_that_is_lost_or_doubled_is_found(harness: Callable[[], TwoClocks]):
    refute(harness(), CYCLES)
