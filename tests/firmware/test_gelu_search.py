"""The ShiftGELU table that the search judges by, and what the search finds."""

import numpy as np
import pytest

from firmware.float_vit import gelu
from firmware.gelu_search import best_scale, shift_gelu, table_error
from sim.reference.scales import activation_scale, gelu_step
from tests.shared_data import shared_data


@pytest.mark.parametrize("name", ["gelu_c384", "gelu_c768"])
def test_the_table_is_the_authors(name: str):
    with np.load(shared_data("vectors", f"{name}.npz")) as vectors:
        cases = list(zip(vectors["q"].astype(np.int64), vectors["scale"], vectors["y"], strict=True))
    for rows, scale, expected in cases:
        np.testing.assert_array_equal(shift_gelu(rows, gelu_step(scale)), expected)


def test_a_row_of_negatives_saturates_instead_of_overflowing():
    rows = np.full((1, 4), -128)
    # em saturates at 2^31-1, so f = 1 and the sigmoid is |x0| 2^23 >> 24.
    assert shift_gelu(rows, 8).tolist() == [[-128 * 4] * 4]
    assert shift_gelu(rows, 1).tolist() == [[0, 0, 0, 0]]


def test_the_search_beats_the_unsnapped_scale(rng: np.random.Generator):
    rows = rng.normal(-1, 1.5, (40, 256)).astype(np.float32)
    scale, error = best_scale(rows)
    plain = activation_scale(float(np.abs(rows).max()), 8)
    assert error == table_error(rows, gelu(rows), scale)
    assert error < table_error(rows, gelu(rows), plain)
    assert error < 0.05
