"""Float against integer logits."""

import math
from pathlib import Path

import numpy as np
import pytest

from firmware.quantiser.agreement import compare, read_labels
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na.png,2\n", "has no label for b.png"),
        ("file,label\na.png,2\nb.png,3\n", "label of b.png is '3', but 0 to 2"),
        ("file,label\na.png,2\nb.png,-1\n", "label of b.png is '-1'"),
        ("file,label\na.png,2\nb.png\n", "has no label for b.png"),
        ("name,label\na.png,2\nb.png,1\n", "columns file and label"),
        ("file,label\na.png,2\nb.png,\N{SUPERSCRIPT TWO}\n", "label of b.png is"),
    ],
)
def test_bad_labels(tmp_path: Path, content: str, message: str):
    path = tmp_path / "labels.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_labels(path, [Path("a.png"), Path("b.png")], 3)


def test_good_labels(tmp_path: Path):
    path = tmp_path / "labels.csv"
    path.write_text("file,label\nb.png,1\na.png,2\n")
    assert read_labels(path, [Path("x/a.png"), Path("x/b.png")], 3).tolist() == [2, 1]
