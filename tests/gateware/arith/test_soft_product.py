"""Products of adders: exact over all operands of small widths."""

import pytest
from amaranth.hdl import Module, Shape, Signal
from amaranth.sim import Simulator

from gateware.arith.soft_product import constant_product, soft_product


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [3, 5, 9])
def test_every_product(signed: bool, bits: int):
    a, b = Signal(Shape(4, signed)), Signal(4)
    product, scaled = Signal(bits), Signal(Shape(12, signed))
    m = Module()
    m.d.comb += [product.eq(soft_product(a, b, bits)), scaled.eq(constant_product(a, 93))]

    async def check(ctx):
        for left in range(-8, 8) if signed else range(16):
            for right in range(16):
                ctx.set(a, left)
                ctx.set(b, right)
                assert ctx.get(product) == left * right % (1 << bits)
                assert ctx.get(scaled) == left * 93

    simulator = Simulator(m)
    simulator.add_testbench(check)
    simulator.run()


def test_constructor_error():
    with pytest.raises(ValueError, match=r"factor must be at least 1, not 0"):
        constant_product(Signal(3), 0)
