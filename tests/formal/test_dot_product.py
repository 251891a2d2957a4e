"""Proof that a dot-4 element sums four products in each lane, for every operand it accepts, at full width.

A solver does not get through four packed multipliers at once, so in four steps, each of which uses the ones before:

1. `Operands`, `PackedProduct`: a multiplier's operands are ``(w1 << s) + w0`` and ``x``, and their product is
   ``(h << s) + l`` with ``h = w1 * x`` and ``l = w0 * x``. One value of ``x`` a cycle: with one side known a
   product is a few additions.
2. `SumOfProducts`: the element's sum is that of its four products, whatever these are.
3. `PackedSum`: the sum of any number of ``(h << s) + l`` is ``(H << s) + L``, ``H`` and ``L`` the sums of the lanes.
4. `FieldsOfTheSum`: from every such sum that four products can have, ``p``, ``offset`` and ``carry`` give ``H`` and
   ``L``.
"""

from functools import partial

import pytest

from gateware.array.element import DotProduct
from tests.formal.dot_product_steps import (
    LARGEST_X,
    FieldsOfTheSum,
    Operands,
    PackedProduct,
    PackedSum,
    SumOfProducts,
    least,
)
from tests.formal.prove import prove, refute

FORMS = [pytest.param(False, id="lean"), pytest.param(True, id="full_range")]
X_AT_ONCE = 32  # values of x in one run: the solver's memory of the cycles before slows it down
SWAPPED = (0, 2, 1, 3)
DEPTH = DotProduct.LATENCY + 2


@pytest.mark.parametrize("full_range", FORMS)
def test_a_product_is_of_its_operands(full_range: bool):
    prove(Operands(2, full_range), 3)
    refute(Operands(2, full_range, order=SWAPPED), 4)


@pytest.mark.parametrize("first", range(-LARGEST_X, LARGEST_X + 1, X_AT_ONCE))
@pytest.mark.parametrize("full_range", FORMS)
def test_a_packed_product_is_two_products(full_range: bool, first: int):
    values = min(X_AT_ONCE, LARGEST_X + 1 - first)
    prove(PackedProduct(full_range, first, least(full_range)), values)


def test_the_lean_port_does_not_hold_minus_128():
    refute(PackedProduct(False, 100, -128), 4)


@pytest.mark.parametrize("full_range", FORMS)
def test_the_sum_is_of_four_products(full_range: bool):
    prove(SumOfProducts(2, full_range), 3)
    refute(SumOfProducts(2, full_range, order=SWAPPED), 4)


@pytest.mark.parametrize("full_range", FORMS)
def test_packed_sums_are_sums_of_the_lanes(full_range: bool):
    prove(PackedSum(full_range), 1, "prove")
    refute(PackedSum(full_range, wrong_spacing=True), 3)


@pytest.mark.parametrize("full_range", FORMS)
def test_the_fields_are_the_sums(full_range: bool):
    prove(FieldsOfTheSum(full_range, least(full_range)), DEPTH)


@pytest.mark.parametrize(
    "twin",
    [
        pytest.param(partial(FieldsOfTheSum, False, -128), id="minus_128_in_the_lean_form"),
        pytest.param(partial(FieldsOfTheSum, True, -128, precondition=False), id="four_times_128_by_minus_128"),
        pytest.param(partial(FieldsOfTheSum, True, -128, late=True), id="late_parity"),
    ],
)
def test_wrong_fields_are_found(twin: partial[FieldsOfTheSum]):
    refute(twin(), DEPTH)


def test_one_channel():
    # The product is the operands' by definition.
    prove(Operands(1, False), 3)
    refute(Operands(1, False, order=SWAPPED), 4)
    prove(SumOfProducts(1, False), 3)
    refute(SumOfProducts(1, False, order=SWAPPED), 4)
