"""Reports that the results of EXEC's operations are in their place, in the order of the operations."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.engines.execute.completion_monitor import watch_completion
from gateware.isa import SemaphoreValue
from gateware.stream.fifo import StreamFifo

__all__ = ["Completion", "operation_layout"]

PORTS = 2
DEPTH = 8  # operations under way that are held beside the oldest one; a power of two


def operation_layout() -> data.StructLayout:
    """Semaphores that an operation gives at its end, and whether its results go to the score memory."""
    return data.StructLayout({"written": data.ArrayLayout(4, PORTS), "to_scores": 1})


class Completion(wiring.Component):
    """Gives an operation's semaphores once its results are in memory, or in the score memory, and not before those of
    every operation before it.

    Results in the score memory are there some cycles after the last row has left the lanes; those for memory wait
    until memory takes them. Without the queue, an operation on scores would be told before a store that began earlier,
    and one semaphore that both of them give could not say which of them has ended.

    An operation is told in the cycle after its end, if those before have been told. One operation a cycle.

    Members
    -------
    operation : In(stream of operation_layout())
        An operation begins. It may end from the next cycle on.
    stored, scored : In(1)
        The oldest operation of that kind that had not ended yet ends in this cycle.
    written : Out(stream of SemaphoreValue) x 2
        `written` and `written2` of the oldest operation, each given once.
    idle : Out(1)
        Every operation that has begun has been told.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "operation": In(stream.Signature(operation_layout())),
                "stored": In(1),
                "scored": In(1),
                "written": Out(stream.Signature(SemaphoreValue)).array(PORTS),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = StreamFifo(operation_layout(), DEPTH)
        wiring.connect(m, wiring.flipped(self.operation), queue.i)
        oldest, told = queue.o, Signal()
        # Ends that have not been told: no more than the operations that the queue and its output hold.
        ended = [Signal(range(DEPTH + 2), name=f"ended_{kind}") for kind in ("stored", "scored")]
        for kind, (count, end) in enumerate(zip(ended, (self.stored, self.scored), strict=True)):
            m.d.sync += count.eq(count + end - (told & (oldest.payload.to_scores == kind)))
        due = Signal()
        m.d.comb += due.eq(oldest.valid & Array(count != 0 for count in ended)[oldest.payload.to_scores])
        given = Signal(PORTS)
        for index, port in enumerate(self.written):
            m.d.comb += [
                port.valid.eq(due & ~given[index]),
                port.payload.semaphore.eq(oldest.payload.written[index]),
                port.payload.count.eq(1),
            ]
        taken = Cat(port.valid & port.ready for port in self.written)
        m.d.comb += [told.eq(due & (given | taken).all()), oldest.ready.eq(told)]
        m.d.sync += given.eq(Cat((bit & ~told) for bit in given | taken))
        m.d.comb += self.idle.eq((queue.level == 0) & ~oldest.valid)
        watch_completion(m, platform, self)
        return m
