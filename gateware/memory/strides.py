"""Nested counting: the addresses of a strided descriptor, one a cycle."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StridedCounter", "descriptor_layout"]

COUNT_BITS = 16


def descriptor_layout(levels: int, width: int) -> data.StructLayout:
    """``base``, and for each level, 0 innermost, ``count`` (0 counts as 1) and signed ``stride``."""
    return data.StructLayout(
        {
            "base": width,
            "count": data.ArrayLayout(COUNT_BITS, levels),
            "stride": data.ArrayLayout(signed(width), levels),
        }
    )


class StridedCounter(wiring.Component):
    """Addresses ``base + sum(i_l * stride_l)``, level 0 fastest.

    ``start`` takes a descriptor, which must hold until ``valid`` falls; from the next cycle on ``address`` is the
    first address, and ``step`` moves to the next. ``valid`` falls after the step at the last one.

    Parameters
    ----------
    levels : int
        Nested loops.
    width : int
        Bits of an address. A result outside is flagged by ``wrapped`` while its address is shown.

    Members
    -------
    descriptor : In(descriptor_layout(levels, width))
    start, step : In(1)
    valid, address : Out
    last : Out(1)
        This is the last address.
    wrapped : Out(1)
        The address left 0 .. 2^width - 1 on the way here.
    """

    def __init__(self, levels: int, width: int) -> None:
        self.levels, self.width = levels, width
        super().__init__(
            {
                "descriptor": In(descriptor_layout(levels, width)),
                "start": In(1),
                "step": In(1),
                "valid": Out(1),
                "address": Out(width),
                "last": Out(1),
                "wrapped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.width + 2  # room to see an overflow or a negative address
        here = Signal(signed(width))
        # Where each level stands: the address of its present step with the inner levels at 0.
        bases = [Signal(signed(width), name=f"base_{level}") for level in range(1, self.levels)]
        places: Sequence[Signal] = [here, *bases]
        remaining = [Signal(COUNT_BITS, name=f"remaining_{level}") for level in range(self.levels)]
        final = [Signal(name=f"final_{level}") for level in range(self.levels)]
        d = self.descriptor

        carry = Signal(range(self.levels + 1))  # the level that steps: the innermost one that is not at its end
        m.d.comb += carry.eq(self.levels)
        for level in reversed(range(self.levels)):
            with m.If(~final[level]):
                m.d.comb += carry.eq(level)
        origin, stride = Signal(signed(width)), Signal(signed(self.width))
        with m.Switch(carry):
            for level in range(self.levels):
                with m.Case(level):
                    m.d.comb += [origin.eq(places[level]), stride.eq(d.stride[level])]
        following = Signal(signed(width))
        m.d.comb += following.eq(origin + stride)
        m.d.comb += [
            self.address.eq(here[: self.width]),
            self.wrapped.eq(here[self.width :].any()),
            self.last.eq(carry == self.levels),
        ]

        def reload(level: int) -> None:
            count = d.count[level]
            m.d.sync += [remaining[level].eq(Mux(count == 0, 0, count - 1)), final[level].eq(count <= 1)]

        with m.If(self.start):
            m.d.sync += [place.eq(d.base) for place in places]
            m.d.sync += self.valid.eq(1)
            for level in range(self.levels):
                reload(level)
        with m.Elif(self.step & self.valid):
            m.d.sync += here.eq(following)
            with m.If(self.last):
                m.d.sync += self.valid.eq(0)
            with m.Switch(carry):
                for level in range(self.levels):
                    with m.Case(level):
                        m.d.sync += [remaining[level].eq(remaining[level] - 1), final[level].eq(remaining[level] == 1)]
                        m.d.sync += [places[outer].eq(following) for outer in range(1, level + 1)]
                        for inner in range(level):
                            reload(inner)
        return m
