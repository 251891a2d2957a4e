"""The quantising constants, against the authors' own checkpoint and at their corners."""

import math

import numpy as np
import pytest

from sim.reference import scales
from tests.vectors.golden import SOURCES, GoldenModel, golden_model


@pytest.fixture(scope="module", params=SOURCES)
def golden(request: pytest.FixtureRequest) -> GoldenModel:
    return golden_model("e2e_vit_small", request.param)


@pytest.fixture(scope="module")
def state(golden: GoldenModel) -> dict[str, np.ndarray]:
    return golden.state


def test_weights_come_out_as_the_authors(golden: GoldenModel):
    names = [key.removesuffix(".weight") for key in golden.rows if key.endswith(".weight")]
    assert len(names) == 10
    for name in names:
        kind = "conv" if name.startswith("patch_embed") else "fc"
        rows = golden.rows[f"{name}.weight"]
        found = scales.channel_scales(rows)
        np.testing.assert_array_equal(found, golden.state[f"{name}.{kind}_scaling_factor"][: len(rows)])
        integers = golden.state[f"{name}.weight_integer"][: len(rows)]
        np.testing.assert_array_equal(scales.quantise_weight(rows, found), integers)


def test_biases_come_out_as_the_authors(state):
    for index in range(2):
        for name, source in (("attn.qkv", "qact1"), ("attn.proj", "attn.qact2"), ("mlp.fc1", "qact3")):
            linear = f"blocks.{index}.{name}"
            step = state[f"{linear}.fc_scaling_factor"] * state[f"blocks.{index}.{source}.act_scaling_factor"]
            found = scales.quantise(state[f"{linear}.bias"], step.astype(np.float32), 32)
            np.testing.assert_array_equal(found, state[f"{linear}.bias_integer"])


def test_layer_norms_come_out_as_the_authors(state):
    names = [key.removesuffix(".norm_scaling_factor") for key in state if key.endswith(".norm_scaling_factor")]
    assert len(names) == 5
    for name in names:
        gamma, beta = state[f"{name}.weight"], state[f"{name}.bias"]
        np.testing.assert_array_equal(scales.norm_scales(gamma), state[f"{name}.norm_scaling_factor"])
        np.testing.assert_array_equal(scales.norm_bias(gamma, beta), state[f"{name}.bias_integer"])


def test_quantise_rounds_half_to_even_and_clamps():
    x = np.array([-300, -128.5, -1.5, -0.5, 0.5, 1.5, 2.5, 126.6, 300], np.float32)
    assert scales.quantise(x, np.float32(1), 8).tolist() == [-128, -128, -2, 0, 0, 2, 2, 127, 127]


def test_a_zero_tensor_has_the_smallest_scale():
    assert scales.activation_scale(0.0, 8) == np.float32(2**-23)
    assert scales.channel_scales(np.zeros((2, 3), np.float32)).tolist() == [2**-23] * 2


@pytest.mark.parametrize("step", range(1, 257))
def test_snapped_scales_are_exact_in_float32(step: int):
    scale = scales.snapped_softmax_scale(step)
    assert math.floor(np.float32(-1) / scale) == -step
    assert abs(float(scale) * step - 1) < 4e-7
    scale = scales.snapped_gelu_scale(step)
    assert math.floor(np.float32(-1) / np.float32(scale * np.float32(1.702))) == -step
    assert abs(float(scale) * 1.702 * step - 1) < 4e-7


@pytest.mark.parametrize("channels", [32, 64, 192, 768])
def test_gammas_that_would_overflow_are_raised(channels: int, rng: np.random.Generator):
    gamma = rng.normal(1, 0.1, channels).astype(np.float32)
    beta = rng.normal(0, 1, channels).astype(np.float32)
    gamma[[3, 5, 7]] = 0, 1e-9, -1e-9
    beta[5:8:2] = 3, 3
    raised, found = scales.raised_gamma(gamma, beta)
    assert found == [3, 5, 7]
    assert np.abs(scales.norm_bias(raised, beta)).max() <= 2**31 - 1
    assert raised[7] < 0 < raised[5]
    untouched = np.delete(np.arange(channels), found)
    np.testing.assert_array_equal(raised[untouched], gamma[untouched])


def test_a_zero_gamma_is_raised_to_a_24th_of_beta():
    gamma, beta = np.ones(192, np.float32), np.zeros(192, np.float32)
    gamma[:2], beta[0] = 0, -0.6
    raised, _ = scales.raised_gamma(gamma, beta)
    assert raised[0] == pytest.approx(0.025)
    assert raised[1] == pytest.approx(1e-4)
