"""What the search for ShiftGELU's step finds."""

import numpy as np

from firmware.float_models.blocks import gelu
from firmware.quantiser.gelu_search import best_scale, table_error
from sim.reference.scales import activation_scale


def test_the_search_beats_the_unsnapped_scale(rng: np.random.Generator):
    rows = rng.normal(-1, 1.5, (40, 256)).astype(np.float32)
    scale, error = best_scale(rows, gelu(rows))
    plain = activation_scale(float(np.abs(rows).max()), 8)
    assert error == table_error(rows, gelu(rows), scale)
    assert error < table_error(rows, gelu(rows), plain)
    assert error < 0.05
