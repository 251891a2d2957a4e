"""The operations beyond the golden vectors: edges, variants, bounds, and what windows and merging do."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sim.reference.arithmetic import LEAN, OFFICIAL, preset
from sim.reference.graph import Graph, GraphError
from sim.reference.layernorm import ILayerNorm, integer_sqrt
from sim.reference.linear import matmul
from sim.reference.nonlinear import gelu_of, integer_gelu
from sim.reference.operations import (
    AttentionMask,
    BiasAdd,
    PatchMerge,
    TokenMean,
    WindowMerge,
    WindowSplit,
)
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import INT32_MAX, divide_rne, shift_rne
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftmax import Shiftmax


def exact_rne(numerator: int, denominator: int) -> int:
    """Round half to even in Python's unbounded integers."""
    floor, remainder = divmod(numerator, denominator)
    return floor + (2 * remainder > denominator or (2 * remainder == denominator and floor % 2 == 1))


WIDEST = 2**63 - 2**61 - 1


@given(st.one_of(st.integers(-(2**61), 2**61), st.integers(-WIDEST, WIDEST)), st.integers(0, 70))
@example(value=2**62 + 1, shift=63)
@example(value=-(2**62) - 1, shift=63)
@example(value=2**62, shift=63)
def test_shift_rne(value: int, shift: int):
    assert int(shift_rne(np.array(value), shift)) == exact_rne(value, 2**shift)


@pytest.mark.parametrize(("value", "shift", "expected"), [(-1, 1, 0), (-3, 1, -2), (3, 1, 2), (5, 1, 2), (3, -2, 12)])
def test_ties_go_to_even_on_both_sides(value: int, shift: int, expected: int):
    assert int(shift_rne(np.array(value), shift)) == expected


@given(st.integers(-(2**50), 2**50), st.integers(1, 4000))
def test_divide_rne(value: int, divisor: int):
    assert int(divide_rne(np.array(value), divisor)) == exact_rne(value, divisor)


@given(st.integers(-(2**31) + 1, 2**31 - 1), st.floats(1e-6, 1e3), st.sampled_from([12, 16, 31]))
def test_a_normalised_dyadic_is_the_same_factor(value: int, ratio: float, bits: int):
    factor = Dyadic.from_ratio(np.float32(ratio), np.float32(1), bits)
    small = factor.normalised(bits)
    assert 2 ** (bits - 1) <= abs(int(small.multiplier)) < 2**bits
    assert factor.apply(np.array(value)) == small.apply(np.array(value))


def test_a_ratio_just_below_a_power_of_two_rounds_up_to_the_full_multiplier():
    factor = Dyadic.from_ratio(np.float32(1) - np.float32(2**-24), np.float32(1), 16)
    assert (int(factor.multiplier), int(factor.shift)) == (2**16, 16)
    assert int(factor.normalised(16).multiplier) == 2**15


def test_residual_rounds_each_branch_and_clamps_once():
    half = Dyadic(np.array(1), np.array(1))
    add = ResidualAdd(half, half)
    assert add.apply(np.array([1, 3, 70000]), np.array([1, 3, -4000])).tolist() == [0, 4, 32767]


def test_packed_operands_stop_at_their_own_limit():
    rescale = Rescale(Dyadic(np.array(1), np.array(0)), 8, np.array([-128, -127]))
    assert rescale.apply(np.array([[-500, -500]])).tolist() == [[-128, -127]]


@given(st.integers(1, 300), st.integers(-4000, 0))
def test_shiftexp_is_its_mantissa_and_shift(step: int, x: int):
    unit = ShiftExp(step, 15)
    mantissa, shift = (int(part) for part in unit.mantissa_shift(np.array(x)))
    assert step < mantissa <= 2 * step and 0 <= shift <= 15
    assert int(unit.apply(np.array(x))) == (mantissa << shift) >> 1
    assert int(unit.apply(np.array(x))) >= unit.clamped


def test_shiftexp_of_a_large_positive_argument_saturates():
    assert int(ShiftExp(1, 23).apply(np.array(128))) == INT32_MAX


def test_the_paper_literal_order_loses_the_half_bit():
    x = np.arange(-60, 1)
    kept, lost = ShiftExp(9, 15).apply(x), ShiftExp(9, 15, half_first=True).apply(x)
    assert (lost <= kept).all() and (lost < kept).any()


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=40), st.integers(1, 60))
def test_shiftmax_is_bounded(row: list[int], step: int):
    rows = np.array([row])
    floored = Shiftmax(ShiftExp(step, 15), 16).apply(rows)
    assert floored.min() >= 0 and floored.sum() <= 2**15
    capped = Shiftmax(ShiftExp(step, 15), 8, half_up=True).apply(rows)
    assert capped.min() >= 0 and capped.max() <= 127


