"""Division by a power of two, ties to even: the last step of a dyadic rescale."""

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from sim.reference.rounding import ceil_div

__all__ = ["SHIFT_BITS", "RoundShift", "WindowShift", "mixed"]

SHIFT_BITS = 7
COARSE = 16  # first the shift by multiples of it, then the rest


class WindowShift(wiring.Component):
    """``floor(p / 2^shift)`` with what rounding and saturation need; one a cycle, ``latency`` = 3 cycles.

    Only the bits that the result may have go through the shifter. The others only decide whether the result is out of
    range, and whether the remainder is more than a half.

    Parameters
    ----------
    width : int
        Bits of ``p``, two's complement.
    bits : int
        Bits of ``floor``.

    Members
    -------
    p : In(signed(width))
    shift : In(7)
        0 to 127.
    floor : Out(signed(bits))
        The low bits of the quotient's floor.
    half : Out(1)
        The first bit below it.
    sticky : Out(1)
        A bit below the half is set. It means nothing if all bits but the sign were shifted out. ``half`` is then the
        sign, and a quotient of nearly 0 rounds to 0 in either case.
    over : Out(1)
        The floor has more than ``bits`` bits.
    negative : Out(1)
        The sign of ``p``.

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    latency = 3

    def __init__(self, width: int, bits: int) -> None:
        require_range("WindowShift", "width", width, 8, 96)
        require_range("WindowShift", "bits", bits, 2, width)
        self.width, self.bits = width, bits
        super().__init__(
            {
                "p": In(signed(width)),
                "shift": In(SHIFT_BITS),
                "floor": Out(signed(bits)),
                "half": Out(1),
                "sticky": Out(1),
                "over": Out(1),
                "negative": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kept = self.bits + 1  # with the half
        window = kept + COARSE - 1
        steps = ceil_div(self.width + 1, COARSE)  # a shift by more leaves the sign alone
        padded = Signal(signed(max(COARSE * (steps - 1) + window, self.width + 1) + 1))
        m.d.comb += padded.eq(Cat(0, self.p).as_signed())

        low, over, sticky = Signal(window, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        negative, fine = Signal(reset_less=True), Signal(4, reset_less=True)
        step = self.shift[4:]

        def by_coarse(of: Callable[[int], Value], beyond: Value) -> Value:
            """``of`` the amount by which to shift, or ``beyond``: four ways, the last of which is seldom taken."""
            values = [of(COARSE * index) if index < steps else beyond for index in range(8)]
            last = Mux(step[2], Mux(step[1], chosen(step, values[6:]), chosen(step, values[4:6])), values[3])
            return chosen(step[:2] | step[2].replicate(2), [*values[:3], last])

        m.d.sync += [
            fine.eq(self.shift[:4] ^ Cat(self.shift[1], Const(0, 1), self.shift[3])),
            negative.eq(self.p[-1]),
            low.eq(by_coarse(lambda amount: padded[amount : amount + window], self.p[-1].replicate(window))),
            over.eq(by_coarse(lambda amount: mixed(padded[amount + window - 1 :]), Const(0, 1))),
            sticky.eq(by_coarse(lambda amount: padded[:amount].any(), Const(0, 1))),
        ]

        # By a multiple of 4, then by up to 3. A register after every four-way choice keeps each in a LUT a bit.
        between, finest = Signal(signed(kept + 3), reset_less=True), Signal(2, reset_less=True)
        over_between, sticky_between = Signal(reset_less=True), Signal(reset_less=True)
        negative_between = Signal(reset_less=True)
        amounts = range(0, COARSE, 4)
        m.d.sync += [
            finest.eq(fine[:2]),
            negative_between.eq(negative),
            between.eq(chosen_gray(fine[2:], [low[amount : amount + kept + 3] for amount in amounts])),
            over_between.eq(over | chosen_gray(fine[2:], [mixed(low[amount + kept + 2 :]) for amount in amounts])),
            sticky_between.eq(sticky | chosen_gray(fine[2:], [low[:amount].any() for amount in amounts])),
        ]
        result = Signal(signed(kept), reset_less=True)
        amounts = range(4)
        m.d.sync += [
            self.negative.eq(negative_between),
            result.eq(chosen_gray(finest, [between[amount : amount + kept] for amount in amounts])),
            self.over.eq(
                over_between | chosen_gray(finest, [mixed(between[amount + kept - 1 :]) for amount in amounts])
            ),
            self.sticky.eq(sticky_between | chosen_gray(finest, [between[:amount].any() for amount in amounts])),
        ]
        m.d.comb += [self.half.eq(result[0]), self.floor.eq(result[1:])]
        return m


class RoundShift(wiring.Component):
    """``RNE(p / 2^shift)``, saturated to ``bits`` bits; one a cycle, ``latency`` = 4 cycles.

    Source: I-ViT, Eq. 9 and 10; the rounding is the authors' code's.

    Parameters
    ----------
    width : int
        Bits of ``p``, two's complement.
    bits : int
        Bits of the result.

    Members
    -------
    en : In(1)
        The pipeline advances while this is high.
    p : In(signed(width))
    shift : In(7)
        0 to 127.
    q : Out(signed(bits))

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    latency = WindowShift.latency + 1

    def __init__(self, width: int, bits: int) -> None:
        self.window = WindowShift(width, bits)
        self.width, self.bits = width, bits
        super().__init__(
            {"en": In(1), "p": In(signed(width)), "shift": In(SHIFT_BITS), "q": Out(signed(bits))},
        )

    def elaborate(self, platform: object) -> EnableInserter:
        m = Module()
        m.submodules.window = window = self.window
        # Rounding up the largest value leaves the range, and so does the sum's sign.
        value = Signal(signed(self.bits + 1))
        m.d.comb += [
            window.p.eq(self.p),
            window.shift.eq(self.shift),
            value.eq(window.floor + (window.half & (window.sticky | window.floor[0]))),
        ]
        largest = Const((1 << (self.bits - 1)) - 1, self.bits)
        outside = window.over | (value[self.bits] != value[self.bits - 1])
        m.d.sync += self.q.eq(Mux(outside, Mux(window.negative, ~largest, largest), value[: self.bits]).as_signed())
        return EnableInserter(self.en)(m)


def mixed(bits: Value) -> Value:
    """Whether the bits differ from each other: as upper bits of a number they then hold more than its sign."""
    return bits.any() & ~bits.all()


def chosen(index: Value, values: Sequence[Value]) -> Value:
    """``values[index]``, as a tree of two-way choices, which synthesis packs two levels a LUT."""
    if len(values) == 1:
        return values[0]
    half = 1 << ((len(values) - 1).bit_length() - 1)
    bit = half.bit_length() - 1
    return Mux(index[bit], chosen(index, values[half:]), chosen(index, values[:half]))


def chosen_gray(index: Value, values: Sequence[Value]) -> Value:
    """The one of four values that the Gray code tells: shifters of neighbouring bits then share no two-way choice."""
    return Mux(index[1], Mux(index[0], values[2], values[3]), Mux(index[0], values[1], values[0]))
