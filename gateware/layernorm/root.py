"""Square root by ten iterations, and its reciprocal, of four rows at a time."""

from math import isqrt

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.adder import add
from gateware.layernorm.variance import MEAN_BITS

__all__ = ["FACTOR_BITS", "RESULT", "RowRoot", "quotient_bits", "root_cycles"]

ITERATIONS = 10
FACTOR_BITS = 25  # f = (2^31 - 1) // k with k >= 64: v = 0 halves 2^16 ten times, and no v ends lower
RESULT = data.StructLayout({"mean": MEAN_BITS, "factor": FACTOR_BITS})


def quotient_bits(v_bits: int) -> int:
    """Bits of ``v // k`` from the second iteration on: at most ``floor(sqrt(v)) + 2``, as ``k >= floor(sqrt(v))``."""
    return (isqrt((1 << v_bits) - 1) + 2).bit_length()


def root_cycles(v_bits: int) -> int:
    """Cycles of `RowRoot` from a group's fourth row to its results."""
    return ITERATIONS + (ITERATIONS - 1) * quotient_bits(v_bits) + FACTOR_BITS + 1


class RowRoot(wiring.Component):
    """``k = 2^16``, ten times ``k = (k + v // k) >> 1``, ``f = (2^31 - 1) // k``, of four rows in step.

    The first division is a shift; the bits of the later quotients (`quotient_bits`), not v's, are the steps of a
    division. One division without restoring steps a row, all under one counter: `root_cycles` in all.

    Source: I-ViT, Algorithm 3, with the authors' iteration count and starting value.

    Parameters
    ----------
    v_bits : int
        Bits of v.

    Members
    -------
    i : In(stream)
        ``row``, ``mean`` and ``v``; rows 0 to 3.
    o : Out(stream)
        For four rows the mean as it came, and the factor f.
    """

    def __init__(self, v_bits: int) -> None:
        self.v_bits = v_bits
        self.quotient_bits = quotient_bits(v_bits)
        self.root_bits = max(17, v_bits - 16)
        super().__init__(
            {
                "i": In(stream.Signature(data.StructLayout({"row": 2, "mean": MEAN_BITS, "v": v_bits}))),
                "o": Out(stream.Signature(data.ArrayLayout(RESULT, 4))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        means = Array(Signal(MEAN_BITS, name=f"mean_{row}", reset_less=True) for row in range(4))
        loading, update, reciprocal, divide, last = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += loading.eq(self.i.valid & self.i.ready)
        with m.If(loading):
            m.d.sync += means[self.i.payload.row].eq(self.i.payload.mean)

        for row in range(4):
            loaded = loading & (self.i.payload.row == row)
            quotient = self._elaborate_row(m, row, loaded, (update, divide, last), reciprocal)
            m.d.comb += [
                self.o.payload[row].mean.eq(means[row]),
                self.o.payload[row].factor.eq(quotient[:FACTOR_BITS]),
            ]

        iteration = Signal(range(ITERATIONS + 1))
        step = Signal(range(max(self.quotient_bits, FACTOR_BITS)))
        m.d.comb += reciprocal.eq(iteration == ITERATIONS - 1)
        with m.FSM():
            with m.State("collect"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += iteration.eq(0)
                with m.If(self.i.valid & (self.i.payload.row == 3)):
                    m.next = "update"
            with m.State("update"):
                m.d.comb += update.eq(1)
                m.d.sync += [
                    iteration.eq(iteration + 1),
                    step.eq(Mux(reciprocal, FACTOR_BITS - 1, self.quotient_bits - 1)),
                ]
                m.next = "divide"
            with m.State("divide"):
                m.d.comb += divide.eq(1)
                m.d.sync += step.eq(step - 1)
                m.d.comb += last.eq(step == 0)
                with m.If(last):
                    m.next = "update"
                    with m.If(iteration == ITERATIONS):
                        m.next = "offer"
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "collect"
        return m

    def _elaborate_row(
        self, m: Module, row: int, loaded: Value, steps: tuple[Signal, Signal, Signal], reciprocal: Signal
    ) -> Signal:
        """One row's root and its divisions, all rows in the same ``steps``; the quotient, at the end the factor."""
        update, divide, last = steps
        # The register that a division's lower dividend bits leave at the top while quotient bits enter at the bottom.
        shift_bits = max(FACTOR_BITS, self.quotient_bits, self.v_bits - 16)
        v = Signal(self.v_bits, name=f"v_{row}", reset_less=True)
        root = Signal(self.root_bits, name=f"root_{row}", reset_less=True)
        quotient = Signal(shift_bits, name=f"quotient_{row}", reset_less=True)
        # In [-root, root): negative where the last subtraction went too far, which the next step makes good. Its
        # sign is kept as `positive`. Between two divisions both are 0, so that one adder loads and divides.
        remainder, positive = Signal(self.root_bits, name=f"remainder_{row}"), Signal(name=f"positive_{row}")
        first = Mux(reciprocal, ((1 << 31) - 1) >> FACTOR_BITS, v[self.quotient_bits :])
        # The carry makes a complement a negation. The addend's sign bit is inverted, and so it is in the total.
        addend = Signal(self.root_bits + 1, name=f"addend_{row}")
        total = Signal(self.root_bits + 1, name=f"total_{row}")
        m.d.comb += [
            addend.eq(Cat(Mux(update, first, Mux(positive, ~root, root))[: self.root_bits], update | ~positive)),
            total.eq(add(Cat(quotient[-1] & ~update, remainder), addend, positive)),
        ]
        with m.If(loaded):
            m.d.sync += [v.eq(self.i.payload.v), root.eq(1 << 16), quotient.eq(self.i.payload.v[16:])]
        with m.If(update):
            aligned = Mux(
                reciprocal,
                Const((1 << FACTOR_BITS) - 1) << (shift_bits - FACTOR_BITS),
                v[: self.quotient_bits] << (shift_bits - self.quotient_bits),
            )
            m.d.sync += [root.eq((root + quotient) >> 1), quotient.eq(aligned)]
        with m.Elif(divide):
            m.d.sync += quotient.eq(Cat(total[-1], quotient))
        with m.If(last):
            m.d.sync += [remainder.eq(0), positive.eq(0)]
        with m.Elif(update | divide):
            m.d.sync += [remainder.eq(total), positive.eq(total[-1])]
        return quotient
