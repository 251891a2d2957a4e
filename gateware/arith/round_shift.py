"""Division by a power of two, half to even: the end of a dyadic rescale."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["SHIFT_BITS", "RoundShift"]

SHIFT_BITS = 7
COARSE = 16  # first the shift by multiples of it, then the rest


class RoundShift(wiring.Component):
    """``RNE(p / 2^shift)``, saturated to ``bits`` bits; one a cycle, ``latency`` = 3 cycles.

    Only as many bits as the result may have go through the shifter; the others only tell whether it is out of range, or
    whether there is more than the half.

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

    latency = 3

    def __init__(self, width: int, bits: int) -> None:
        require_range("RoundShift", "width", width, 8, 96)
        require_range("RoundShift", "bits", bits, 2, width)
        self.width, self.bits = width, bits
        super().__init__(
            {"en": In(1), "p": In(signed(width)), "shift": In(SHIFT_BITS), "q": Out(signed(bits))},
        )

    def elaborate(self, platform: object) -> EnableInserter:
        m = Module()
        # One fraction bit below: after the shift, bit 0 is the half, and `sticky` what was shifted out below it.
        kept = self.bits + 1
        window = kept + COARSE - 1
        steps = -(-(self.width + 1) // COARSE)  # shifts by more leave nothing
        padded = Signal(signed(max(COARSE * (steps - 1) + window, self.width + 1) + 1))
        m.d.comb += padded.eq(Cat(0, self.p).as_signed())

        low, over, sticky = Signal(window, reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        sign, fine, vanished = Signal(reset_less=True), Signal(4, reset_less=True), Signal(reset_less=True)
        coarse = self.shift[4:]
        m.d.sync += [fine.eq(self.shift[:4]), sign.eq(self.p[-1]), vanished.eq(coarse >= steps)]
        select = Signal(range(max(2, steps)))
        m.d.comb += select.eq(coarse)
        with m.Switch(select):
            for step in range(steps):
                with m.Case(step) if step < steps - 1 else m.Default():
                    amount = COARSE * step
                    m.d.sync += [
                        low.eq(padded[amount : amount + window]),
                        over.eq(_mixed(padded[amount + window - 1 :])),
                        sticky.eq(padded[:amount].any() if amount else Const(0)),
                    ]

        # By a multiple of 4, then by up to 3.
        between = Signal(signed(kept + 3))
        over_between, sticky_between = Signal(), Signal()
        with m.Switch(fine[2:]):
            for step in range(4):
                with m.Case(step):
                    m.d.comb += [
                        between.eq(low[4 * step : 4 * step + kept + 3]),
                        over_between.eq(_mixed(low[4 * step + kept + 2 :])),
                        sticky_between.eq(low[: 4 * step].any() if step else Const(0)),
                    ]
        floor, over_floor = Signal(signed(kept), reset_less=True), Signal(reset_less=True)
        sticky_floor, sign_floor = Signal(reset_less=True), Signal(reset_less=True)
        gone = Signal(reset_less=True)
        m.d.sync += [sign_floor.eq(sign), gone.eq(vanished)]
        with m.Switch(fine[:2]):
            for step in range(4):
                with m.Case(step):
                    m.d.sync += [
                        floor.eq(between[step : step + kept]),
                        over_floor.eq(over | over_between | _mixed(between[step + kept - 1 :])),
                        sticky_floor.eq(sticky | sticky_between | (between[:step].any() if step else Const(0))),
                    ]

        # Round half to even. Rounding up the largest value leaves the range, and so does the sum's sign.
        value = Signal(signed(self.bits + 1))
        m.d.comb += value.eq(floor[1:].as_signed() + (floor[0] & (sticky_floor | floor[1])))
        largest = Const((1 << (self.bits - 1)) - 1, self.bits)
        outside = over_floor | (value[self.bits] != value[self.bits - 1])
        m.d.sync += self.q.eq(Mux(outside, Mux(sign_floor, ~largest, largest), value[: self.bits]).as_signed())
        with m.If(gone):
            m.d.sync += self.q.eq(0)
        return EnableInserter(self.en)(m)


def _mixed(bits: Value) -> Value:
    """The bits are not all the same: as a number's upper bits, they say more than its sign."""
    return bits.any() & ~bits.all()
