"""Beats of four rows to pairs of elements of one row, and back."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import BEAT_BITS

__all__ = ["LanePacker", "LaneUnpacker", "PAIR"]

PAIR = data.StructLayout({"u0": 16, "u1": 16})  # two neighbouring channels of a row, plus 2^15


class LaneUnpacker(wiring.Component):
    """Beats to pairs: one pair a cycle, a 16-bit beat in four cycles, an 8-bit beat in eight.

    Pairs come in the order rows 0 to 3 of channels 0 and 1, rows 0 to 3 of channels 2 and 3, and so on.

    Members
    -------
    narrow : In(1)
        Beats are ``[4 rows][4 channels int8]``, not ``[4 rows][2 channels int16]``. Static while beats are here.
    i : In(stream, 128)
    o : Out(stream, PAIR)
    """

    narrow: In(1)
    i: In(stream.Signature(BEAT_BITS))
    o: Out(stream.Signature(PAIR))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = Signal(BEAT_BITS, reset_less=True)
        held = Signal()
        row, upper = Signal(2), Signal()
        finished = Signal()
        m.d.comb += [
            finished.eq((row == 3) & (upper | ~self.narrow)),
            self.o.valid.eq(held),
            self.i.ready.eq(~held | (finished & self.o.ready)),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += row.eq(row + 1)
            with m.If(row == 3):
                m.d.sync += upper.eq(~upper & self.narrow)
            with m.If(finished):
                m.d.sync += held.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [beat.eq(self.i.payload), held.eq(1)]

        lane = Signal(32)
        m.d.comb += lane.eq(beat.word_select(row, 32))
        pair = Signal(16)
        m.d.comb += pair.eq(lane.word_select(upper, 16))
        for index, target in enumerate((self.o.payload.u0, self.o.payload.u1)):
            value = Signal(signed(16), name=f"value_{index}")
            element = pair[8 * index : 8 * index + 8].as_signed()
            m.d.comb += [
                value.eq(Mux(self.narrow, element, lane[16 * index : 16 * index + 16].as_signed())),
                target.eq(Cat(value[:15], ~value[15])),
            ]
        return m


class LanePacker(wiring.Component):
    """Pairs of results to beats ``[4 rows][4 channels int8]``: what `LaneUnpacker` does, backwards.

    Members
    -------
    wide, low : In(1)
        Results have 16 bits: their high byte leaves, or, with ``low``, their low byte less 128, so that both are int8
        and ``256 * high + low + 128`` is the result. Static while pairs are here.
    valid, q0, q1 : In
        A pair of results of row 0, 1, 2, 3, 0, ...
    stall : Out(1)
        The pair is not taken in this cycle: it completes a beat, and the one before is still at the output.
    o : Out(stream, 128)
    """

    wide: In(1)
    low: In(1)
    valid: In(1)
    q0: In(signed(16))
    q1: In(signed(16))
    stall: Out(1)
    o: Out(stream.Signature(BEAT_BITS))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, upper, final = Signal(2), Signal(), Signal()  # `final`: the pair of row 3 that completes a beat
        lanes = [Signal(32, name=f"lane_{index}", reset_less=True) for index in range(4)]
        completes = Signal()
        pair = Signal(16)
        m.d.comb += [
            completes.eq(self.valid & final),
            self.stall.eq(completes & self.o.valid & ~self.o.ready),
            pair.eq(Cat(self._byte(self.q0), self._byte(self.q1))),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.valid & ~self.stall):
            m.d.sync += [row.eq(row + 1), final.eq((row == 2) & upper)]
            with m.If(row == 3):
                m.d.sync += upper.eq(~upper)
            for index, lane in enumerate(lanes):
                with m.If(row == index):
                    # The lower half is stored in the pair's turn; a copy in the upper half is overwritten.
                    m.d.sync += lane[16:].eq(pair)
                    with m.If(~upper):
                        m.d.sync += lane[:16].eq(pair)
            with m.If(completes):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(Cat(*lanes[:3], lanes[3][:16], pair))]
        return m

    def _byte(self, q: Value) -> Value:
        low = Cat(q[:7], q[7] ^ self.wide)  # less 128, where there is a high byte
        return Mux(self.wide & ~self.low, q[8:], low)
