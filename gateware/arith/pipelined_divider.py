"""Division of a constant, one quotient a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["PipelinedReciprocal"]


class PipelinedReciprocal(wiring.Component):
    """``quotient = (2^width - 1) // divisor``, one a cycle, ``latency`` = ``width`` cycles.

    Long division, a quotient bit a stage: all bits of the dividend are 1, so the partial remainder of stage j has only
    j bits, and a divisor that is longer than that is never subtracted. About ``width^2`` LUTs.

    Parameters
    ----------
    width : int
        Bits of the divisor and of the quotient.

    Members
    -------
    divisor : In(width)
        Not 0: of that the quotient is meaningless.
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
        remainder: Value = Const(0, 0)
        digits: Value = Const(0, 0)
        for stage in range(self.width):
            # The remainder is smaller than the divisor and than 2^stage; the next bit of the dividend is a 1.
            trial = Cat(Const(1, 1), remainder)
            difference = Signal(stage + 2, name=f"difference_{stage}")
            goes = Signal(name=f"goes_{stage}")
            m.d.comb += [
                difference.eq(trial - divisor[: stage + 1]),
                goes.eq(~difference[-1] & (divisor[stage + 1 :] == 0 if stage + 1 < self.width else Const(1))),
            ]
            following = Signal(stage + 1, name=f"remainder_{stage}", reset_less=True)
            quotient = Signal(stage + 1, name=f"quotient_{stage}", reset_less=True)
            m.d.sync += [following.eq(Mux(goes, difference, trial)), quotient.eq(Cat(goes, digits))]
            if stage < self.width - 1:
                held = Signal(self.width, name=f"divisor_{stage}", reset_less=True)
                m.d.sync += held.eq(divisor)
                divisor = held
            remainder, digits = following, quotient
        m.d.comb += self.quotient.eq(digits)
        return m
