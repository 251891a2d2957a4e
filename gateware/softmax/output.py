"""The second pass of Shiftmax: exponentials times the row's factor, rounded to probabilities."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier
from gateware.config import in_halves
from gateware.softmax.layouts import descriptor_layout, pair_layout, probability_layout, words

__all__ = ["RowOutput", "factor_layout"]

MOST_SHIFT = 15
ROUND_STAGES = 3


def factor_layout(rows: int, max_length: int, factor_bits: int) -> data.StructLayout:
    """A row whose factor ``(2^31 - 1) // sum`` is known."""
    return data.StructLayout({"factor": factor_bits, "descriptor": descriptor_layout(rows, max_length)})


class RowOutput(wiring.Component):
    """``(e * factor) >> (32 - bits)`` of a row's exponentials e, two a cycle, packed into words.

    A row of W words takes ``2 * W + 1`` cycles. A pair's word leaves `latency` cycles after the pair was read.
    The whole unit stops while ``o.ready`` is low, so ``o.ready`` should come from a register.

    Parameters
    ----------
    rows, max_length, mantissa_bits : int
    factor_bits : int
    bits : int
        8 to 16, of a probability; more than 10 make two words.
    half_up : bool
        Round half up and stop at ``2^(bits - 1) - 1``, instead of flooring.

    Members
    -------
    row : In(stream, factor_layout)
    slot : Out(2), pair : Out, read : Out(1)
        What to read next: rows have the slots 0, 1, 2, 3, 0, ...
    exponentials : In(pair_layout)
        What the last ``read`` read, one cycle later.
    finish : Out(1)
        The last pair of a row is read.
    o : Out(stream, probability_layout)

    Attributes
    ----------
    row_here : Signal
        A row is being read.
    """

    def __init__(
        self, rows: int, max_length: int, mantissa_bits: int, factor_bits: int, bits: int, half_up: bool
    ) -> None:
        self.mantissa_bits, self.factor_bits = mantissa_bits, factor_bits
        self.bits, self.half_up = bits, half_up
        self.row_here = Signal(name="active")
        self.multipliers = self._multipliers()
        self.arithmetic_latency = self._arithmetic_latency()
        self.latency = 1 + self.arithmetic_latency
        self.descriptor = descriptor_layout(rows, max_length)
        super().__init__(
            {
                "row": In(stream.Signature(factor_layout(rows, max_length, factor_bits))),
                "slot": Out(2),
                "pair": Out(range(2 * words(max_length))),
                "read": Out(1),
                "exponentials": In(pair_layout(mantissa_bits)),
                "finish": Out(1),
                "o": Out(stream.Signature(probability_layout(rows, max_length, bits))),
            }
        )

    def _multipliers(self) -> list[Multiplier]:
        # Six rows of a multiplier's adders stand for the eleven bits of a mantissa: the factor is the wider operand.
        return [
            Multiplier(self.factor_bits, self.mantissa_bits, a_signed=False, b_signed=False, enable=True)
            for _ in range(2)
        ]

    def _arithmetic_latency(self) -> int:
        return self.multipliers[0].latency + ROUND_STAGES

    def elaborate(self, platform: object) -> Module:
        m = Module()
        advance = self.o.ready
        active = self.row_here
        factor = Signal(self.factor_bits, reset_less=True)
        row = Signal(self.descriptor, reset_less=True)
        m.d.comb += [
            self.row.ready.eq(~active & advance),
            self.read.eq(active & advance),
            self.finish.eq(self.read & (self.pair == Cat(1, row.last_word))),
        ]
        with m.If(self.row.ready & self.row.valid):
            m.d.sync += [factor.eq(self.row.payload.factor), row.eq(self.row.payload.descriptor), active.eq(1)]
        with m.If(self.read):
            m.d.sync += self.pair.eq(self.pair + 1)
        with m.If(self.finish):
            m.d.sync += [active.eq(0), self.pair.eq(0), self.slot.eq(self.slot + 1)]

        probabilities = [self._probability(m, index, factor, advance) for index in range(2)]
        place = Cat(row.row, self.pair, row.last & (self.pair[1:] == row.last_word))
        valid = delayed(m, active, self.latency, "valid", reset=True, enable=advance)
        place = delayed(m, place, self.latency, "place", enable=advance)
        self._pack(m, valid, place, probabilities, advance)
        return m

    def _probability(self, m: Module, index: int, factor: Value, advance: Value) -> Value:
        """The rounded result of one of the two exponentials."""
        m.submodules[f"multiplier_{index}"] = multiplier = self.multipliers[index]
        exponential = self.exponentials[index]
        m.d.comb += [
            multiplier.a.eq(factor),
            multiplier.b.eq(exponential.mantissa),
            multiplier.en.eq(advance),
        ]
        shift = delayed(m, exponential.shift, multiplier.latency, f"shift_{index}", enable=advance)

        # e = (M << s) >> 1, and M is even where s is 0: e * f = (M * f << s) >> 1 exactly.
        # So the result is M * f >> (33 - bits - s), taken from bit 33 - bits - 15 on, with one bit below for rounding.
        product = multiplier.p[33 - self.bits - MOST_SHIFT - 1 :]
        coarse = Signal(self.bits + 1 + 3, name=f"coarse_{index}", reset_less=True)
        fine_shift = Signal(2, name=f"fine_shift_{index}", reset_less=True)
        fine = Signal(self.bits + 1, name=f"fine_{index}", reset_less=True)
        rounded = Signal(self.bits - 1, name=f"rounded_{index}", reset_less=True)
        floor = fine[1:-1]  # below 2^(bits - 1), as e <= sum and so e * f < 2^31
        up = fine[0] & ~floor.all() if self.half_up else Const(0, 1)
        with m.If(advance):
            m.d.sync += [
                coarse.eq(Array(product[amount:] for amount in (12, 8, 4, 0))[shift[2:]]),
                fine_shift.eq(shift[:2]),
                fine.eq(Array(coarse[amount:] for amount in (3, 2, 1, 0))[fine_shift]),
                rounded.eq(floor + up),
            ]
        return rounded

    def _pack(self, m: Module, valid: Value, place: Value, probabilities: list[Value], advance: Value) -> None:
        """Pairs to words of the output."""
        payload = self.o.payload
        row_bits = len(payload.row)
        row, upper, word, last = place[:row_bits], place[row_bits], place[row_bits + 1 : -1], place[-1]
        before = [Signal(self.bits - 1, name=f"before_{index}", reset_less=True) for index in range(2)]
        complete = Signal()
        m.d.comb += complete.eq(valid & upper)
        with m.If(advance):
            m.d.sync += [target.eq(source) for target, source in zip(before, probabilities, strict=True)]
        four = [*before, *probabilities]
        if not in_halves(self.bits):
            m.d.comb += [self.o.valid.eq(complete), payload.row.eq(row), payload.word.eq(word), payload.last.eq(last)]
            m.d.comb += [payload.data[column].eq(value) for column, value in enumerate(four)]
            return

        # The high halves follow in the next cycle, in which no word can be complete.
        pending = Signal()
        held_place = Signal(len(place), reset_less=True)
        highs = [Signal(8, name=f"high_{column}", reset_less=True) for column in range(4)]
        with m.If(advance):
            m.d.sync += pending.eq(complete)
            with m.If(complete):
                m.d.sync += held_place.eq(place)
                # p = high * 256 + low with a signed low: its sign bit is what the high part has to make good.
                m.d.sync += [high.eq(value[8:] + value[7]) for high, value in zip(highs, four, strict=True)]
        chosen = Mux(pending, held_place, place)
        m.d.comb += [
            self.o.valid.eq(complete | pending),
            payload.row.eq(chosen[:row_bits]),
            payload.word.eq(chosen[row_bits + 1 : -1]),
            payload.last.eq(pending & held_place[-1]),
            payload.low.eq(~pending),
        ]
        for column, (value, high) in enumerate(zip(four, highs, strict=True)):
            m.d.comb += payload.data[column].eq(Mux(pending, high, value[:8].as_signed()))
