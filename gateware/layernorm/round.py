"""Division by a power of two, half to even, and saturation: the end of a dyadic rescale."""

from amaranth.hdl import Cat, EnableInserter, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.round_shift import SHIFT_BITS, WindowShift, mixed

__all__ = ["NormRoundShift"]


class NormRoundShift(wiring.Component):
    """``clamp(RNE(p / 2^shift))`` to 16 or 8 bits, one a cycle, ``latency`` = 4 cycles.

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

    latency = WindowShift.latency + 1

    def __init__(self, width: int) -> None:
        require_range("NormRoundShift", "width", width, 33, 80)
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
        m.submodules.window = window = WindowShift(self.width, 16)
        # Rounding up the largest value leaves the range, and so does the sum's sign.
        value, outside = Signal(signed(17)), Signal()
        m.d.comb += [
            window.p.eq(self.p),
            window.shift.eq(self.shift),
            value.eq(window.floor + (window.half & (window.sticky | window.floor[0]))),
            outside.eq(window.over | (value[15] ^ value[16]) | (~self.wide & mixed(value[7:16]))),
        ]
        # A result out of range saturates: each bit below the sign is its inverse; 8-bit results keep copies of it.
        below = (~window.negative).replicate(7)
        above = (self.wide ^ window.negative).replicate(8)
        m.d.sync += self.q.eq(Mux(outside, Cat(below, above, window.negative), value[:16]).as_signed())
        return EnableInserter(self.en)(m)
