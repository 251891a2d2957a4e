"""What probabilities of a row may sum to: a bound that holds, and that is reached."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateware.config import ConfigError, config
from sim.reference.arithmetic import preset
from sim.reference.nonlinear import integer_softmax

ARITHMETICS = [
    *(f"lean:softmax_bits={bits}" for bits in (8, 9, 10, 16)),
    "lean:softmax_bits=10,softmax=polynomial",
    "lean:softmax_bits=10,softmax=logarithm",
    "official:softmax_bits=10",
]


@given(
    name=st.sampled_from(ARITHMETICS),
    step=st.integers(1, 1023),
    length=st.integers(1, 300),
    narrow=st.integers(0, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_row_exceeds_its_bound(name: str, step: int, length: int, narrow: int, seed: int):
    softmax = integer_softmax(preset(name), step, preset(name).softmax_bits or 16)
    rows = np.random.default_rng(seed).integers(-128, 128, (8, length)) >> narrow
    found = np.sort(softmax.apply(rows), axis=1)[:, ::-1]
    for count in (1, 4, length):
        assert found[:, :count].sum(axis=1).max() <= softmax.most_of(count)


@pytest.mark.parametrize(("bits", "most"), [(8, 129), (9, 257), (10, 513)])
def test_four_of_a_row_reach_the_bound(bits: int, most: int):
    softmax = integer_softmax(preset(f"lean:softmax_bits={bits}"), 24, bits)
    rows = np.random.default_rng(3).integers(-16, 16, (20_000, 4))
    assert softmax.apply(rows).sum(axis=1).max() == softmax.most_of(4) == most


def test_rows_of_equal_scores_whose_total_stops_at_its_limit():
    softmax = integer_softmax(preset("lean:softmax_bits=10"), 1023, 10)
    assert softmax.apply(np.zeros((1, 1024), np.int64)).sum() == 8192 <= softmax.most_of(1024)


def test_machines_have_widths_whose_products_fit():
    widths = {bits: config("tiny", f"lean:softmax_bits={bits}") for bits in (8, 9, 10, 16)}
    assert {bits: (one.a_width, one.x_width) for bits, one in widths.items()} == {
        8: (8, 8),
        9: (9, 9),
        10: (9, 10),
        16: (9, 9),
    }
    assert config("asic", "lean:softmax_bits=10,softmax=logarithm").x_width == 10
    for changes in ("packed_min=-128", "softmax=logarithm"):
        with pytest.raises(ConfigError, match=r"four probabilities of 10 bits of a row, times -12[78], may reach"):
            config("tiny", f"lean:softmax_bits=10,{changes}")
    with pytest.raises(ConfigError, match="softmax_bits must be 8, 9, 10 or 16 in a machine, not 12"):
        config("tiny", "lean:softmax_bits=12")
