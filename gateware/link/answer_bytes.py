"""The bytes of an answer that are not memory's."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.link.checks import WORD_BYTES
from gateware.link.packets import ANSWER, IDENTITY, Identity

__all__ = ["CONTROL_PLACE", "AnswerBytes", "counters_place"]

# The places of the header, the identity and a register are one half of all places, those of the counters the other.
CONTROL_PLACE = ANSWER.size + IDENTITY.size
assert CONTROL_PLACE + WORD_BYTES == 32


def _counter_bits(counters: int) -> int:
    return max(3, (counters - 1).bit_length())


def counters_place(counters: int) -> int:
    """The place of the first counter's first byte; there are twice as many places."""
    return WORD_BYTES << _counter_bits(counters)


class AnswerBytes(wiring.Component):
    """A byte by its place: the header from 0 on, then the identity, a register, the counters.

    Parameters
    ----------
    identity : Identity
        What IDENTIFY answers.

    Members
    -------
    header : In(ANSWER.layout), register : In(32), counters : In(32) x identity.counters
    place : In, load : In(1)
        ``load`` takes the word of a place, whose byte is in ``byte`` : Out(8) from the next cycle on.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "header": In(ANSWER.layout),
                "register": In(32),
                "counters": In(32).array(identity.counters),
                "place": In(range(2 * counters_place(identity.counters))),
                "load": In(1),
                "byte": Out(8),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place, word, counter = self.place, Signal(32), Signal(32)
        identity = Const(int.from_bytes(self.identity.to_bytes(), "little"), 8 * IDENTITY.size)
        first, counters = Cat(self.header, identity, self.register), Cat(*self.counters)
        with m.If(self.load):
            m.d.sync += [
                word.eq(first.word_select(place[2:5], 32)),
                counter.eq(counters.word_select(place[2 : _counter_bits(self.identity.counters) + 2], 32)),
            ]
        m.d.comb += self.byte.eq(Mux(place[-1], counter, word).word_select(place[:2], 8))
        return m
