"""Division of a constant, one quotient a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["PipelinedReciprocal"]

BLOCK = 6  # divisor bits that one LUT looks at


class PipelinedReciprocal(wiring.Component):
    """``quotient = (2^width - 1) // divisor``, one a cycle, ``latency`` = ``width`` cycles.

    Non-restoring long division with one quotient bit a stage. All bits of the dividend are 1. So the partial remainder
    of stage j has only j bits, and nothing is subtracted from it in stages that are shorter than the divisor. Size:
    about ``width^2 / 2`` LUTs.

    Parameters
    ----------
    width : int
        Bits of the divisor and of the quotient.

    Members
    -------
    divisor : In(width)
        Must not be 0: the quotient would be meaningless.
    quotient : Out(width)

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    def __init__(self, width: int) -> None:
        require_range("PipelinedReciprocal", "width", width, 2, 64)
        self.width = width
        self.latency = width
        super().__init__({"divisor": In(width), "quotient": Out(width)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        divisor: Value = self.divisor
        # Bit b: the divisor has bits beyond block b.
        beyond: Value = Cat(self.divisor[end:].any() for end in range(BLOCK, self.width, BLOCK))
        # In [-divisor, divisor) from the stage on that the divisor's length reaches, and all ones before; its sign is
        # kept as `positive`.
        remainder: Value = Const(0, 0)
        positive: Value = Const(1, 1)
        digits: Value = Const(0, 0)
        for stage in range(self.width):
            block = stage // BLOCK
            longer = Signal(name=f"longer_{stage}")
            m.d.comb += longer.eq(divisor[stage + 1 : (block + 1) * BLOCK].any() | beyond[block : block + 1].any())
            # The next bit of the dividend is a 1 too. The sign is inverted here, and so it is in the sum.
            trial = Cat(positive, Const(1, 1), remainder, positive)
            part = Cat(divisor[: stage + 1], Const(0, 1))
            # `positive` is also a bit below, which brings the carry that makes a complement a negation.
            addend = Cat(positive, Mux(positive, ~Mux(longer, Const(0, len(part)), part), part))
            total = Signal(stage + 3, name=f"total_{stage}")
            m.d.comb += total.eq(trial + addend)
            following = Signal(stage + 1, name=f"remainder_{stage}", reset_less=True)
            sign = Signal(name=f"positive_{stage}", reset_less=True)
            quotient = Signal(stage + 1, name=f"quotient_{stage}", reset_less=True)
            m.d.sync += [following.eq(total[1:]), sign.eq(total[-1]), quotient.eq(Cat(total[-1], digits))]
            with m.If(longer):
                m.d.sync += quotient[0].eq(0)
            if stage < self.width - 1:
                held = Signal(self.width, name=f"divisor_{stage}", reset_less=True)
                held_beyond = Signal(len(beyond), name=f"beyond_{stage}", reset_less=True)
                m.d.sync += [held.eq(divisor), held_beyond.eq(beyond)]
                divisor, beyond = held, held_beyond
            remainder, positive, digits = following, sign, quotient
        m.d.comb += self.quotient.eq(digits)
        return m
