"""Each contract that a unit's neighbour can break is told of, with the unit's name, when the neighbour breaks it."""

import pytest

from tests.gateware.contracts.hostile import broken_by_anything
from tests.gateware.contracts.told import BY_A_NEIGHBOUR
from tests.gateware.contracts.units import UNITS


@pytest.mark.parametrize("unit", UNITS)
def test_a_neighbour_that_keeps_no_contract_is_told_of(unit: str):
    made = UNITS[unit]()
    component, others = made if isinstance(made, tuple) else (made, ())
    wanted = {f"{unit}: {sentence}" for sentence in BY_A_NEIGHBOUR[unit]}
    assert wanted <= broken_by_anything(component, wanted, others)