def test_a_masked_score_counts_as_clamped_and_not_for_the_maximum():
    unit = Shiftmax(ShiftExp(8, 15), 8)
    found = unit.apply(np.array([[0, 127, 0]]), np.array([[False, True, False]]))
    e = 8 * 2**15
    expected = (e * (INT32_MAX // (2 * e + 8))) >> 24
    assert found.tolist() == [[expected, 0, expected]]


def test_the_gelu_table_is_the_rescaled_row():
    unit = integer_gelu(LEAN, 8)
    rescale = Rescale(Dyadic.from_ratio(np.float32(0.01), np.float32(0.7), 16), 8)
    row = np.array([[-128, -5, 0, 7, 60]])
    expected = rescale.apply(unit.apply(row))
    table = unit.table(60, rescale)
    assert table[row + 128].tolist() == expected.tolist()
    assert (table[60 + 129 :] == 0).all()


def test_the_literal_gelu_slope_differs():
    row = np.array([np.arange(-100, 100)])
    plain = gelu_of(OFFICIAL, np.float32(0.03)).apply(row)
    literal = gelu_of(dataclasses.replace(OFFICIAL, gelu_slope_by_shifts=True), np.float32(0.03)).apply(row)
    assert (plain != literal).any() and np.abs(plain - literal).max() < 128 * 100 * 0.1


def test_the_square_root_of_nothing_is_64():
    assert int(integer_sqrt(np.array(0))) == 64
    assert int(integer_sqrt(np.array(10**10))) == 10**5
    assert int(integer_sqrt(np.array(10**4), start_from_bits=True)) == 100


def test_layernorm_statistics_of_extremes():
    rows = np.array([[-32768] * 4, [32767] * 4, [-32768, 32767] * 2])
    mean, v = ILayerNorm(np.zeros(4, np.int64)).statistics(rows)
    assert mean[:, 0].tolist() == [-32768, 32767, 0]
    assert v[:, 0].tolist() == [0, 0, 2 * (32768**2 + 32767**2)]


@pytest.mark.parametrize(("low", "high"), [(-8, 8), (-128, 128), (-(2**15), 2**15), (-(2**31), 2**31)])
def test_matmul_is_exact_at_every_size(low: int, high: int):
    rng = np.random.default_rng(5)
    a, b = rng.integers(low, high, (3, 40)), rng.integers(low, high // 2**8 + 2, (40, 2))
    expected = [[sum(int(x) * int(y) for x, y in zip(row, column, strict=True)) for column in b.T] for row in a]
    assert matmul(a, b).tolist() == expected


def test_windows_roll_and_come_back():
    tokens = np.arange(2 * 64 * 3).reshape(2, 64, 3)
    windows = WindowSplit(4, 1).apply(tokens)
    assert windows.shape == (8, 16, 3)
    # The first window starts one row and one column inside the map.
    assert windows[0, 0].tolist() == tokens[0, 9].tolist()
    assert WindowMerge(4, 1, 8).apply(windows).tolist() == tokens.tolist()


def test_patch_merge_takes_columns_of_a_square_first():
    square = np.arange(16).reshape(1, 16, 1)
    assert PatchMerge().apply(square)[0, 0].tolist() == [0, 4, 1, 5]


def test_token_mean_rounds_half_to_even():
    assert TokenMean().apply(np.array([[[1, 3], [2, 4]]])).tolist() == [[2, 4]]


def test_regions_mask_each_other():
    softmax = Shiftmax(ShiftExp(8, 15), 8)
    found = AttentionMask(softmax, np.array([[0, 1]])).apply(np.zeros((1, 1, 2, 2), np.int64))
    assert found[0, 0, 0, 0] > found[0, 0, 0, 1] and found[0, 0, 1, 1] == found[0, 0, 0, 0]


def test_bias_rounds_by_itself():
    half = Dyadic(np.array(1), np.array(1))
    add = BiasAdd(np.array([[1, 0]]), half, half)
    # One head; the table's rows are looked up by index. 1/2 rounds to 0 on either side of the addition.
    assert add.apply(np.array([[[[1, 100]]]]), np.array([[250], [1]])).tolist() == [[[[0, 127]]]]


@pytest.mark.parametrize(
    ("field", "value"), [("multiplier_bits", 11), ("softmax_bits", 7), ("packed_min", -126), ("gelu_n", 24)]
)
def test_a_bad_arithmetic_names_its_parameter(field: str, value: int):
    change: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=f"{field} must be .*{value}"):
        dataclasses.replace(OFFICIAL, **change)


def test_presets_by_name():
    assert preset("lean") is LEAN
    with pytest.raises(ValueError, match="unknown arithmetic 'fat'; choose one of official, lean"):
        preset("fat")


def test_a_graph_refuses_what_cannot_run():
    graph = Graph("in", ("out",))
    with pytest.raises(GraphError, match="reads 'nothing'"):
        graph.add("out", TokenMean(), "nothing")
    graph.add("out", TokenMean(), "in")
    with pytest.raises(GraphError, match="'out' exists already"):
        graph.add("out", TokenMean(), "in")
    with pytest.raises(GraphError, match="'missing' is no tensor"):
        graph.run(np.zeros((1, 2, 3), np.int64), capture=("missing",))


def test_a_graph_keeps_what_is_captured():
    graph = Graph("in", ("out",))
    graph.add("middle", WindowSplit(1, 0), "in")
    graph.add("out", TokenMean(), "middle")
    images = np.arange(8).reshape(1, 4, 2)
    assert graph.run(images, capture=("out",)).keys() == {"out"}
    assert graph.run(images).keys() == {"in", "middle", "out"}
