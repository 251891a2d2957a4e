"""Division by a power of two, half to even: the end of a dyadic rescale."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["SHIFT_BITS", "RoundShift", "WindowShift", "mixed"]

SHIFT_BITS = 7
COARSE = 16  # first the shift by multiples of it, then the rest


class WindowShift(wiring.Component):
    """``floor(p / 2^shift)`` with what rounding and saturation need; one a cycle, ``latency`` = 2 cycles.

    Only as many bits as the result may have go through the shifter; the others only tell whether it is out of range, or
    whether there is more than the half.

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
        A bit below the half is set. Without meaning where everything but the sign was shifted out: the half then is
        the sign, and a quotient of nearly 0 rounds to 0 either way.
    over : Out(1)
        The floor has more than ``bits`` bits.
    negative : Out(1)
        The sign of ``p``.

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    latency = 2

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
        steps = -(-(self.width + 1) // COARSE)  # a shift by more leaves the sign alone
        padded = Signal(signed(max(COARSE * (steps - 1) + window, self.width + 1) + 1))
        m.d.comb += padded.eq(Cat(0, self.p).as_signed())

        low, over, sticky = Signal(window, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        negative, fine = Signal(reset_less=True), Signal(4, reset_less=True)
        m.d.sync += [fine.eq(self.shift[:4]), negative.eq(self.p[-1])]
        with m.Switch(self.shift[4:]):
            for step in range(steps):
                with m.Case(step):
                    amount = COARSE * step
                    m.d.sync += [
                        low.eq(padded[amount : amount + window]),
                        over.eq(mixed(padded[amount + window - 1 :])),
                        sticky.eq(padded[:amount].any() if amount else Const(0)),
                    ]
            with m.Default():
                m.d.sync += [low.eq(self.p[-1].replicate(window)), over.eq(0)]

        # By a multiple of 4, then by up to 3.
        between = Signal(signed(kept + 3))
        over_between, sticky_between = Signal(), Signal()
        with m.Switch(fine[2:]):
            for step in range(4):
                with m.Case(step):
                    m.d.comb += [
                        between.eq(low[4 * step : 4 * step + kept + 3]),
                        over_between.eq(mixed(low[4 * step + kept + 2 :])),
                        sticky_between.eq(low[: 4 * step].any() if step else Const(0)),
                    ]
        result = Signal(signed(kept), reset_less=True)
        m.d.sync += self.negative.eq(negative)
        with m.Switch(fine[:2]):
            for step in range(4):
                with m.Case(step):
                    m.d.sync += [
                        result.eq(between[step : step + kept]),
                        self.over.eq(over | over_between | mixed(between[step + kept - 1 :])),
                        self.sticky.eq(sticky | sticky_between | (between[:step].any() if step else Const(0))),
                    ]
        m.d.comb += [self.half.eq(result[0]), self.floor.eq(result[1:])]
        return m


class RoundShift(wiring.Component):
    """``RNE(p / 2^shift)``, saturated to ``bits`` bits; one a cycle, ``latency`` = 3 cycles.

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
    """The bits are not all the same: as a number's upper bits, they say more than its sign."""
    return bits.any() & ~bits.all()
