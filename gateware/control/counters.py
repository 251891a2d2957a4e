"""Event counters, and the copies of them that MARK leaves in memory."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import BEAT_BITS, BEAT_BYTES
from gateware.contracts import NUMBER_BITS, dram, watched, writes
from gateware.isa import ADDRESS_BITS, LOG_BEATS, VALUE_BITS
from gateware.memory.port import WritePort

__all__ = ["COUNTER_BITS", "Counters"]

COUNTER_BITS = 32
A_BEAT = BEAT_BITS // COUNTER_BITS  # counters of a beat


class Counters(wiring.Component):
    """A counter an event, of the cycles in which it holds; they wrap.

    No reset changes them: what a program has counted can be read until the next one begins.

    Parameters
    ----------
    names : sequence of str
        Events, at most 16.
    address_bits : int
        Bits of a beat address of the memory.

    Members
    -------
    begin : In(1)
        All counters become 0. run : In(1): events count.
    events : In
        One bit each, in the order of ``names``.
    mark : In(stream of 24 bits)
        Writes the counters to ``log_base + 4 * mark``, 32 bits each; those of a beat are of one cycle.
    log_base : In(isa.ADDRESS_BITS)
    memory : Out(WritePort)
    outside : Out(1)
        A beat is not in memory; it is not written.
    values : Out
        The counters as they stand.

    Attributes
    ----------
    number : Signal
        Where contracts are watched: the MARK's place in the program.
    """

    def __init__(self, names: Sequence[str], address_bits: int) -> None:
        if not 1 <= len(names) <= LOG_BEATS * A_BEAT:
            raise ValueError(f"Counters: at most {LOG_BEATS * A_BEAT} events can be counted, not {len(names)}.")
        self.names, self.address_bits = tuple(names), address_bits
        self.number = Signal(NUMBER_BITS)
        super().__init__(
            {
                "begin": In(1),
                "run": In(1),
                "events": In(len(names)),
                "mark": In(stream.Signature(VALUE_BITS)),
                "log_base": In(ADDRESS_BITS),
                "memory": Out(WritePort(address_bits)),
                "outside": Out(1),
                "values": Out(COUNTER_BITS).array(len(names)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        event = Signal(len(self.names))
        m.d.sync += event.eq(self.events)
        values = [Signal(COUNTER_BITS, name=f"value_{name}", reset_less=True) for name in self.names]
        for index, value in enumerate(values):
            with m.If(self.begin):
                m.d.sync += value.eq(0)
            with m.Elif(event[index] & self.run):
                m.d.sync += value.eq(value + 1)
            m.d.comb += self.values[index].eq(value)
        words = [*values, *[Const(0, COUNTER_BITS)] * (LOG_BEATS * A_BEAT - len(self.names))]
        beats = Array(Cat(words[A_BEAT * b : A_BEAT * b + A_BEAT]) for b in range(LOG_BEATS))
        index, out = Signal(range(LOG_BEATS)), self.memory.beat
        free = ~out.valid | out.ready
        place, outside = Signal(ADDRESS_BITS + 3), Signal()
        m.d.comb += [
            self.mark.ready.eq(free & (index == LOG_BEATS - 1)),
            place.eq(self.log_base + (self.mark.payload << 2) + index),
            outside.eq(place[self.address_bits :].any()),
        ]
        with m.If(free):
            m.d.sync += [
                out.valid.eq(self.mark.valid & ~outside),
                self.outside.eq(self.mark.valid & outside),
                out.payload.data.eq(beats[index]),
                out.payload.mask.eq((1 << BEAT_BYTES) - 1),
                out.payload.address.eq(place),
            ]
            with m.If(self.mark.valid):
                m.d.sync += index.eq(index + 1)
        if watched(platform):
            number = Signal(NUMBER_BITS)
            with m.If(free):
                m.d.sync += number.eq(self.number)
            written, place = out.valid & out.ready, out.payload.address
            writes(m, platform, dram(self.address_bits), "MARK", written, number, place)
        return m
