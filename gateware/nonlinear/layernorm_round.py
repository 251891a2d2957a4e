"""Division by a power of two, half to even, and saturation: the end of a dyadic rescale."""

from amaranth.hdl import Cat, Const, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["RoundShift"]

SHIFT_BITS = 7


class RoundShift(wiring.Component):
    """``clamp(RNE(p / 2^shift))`` to 16 or 8 bits, one a cycle, ``latency`` = 3 cycles.

    Source: I-ViT, Eq. 9 and 10; the rounding is the authors' code's.

    Parameters
    ----------
    width : int
        Bits of ``p``, two's complement, 33 to 80.

    Members
    -------
    en : In(1)
        The pipeline advances while this is high.
    p : In(signed(width))
    shift : In(7)
        0 to 127.
    wide : In(1)
        Clamp to 16 bits, not 8. Static.
    q : Out(signed(16))
        The result, sign-extended when it has 8 bits.
    """

    latency = 3

    def __init__(self, width: int) -> None:
        require_range("RoundShift", "width", width, 33, 80)
        self.width = width
        super().__init__(
            {
                "en": In(1),
                "p": In(signed(width)),
                "shift": In(SHIFT_BITS),
                "wide": In(1),
                "q": Out(signed(16)),
            }
        )

    def elaborate(self, platform: object) -> EnableInserter:
        m = Module()
        # One fraction bit below: after the shift, bit 0 is the half, and `sticky` what was shifted out below it.
        number = Signal(signed(self.width + 1))
        m.d.comb += number.eq(Cat(0, self.p))

        # Shift by a multiple of 16. Only 32 bits can matter to the 17 bits that remain after a shift by up to 15 more;
        # the rest only tells whether the result is out of range: whether a bit differs from the sign.
        low = Signal(32, reset_less=True)
        over = Signal(reset_less=True)
        sticky = Signal(reset_less=True)
        sign = Signal(reset_less=True)
        fine = Signal(4, reset_less=True)
        m.d.sync += [fine.eq(self.shift[:4]), sign.eq(self.p[-1])]
        with m.Switch(self.shift[4:]):
            for coarse in range(8):
                with m.Case(coarse):
                    amount = min(16 * coarse, self.width)
                    moved = number >> amount
                    above = moved[31:]
                    m.d.sync += [
                        low.eq(moved[:32] if len(moved) >= 32 else moved),
                        over.eq((above != 0) & ~above.all() if len(moved) > 32 else Const(0)),
                        sticky.eq(number[:amount].any()),
                    ]

        # The rest of the shift: by a multiple of 4, then by up to 3.
        by_four = Signal(signed(20))
        over_four = Signal()
        sticky_four = Signal()
        with m.Switch(fine[2:]):
            for step in range(4):
                with m.Case(step):
                    moved = low.as_signed() >> (4 * step)
                    above = low[19 + 4 * step :]
                    m.d.comb += [
                        by_four.eq(moved[:20]),
                        over_four.eq(above.any() & ~above.all()),
                        sticky_four.eq(low[: 4 * step].any()),
                    ]
        floor = Signal(signed(17), reset_less=True)
        over_floor = Signal(reset_less=True)
        sticky_floor = Signal(reset_less=True)
        sign_floor = Signal(reset_less=True)
        m.d.sync += sign_floor.eq(sign)
        with m.Switch(fine[:2]):
            for step in range(4):
                with m.Case(step):
                    above = by_four[16 + step :]
                    m.d.sync += [
                        floor.eq(by_four[step : step + 17]),
                        over_floor.eq(over | over_four | (above.any() & ~above.all())),
                        sticky_floor.eq(sticky | sticky_four | by_four[:step].any()),
                    ]

        # Round half to even, then clamp. Rounding up the largest value leaves the range, and so does the sum's sign.
        value = Signal(signed(17))
        up = Signal()
        outside = Signal()
        m.d.comb += [
            up.eq(floor[0] & (sticky_floor | floor[1])),
            value.eq(floor[1:].as_signed() + up),
            outside.eq(over_floor | (value[15] != value[16]) | (~self.wide & value[7:16].any() & ~value[7:16].all())),
        ]
        largest = Mux(self.wide, Const(0x7FFF, 16), Const(0x007F, 16))
        m.d.sync += self.q.eq(Mux(outside, Mux(sign_floor, ~largest, largest), value[:16]).as_signed())
        return EnableInserter(self.en)(m)
