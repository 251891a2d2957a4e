"""Float against integer logits."""

import math

import numpy as np
import pytest

from firmware.quantiser.agreement import compare
from sim.reference.errors import UserError


def test_figures_by_hand():
    own = np.array([[0, math.log(3)], [5.0, 0], [0, 5.0]])
    other = np.array([[0, 0.0], [5, 0], [5, 0]])
    found = compare(own, other, np.array([1, 0, 0]))
    assert found.images == 3
    assert found.float_top1 == pytest.approx(2 / 3)
    assert found.integer_top1 == pytest.approx(2 / 3)
    assert found.agreement == pytest.approx(1 / 3)
    first = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    p = 1 / (1 + math.exp(-5))
    third = (1 - p) * math.log((1 - p) / p) + p * math.log(p / (1 - p))
    assert found.divergence == pytest.approx((first + third) / 3)


def test_large_logits_do_not_overflow():
    assert compare(np.array([[1e4, 0]]), np.array([[1e4, 0]]), np.array([0])).divergence == 0


def test_different_images_are_refused():
    with pytest.raises(UserError, match="do not belong together"):
        compare(np.zeros((2, 3)), np.zeros((1, 3)), np.zeros(2, int))
