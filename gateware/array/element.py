"""A dot-4 element of the systolic array: one or two channels through four multipliers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.array.layouts import DOT, Step

__all__ = ["Accumulator", "DotProduct", "Element"]


class DotProduct(wiring.Component):
    """Four products summed, for one channel or for two that share one multiplier per product. One sum a cycle.

    The operands arrive skewed: product ``k`` of a sum one cycle after product ``k - 1``, because each multiplier adds
    to the registered sum of the one before. The sum is at ``p`` (with ``carry``) ``LATENCY`` cycles after its
    product 0 was at the inputs.

    Two channels (``pack = 2``) share a multiplier as ``x * (w1 * 2^s + w0) = (x * w1) * 2^s + x * w0``. The sum of four
    has the low channel in its low ``s`` bits modulo ``2^s`` and, above, the high channel plus the low one's sign
    extension, which ``carry`` undoes: the true sums are ``p[0] + offset`` and ``p[1] + carry``.

    ``full_range = False``: ``s = 17`` and ``w`` in -127..127. The low sum lies in +-65024, fits 17 signed bits, and
    bit 16 is its sign.

    ``full_range = True``: ``s = 16``, any int8 ``w``. (With ``s = 17``, -128 in both channels would not fit the 25 bits
    of the DSP48E1's port.) The low sum lies in -65535..65536 and is made -65536..65535 by a -1 that enters the first
    addition, which costs nothing: ``offset`` is 1. Its bits 0..15 are the sum's; whether it is negative is the parity
    of the high channel (the XOR of four ANDs of operand bits 0) compared with bit 16 of the sum.
    The precondition, with 9-bit ``x``: not all four ``x`` of a step are 128 (the low sum would be -65536 if all four
    ``w0`` were -128). Halves of probabilities, whose sum over a row is at most 2^15, meet it: four halves of 128 that
    were rounded up stand for at least 4 * 32640 > 2^15.

    With 10-bit ``x`` there is a precondition: the four ``x`` of a step are int8, or they are not negative and their
    sum is at most ``most_of_four``, so that ``w0`` times them still fits. Probabilities of 10 bits meet it: four of a
    row sum to at most 513 (`sim.reference.shiftmax.Shiftmax.most_of`).

    Parameters
    ----------
    pack : int
        Channels, 1 or 2.
    x_width : int
        Bits of the shared operand, 8 to 10. Values are in -128..127, -128..128 or -128..511.
    full_range : bool
        Whether the packed operand may be -128; no effect with ``pack = 1``.

    Attributes
    ----------
    most_of_four : int
        516; with ``full_range`` 511, with one channel 1023.

    Members
    -------
    x : In, 4 x signed(x_width)
    w : In, pack x 4 x signed(8)
    p : Out, pack x signed(18)
        The sums, before ``offset`` and ``carry``.
    carry : Out(1)
        To be added to ``p[1]``; 0 with ``pack = 1``.
    """

    LATENCY = DOT + 3

    def __init__(self, pack: int, x_width: int = 8, full_range: bool = False) -> None:
        require_range("DotProduct", "pack", pack, 1, 2)
        require_range("DotProduct", "x_width", x_width, 8, 10)
        self.pack = pack
        self.full_range = full_range
        self.offset = 1 if pack == 2 and full_range else 0
        self.most_of_four = ((1 << 17) - 1) // 128 if pack == 1 else ((1 << 16) - 1) // (128 if full_range else 127)
        super().__init__(
            {
                "x": In(data.ArrayLayout(signed(x_width), DOT)),
                "w": In(data.ArrayLayout(data.ArrayLayout(signed(8), DOT), pack)),
                "p": Out(data.ArrayLayout(signed(18), pack)),
                "carry": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spacing = 16 if self.full_range else 17
        total: Value = Const(-self.offset, signed(2))
        for k in range(DOT):
            # The four registers of a DSP48E1, so that synthesis absorbs them: operands, pre-added operand (and the
            # shared one beside it), product, sum.
            x_1 = Signal.like(self.x[k], name=f"x_{k}_1", reset_less=True)
            x_2 = Signal.like(self.x[k], name=f"x_{k}_2", reset_less=True)
            product = Signal(signed(43 if self.pack == 2 else 18), name=f"product_{k}", reset_less=True)
            chain = Signal(signed(36 if self.pack == 2 else 18), name=f"sum_{k}", reset_less=True)
            weights = [Signal(signed(8), name=f"w_{k}_{lane}", reset_less=True) for lane in range(self.pack)]
            operand = Signal(signed(25 if self.pack == 2 else 8), name=f"operand_{k}", reset_less=True)
            m.d.sync += [x_1.eq(self.x[k]), x_2.eq(x_1)]
            m.d.sync += [weight.eq(self.w[lane][k]) for lane, weight in enumerate(weights)]
            if self.pack == 2:
                m.d.sync += operand.eq((weights[1] << spacing) + weights[0])
            else:
                m.d.sync += operand.eq(weights[0])
            m.d.sync += [
                product.eq(self._multiply(m, k, operand, x_2)),
                chain.eq(self._add(m, k, product, total)),
            ]
            total = chain

        if self.pack == 1:
            m.d.comb += self.p[0].eq(total)
        elif self.full_range:
            negative = self._parity(m) ^ total[16]
            m.d.comb += [
                self.p[0].eq(Cat(total[:16], negative, negative).as_signed()),
                self.p[1].eq(total[16:]),
                self.carry.eq(negative),
            ]
        else:
            m.d.comb += [
                self.p[0].eq(total[:17].as_signed()),
                self.p[1].eq(total[17:]),
                self.carry.eq(total[16]),
            ]
        return m

    def _multiply(self, m: Module, k: int, operand: Value, shared: Value) -> Value:
        """Product ``k``. A method of its own for the proofs: they look at it, and reason about the sum without it."""
        return operand * shared

    def _add(self, m: Module, k: int, product: Value, total: Value) -> Value:
        """Product ``k`` and the sum so far. A method of its own, as the product is."""
        return product if k == 0 and not self.offset else product + total

    def _parity(self, m: Module) -> Signal:
        """The parity of the high channel's sum, in step with the sum."""
        parity: Value = Const(0, 1)
        for stage in range(self.LATENCY):
            chain = Signal(name=f"parity_{stage}")
            # The products are skewed by one cycle each, as the chain is.
            odd = self.x[stage][0] & self.w[1][stage][0] if stage < DOT else Const(0, 1)
            m.d.sync += chain.eq(parity ^ odd)
            parity = chain
        return chain


class Accumulator(wiring.Component):
    """One accumulator: replaced, added to, or shifted left by 8 and added to; one operation a cycle.

    Written so that the sum's one operand is the register that comes in and the other a function of four signals: one
    LUT with its carry a bit.

    Members
    -------
    p : In, signed(18)
    carry : In(1)
        Added to ``p``.
    step : In(Step)
        ``last`` is not looked at.
    acc : Out, signed(acc_width)
        Wraps: the widths of the sums are checked when a model is compiled.
    """

    def __init__(self, acc_width: int) -> None:
        require_range("Accumulator", "acc_width", acc_width, 18, 48)
        super().__init__(
            {"p": In(signed(18)), "carry": In(1), "step": In(Step), "acc": Out(signed(acc_width))},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = Mux(self.step.first, 0, Mux(self.step.shift, self.acc << 8, self.acc))
        # The carry enters from an extra bit below.
        total = Cat(Const(1, 1), self.p).as_signed() + Cat(self.carry, kept[: len(self.acc)]).as_signed()
        # No reset: a tile's first step replaces it.
        held = Signal.like(self.acc, name="held", reset_less=True)
        with m.If(self.step.valid):
            m.d.sync += held.eq(total[1:])
        m.d.comb += self.acc.eq(held)
        return m


class Element(wiring.Component):
    """A dot-4 element with its accumulators: ``pack`` channels of one row, one step a cycle.

    The operands and the control pass on to the neighbours one cycle later, the shared operand and the control to the
    next column, the packed operand to the next row. The control of a step comes with its sum, ``DotProduct.LATENCY``
    cycles after its product 0, so that it is delayed once for the whole grid.

    Parameters
    ----------
    pack, x_width, full_range
        As :class:`DotProduct`.
    acc_width : int
        Bits of an accumulator.

    Members
    -------
    x, x_next : In, Out, 4 x signed(x_width)
    w, w_next : In, Out, pack x 4 x signed(8)
    step, step_next : In, Out, Step
    acc : Out, pack x signed(acc_width)
        Holds a step's effect one cycle after its control was at the input.
    """

    def __init__(self, pack: int, x_width: int = 8, acc_width: int = 26, full_range: bool = False) -> None:
        self.dot = DotProduct(pack, x_width, full_range)
        self.accumulators = [Accumulator(acc_width) for _ in range(pack)]
        x = data.ArrayLayout(signed(x_width), DOT)
        w = data.ArrayLayout(data.ArrayLayout(signed(8), DOT), pack)
        super().__init__(
            {
                "x": In(x),
                "x_next": Out(x),
                "w": In(w),
                "w_next": Out(w),
                "step": In(Step),
                "step_next": Out(Step),
                "acc": Out(data.ArrayLayout(signed(acc_width), pack)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dot = dot = self.dot
        m.d.comb += [dot.x.eq(self.x), dot.w.eq(self.w)]
        # Without packing these are the multipliers' own first registers, and synthesis merges them. A DSP48E1 has its
        # registers inside, where nothing else can read them: there others of another initial value stay apart.
        other = -1 if self.dot.pack == 2 else 0
        x = Signal(len(Value.cast(self.x)), name="x_held", init=other, reset_less=True)
        w = Signal(len(Value.cast(self.w)), name="w_held", init=other, reset_less=True)
        m.d.sync += [x.eq(self.x), w.eq(self.w), self.step_next.eq(self.step)]
        m.d.comb += [self.x_next.eq(x), self.w_next.eq(w)]
        for lane, accumulator in enumerate(self.accumulators):
            m.submodules[f"accumulator_{lane}"] = accumulator
            m.d.comb += [
                accumulator.p.eq(dot.p[lane]),
                accumulator.carry.eq(dot.offset if lane == 0 else dot.carry),
                accumulator.step.eq(self.step),
                self.acc[lane].eq(accumulator.acc),
            ]
        return m
