"""Nested counting: the addresses of a strided descriptor, one a cycle."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import require, require_held
from gateware.isa import COUNT_BITS

__all__ = ["StridedCounter", "descriptor_layout"]


def descriptor_layout(levels: int, width: int) -> data.StructLayout:
    """``base``, and for each level, 0 innermost, ``count`` and ``jump`` as `isa.loop_registers` gives them."""
    return data.StructLayout(
        {
            "base": width,
            "count": data.ArrayLayout(signed(COUNT_BITS), levels),
            "jump": data.ArrayLayout(signed(width), levels),
        }
    )


class StridedCounter(wiring.Component):
    """The addresses of nested loops: ``base``, and from each to the next the jump of the level that steps.

    The innermost level with steps left steps, and the levels inside it begin again. ``start`` takes a
    descriptor, which must hold until ``valid`` falls; from the next cycle on ``address`` is the first address, and
    ``step`` moves to the next. ``valid`` falls after the step at the last one.

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
        here = Signal(signed(self.width + 2))  # room to see an overflow or a negative address
        d = self.descriptor
        # Counting up to 0, the sign says whether steps are left: no comparison is needed.
        left = [Signal(signed(COUNT_BITS), name=f"left_{level}") for level in range(self.levels)]
        final = Cat(~count[-1] for count in left)
        level = Signal(range(self.levels))  # the one that steps
        for index in reversed(range(self.levels)):
            with m.If(~final[index]):
                m.d.comb += level.eq(index)
        m.d.comb += [
            self.address.eq(here[: self.width]),
            self.wrapped.eq(here[self.width :].any()),
            self.last.eq(final.all()),
        ]
        stepping = Signal()
        m.d.comb += stepping.eq(self.step & self.valid)
        for index, count in enumerate(left):
            with m.If(self.start | (stepping & final[:index].all())):
                again = self.start | final[index]
                m.d.sync += count.eq(Mux(again, d.count[index], count) + ~again)
        require(m, platform, self, "a descriptor begins after the one before", ~(self.start & self.valid))
        require_held(m, platform, self, "a descriptor holds until its end", d, self.valid)
        with m.If(self.start):
            m.d.sync += [here.eq(d.base), self.valid.eq(1)]
        with m.Elif(stepping):
            m.d.sync += here.eq(here + Array(d.jump)[level])
            with m.If(self.last):
                m.d.sync += self.valid.eq(0)
        return m
