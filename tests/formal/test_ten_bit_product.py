"""Proof that two products share a multiplier exactly with a shared operand of ten bits, where four of them are bounded.

As in test_dot_product.py, with other ends of three steps; the sum is that of its products whatever ``x`` is. A packed
operand fits its port whole, and so does its product with ten bits: that it is two products is then the distributive
law (step 1b). And the fields are the sums as long as four ``x`` sum to at most ``DotProduct.most_of_four`` (step 4), of
which probabilities of ten bits stay clear.
"""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from gateware.array.element import DotProduct
from gateware.array.layouts import DOT
from sim.reference.arithmetic import LEAN
from sim.reference.nonlinear import integer_softmax
from tests.formal.dot_product_steps import FieldsOfTheSum, Operands, spacing
from tests.formal.prove import prove, refute

X_WIDTH = 10
LEAST_W = -127
SWAPPED = (0, 2, 1, 3)
DEPTH = DotProduct.LATENCY + 2
PORT, PRODUCT = 25, 43  # bits of a DSP48E1's wider port and of its product
MOST_OF_FOUR = DotProduct(2, X_WIDTH).most_of_four


class PackedOperand(wiring.Component):
    """Step 1b: the two weights of an operand come out of its port again."""

    def __init__(self, least_w: int) -> None:
        self.least_w = least_w
        super().__init__({"w": In(data.ArrayLayout(signed(8), 2))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += [Assume(self.w[lane] >= self.least_w) for lane in range(2)]
        operand = Signal(signed(PORT))
        m.d.comb += operand.eq((self.w[1] << spacing(False)) + self.w[0])
        m.d.comb += Assert(operand == (self.w[1] << spacing(False)) + self.w[0])
        return m


def test_a_product_is_of_its_operands():
    prove(Operands(2, False, x_width=X_WIDTH), 3)
    refute(Operands(2, False, order=SWAPPED, x_width=X_WIDTH), 4)


def test_operand_and_product_are_whole():
    prove(PackedOperand(LEAST_W), 1)
    refute(PackedOperand(-128), 1)
    assert PORT + X_WIDTH <= PRODUCT


def test_the_fields_are_the_sums():
    prove(FieldsOfTheSum(False, LEAST_W, most=MOST_OF_FOUR, x_width=X_WIDTH), DEPTH)


def test_one_more_in_four_is_too_much():
    refute(FieldsOfTheSum(False, LEAST_W, most=MOST_OF_FOUR + 1, x_width=X_WIDTH), DEPTH)


@pytest.mark.parametrize("step", [1, 24, 1023, 8191])
def test_probabilities_stay_below(step: int):
    softmax = integer_softmax(LEAN, step, 10)
    assert softmax.most_of(DOT) == 513 < MOST_OF_FOUR
