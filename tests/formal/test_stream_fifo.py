"""Proof that queues lose and invent nothing, at small depths and widths, for any stalls after a reset.

A queue does not look at its payloads, so it is enough to follow one marked payload among unmarked ones: it comes out in
its turn, not before and not twice, and nothing marked comes out otherwise.
"""

from collections.abc import Callable

import pytest
from amaranth.hdl import Assert, Assume, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In

from gateware.memory.rowbuffer import RowBuffer
from gateware.stream.fifo import StreamFifo
from gateware.stream.register import HalfRateRegister, StreamRegister
from tests.formal.prove import prove, refute

DEPTH = 2
CYCLES = 9  # several times around


class Queue(wiring.Component):
    """A queue under proof: `put` and `get` are wishes, `mark` says which payload is the marked one.

    `broken` loses the payload that is put in a cycle in which one is wished for.
    """

    put: In(1)
    get: In(1)
    mark: In(1)

    def __init__(self, make: Callable[[], wiring.Component], capacity: int, *, broken: bool = False) -> None:
        self.make, self.capacity, self.broken = make, capacity, broken
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += Assume(~ResetSignal())
        m.submodules.queue = queue = self.make()
        marked, done = Signal(), Signal()  # the marked payload was put, and taken
        inside = Signal(range(self.capacity + 2))  # payloads
        ahead = Signal(range(self.capacity + 2))  # of the marked one, itself counted
        mark = Signal()
        m.d.comb += mark.eq(self.mark & ~marked)
        put, get, out = self._connect(m, queue, mark, inside)
        with m.If(put):
            m.d.sync += marked.eq(marked | mark)
        m.d.sync += inside.eq(inside + put - get)
        with m.If(put & mark):
            m.d.sync += ahead.eq(inside + 1 - get)
        with m.Elif(get & (ahead != 0)):
            m.d.sync += ahead.eq(ahead - 1)
        with m.If(get):
            m.d.comb += Assert(inside != 0)
        self._check(m, get, out, ahead == 1, done)
        m.d.comb += Assert(inside <= self.capacity)
        return m

    def _connect(self, m: Module, queue: wiring.Component, mark: Value, inside: Value) -> tuple[Value, Value, Value]:
        """Drives the queue; returns whether a payload enters, whether one leaves, and the one that leaves."""
        source, sink = (queue.w_stream, queue.r_stream) if isinstance(queue, SyncFIFOBuffered) else (queue.i, queue.o)
        put, get = Signal(), Signal()
        m.d.comb += [
            put.eq(self.put & source.ready),
            get.eq(self.get & sink.valid),
            source.valid.eq(self.put & ~(self.get & self.broken)),
            source.payload.eq(mark),
            sink.ready.eq(self.get),
        ]
        # Room is not refused for ever: an empty queue takes a payload.
        with m.If(inside == 0):
            m.d.comb += Assert(source.ready)
        return put, get, sink.payload

    def _check(self, m: Module, get: Value, out: Value, due: Value, done: Signal) -> None:
        with m.If(get):
            m.d.comb += Assert(out == due)


class Ring(Queue):
    """A `RowBuffer`, whose reader knows how many words there are, and sees a word one cycle after it asked."""

    def _connect(self, m: Module, queue: wiring.Component, mark: Value, inside: Value) -> tuple[Value, Value, Value]:
        put, get = Signal(), Signal()
        m.d.comb += [
            put.eq(self.put & queue.writable),
            get.eq(self.get & (inside != 0)),
            queue.write.eq(self.put & ~(get & self.broken)),
            queue.word.eq(mark),
            queue.read.eq(get),
            Assert(queue.writable == (inside < self.capacity)),
        ]
        if not self.broken:
            m.d.comb += Assert(queue.level == inside)
        return put, get, queue.data

    def _check(self, m: Module, get: Value, out: Value, due: Value, done: Signal) -> None:
        # The word stays until the next one is asked for.
        expected, some = Signal(), Signal()
        with m.If(get):
            m.d.sync += [expected.eq(due), some.eq(1)]
        with m.If(some):
            m.d.comb += Assert(out == expected)


QUEUES = [
    pytest.param(Queue, lambda: StreamFifo(1, DEPTH), DEPTH + 1, id="StreamFifo"),
    pytest.param(Queue, lambda: StreamRegister(1), 2, id="StreamRegister"),
    pytest.param(Queue, lambda: HalfRateRegister(1), 1, id="HalfRateRegister"),
    pytest.param(Queue, lambda: SyncFIFOBuffered(width=1, depth=DEPTH), DEPTH, id="SyncFIFOBuffered"),
    pytest.param(Ring, lambda: RowBuffer(1, DEPTH), DEPTH, id="RowBuffer"),
    pytest.param(Ring, lambda: RowBuffer(1, 3), 3, id="RowBuffer of three"),
]


@pytest.mark.parametrize(("kind", "make", "capacity"), QUEUES)
def test_nothing_is_lost_or_invented(kind: type[Queue], make: Callable[[], wiring.Component], capacity: int):
    prove(kind(make, capacity), CYCLES)


@pytest.mark.parametrize(("kind", "make", "capacity"), QUEUES)
def test_a_loss_is_found(kind: type[Queue], make: Callable[[], wiring.Component], capacity: int):
    refute(kind(make, capacity, broken=True), CYCLES)
