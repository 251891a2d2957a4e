"""The alternatives to I-ViT's operations: near what they approximate, and exactly what they say."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.reference.architecture import parse_architecture
from sim.reference.arithmetic import LEAN, OFFICIAL, preset
from sim.reference.errors import UserError
from sim.reference.float_operations import FloatGELU, FloatLayerNorm, FloatSoftmax
from sim.reference.layernorm import ILayerNorm
from sim.reference.log_softmax import log_probabilities
from sim.reference.model_file import IntegerModel
from sim.reference.nonlinear import gelu_of, integer_softmax, norm_constants, softmax_of
from sim.reference.polynomial_exp import PolynomialExp
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.preprocess import Preprocessing
from sim.reference.rescale import Dyadic, Rescale

DIFFERENCES = -np.arange(256)


def test_the_name_of_a_variant_says_all_of_it():
    variant = preset("lean:layernorm=l1,softmax=polynomial,half_shifted_first=yes,softmax_bits=graph")
    assert variant.name == "lean:softmax_bits=graph,half_shifted_first=yes,softmax=polynomial,layernorm=l1"
    assert preset(variant.name) == variant
    assert (variant.softmax_bits, variant.multiplier_bits, variant.packed_min) == (None, 16, -127)
    assert preset("official:packed_min=-127").packed_min == -127
    assert variant.integer_only and not preset("lean:gelu=float").integer_only


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("leaner", "unknown arithmetic 'leaner'"),
        ("lean:", "no field"),
        ("lean:name=x", "no field"),
        ("lean:gelu_n=9,gelu_n=9", "given twice"),
        ("lean:gelu_n=x", "gelu_n must be a whole number, not 'x'"),
        ("lean:half_shifted_first=1", "half_shifted_first must be yes or no"),
        ("lean:softmax=cubic", "softmax must be one of shift, polynomial"),
        ("lean:multiplier_bits=40", "multiplier_bits must be 12 to 31, not 40"),
    ],
)
def test_a_wrong_name(name: str, message: str):
    with pytest.raises(ValueError, match=message):
        preset(name)


@pytest.mark.parametrize("step", [1, 2, 4, 7, 12, 31, 64, 200, 255, 256, 1023, 65535])
def test_the_polynomial_is_near_the_exponential(step: int):
    unit = PolynomialExp(step, 15)
    e = unit.apply(DIFFERENCES)
    found, exact = e / e[0], np.exp(DIFFERENCES / step)
    unclamped = exact > 2.0**-12
    # The mantissa's last bit, and the polynomial; ln 2, and a step of more than 8 bits, are off by up to 1/128.
    error = np.abs(np.log(found[unclamped] / exact[unclamped]))
    assert (error <= 0.03 - DIFFERENCES[unclamped] / step / 128).all()
    assert (np.diff(e) <= 0).all() and e.min() > 0 and e.max() <= 354 << 14
    mantissa, shift = unit.mantissa_shift(DIFFERENCES)
    assert mantissa.max() < 1 << 9 and (mantissa[shift == 0] % 2 == 0).all()


@given(st.lists(st.integers(1, 354 << 14), min_size=1, max_size=20), st.integers(8, 16))
def test_log_probabilities_are_the_nearest_powers(values: list[int], bits: int):
    e = np.array(values)
    found = log_probabilities(e, e.sum(keepdims=True), bits)
    for exponential, probability in zip(values, found.tolist(), strict=True):
        ratio = Fraction(sum(values), exponential)
        q = 0
        while ratio >= Fraction(3, 2) * 2**q:
            q += 1
        expected = 2 ** (bits - 1) - 1 if q == 0 else 2 ** (bits - 1 - q) if q < bits else 0
        assert probability == expected


def test_a_logarithmic_softmax_masks():
    unit = integer_softmax(preset("official:softmax=logarithm"), 10, 16)
    rows = np.array([[10, 10, 127, 10]])
    masked = np.array([[False, False, True, False]])
    # Three equal scores, 3 e < total 3 e * 1.5 * 2^1: a quarter or a half; 3 lies in [3, 6).
    assert unit.apply(rows, masked).tolist() == [[2**13, 2**13, 0, 2**13]]


@pytest.mark.parametrize("step", [4, 8, 13, 20, 50, 255])
def test_the_polynomial_gelu_is_near_gelu(step: int):
    x = np.arange(-128, 128)
    unit = PolynomialGELU(step)
    real = x / (1.702 * step)
    exact = np.array([value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in real])
    found = unit.apply(x) * float(unit.scale_ratio) / (1.702 * step)
    # The polynomial of erf alone is off by 0.04 of the value at most; small steps add the coarseness of b and 1/a.
    assert np.abs(found - exact).max() <= 0.035 + 0.6 / step**2
    assert unit.gate(x).max() < 1 << 10
    rescale = Rescale(Dyadic.from_ratio(np.float32(unit.scale_ratio), np.float32(1), 16), 8)
    np.testing.assert_array_equal(unit.table(-128, rescale), rescale.apply(unit.apply(x)))


@pytest.mark.parametrize("channels", [64, 96, 192, 384, 768])
def test_l1_layernorm_is_layernorm_of_normal_rows(channels: int):
    rng = np.random.default_rng(channels)
    rows = np.rint(rng.normal(100, 900, (400, channels))).astype(np.int64)
    bias, scale = rng.integers(-(2**28), 2**28, channels), np.full(channels, 1e-6, np.float32)
    l1_bias, l1_scale = norm_constants(preset("lean:layernorm=l1"), bias, scale)
    assert (np.abs(l1_bias) <= np.abs(bias) + 1).all()
    assert np.abs(l1_bias * l1_scale.astype(np.float64) - bias * scale.astype(np.float64)).max() < 1e-3
    plain = ILayerNorm(0 * bias).apply(rows) * scale.astype(np.float64)
    l1 = ILayerNorm(0 * bias, l1=True).apply(rows) * l1_scale.astype(np.float64)
    error = np.sqrt(np.mean(np.square(l1 - plain)) / np.mean(np.square(plain)))
    # The ratio of the two deviations of C normal values spreads by about 0.53 / sqrt(C).
    assert 0.1 / math.sqrt(channels) < error < 1.0 / math.sqrt(channels)
    assert (ILayerNorm(l1_bias, l1=True).apply(np.full((1, channels), 7)) == l1_bias).all()


def test_float_operations_are_what_the_integer_ones_approximate():
    rng = np.random.default_rng(3)
    scores = rng.integers(-128, 128, (50, 64))
    exact = softmax_of(preset("official:softmax=float"), np.float32(1 / 30), 16)
    assert isinstance(exact, FloatSoftmax)
    shift = softmax_of(OFFICIAL, np.float32(1 / 30), 16)
    probabilities = exact.apply(scores)
    assert np.abs(probabilities.sum(axis=-1) - 2**15).max() <= 33
    assert 0 < np.abs(probabilities - shift.apply(scores)).max() < 0.12 * 2**15
    values = rng.integers(-128, 128, (20, 96))
    floating = gelu_of(preset("lean:gelu=float"), np.float32(1 / (1.702 * 12)))
    assert isinstance(floating, FloatGELU)
    difference = floating.apply(values) - gelu_of(LEAN, np.float32(1 / (1.702 * 12))).apply(values)
    assert 0 < np.abs(difference).max() < 0.05 * 127 * 128
    rows = np.rint(rng.normal(0, 3000, (20, 192))).astype(np.int64)
    bias = np.arange(192)
    difference = FloatLayerNorm(bias).apply(rows) - ILayerNorm(bias).apply(rows)
    # The mean's rounding is 1/2 of 3000, and 1/6000 of a deviation of 2^30 / sqrt(C) is 13,000.
    assert 0 < np.abs(difference).max() < 40_000


def test_float_layernorm_of_constant_rows():
    assert FloatLayerNorm(np.zeros(8, np.int64)).apply(np.full((1, 8), 5)).tolist() == [[0] * 8]


def test_quick_gelu_is_what_shiftgelu_is_and_no_other():
    shape = parse_architecture("vit:image=16,patch=8,dim=32,depth=1,heads=2,classes=3,activation=quick_gelu")
    for name in ("lean:gelu=polynomial", "official:gelu=float"):
        with pytest.raises(UserError, match=f"has QuickGELU, and {name} has a GELU by the error function; take gelu=s"):
            IntegerModel(shape, name, Preprocessing.default(16), {})
    IntegerModel(shape, "lean:softmax=polynomial", Preprocessing.default(16), {})
