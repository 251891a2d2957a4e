"""Golden vectors of the single operations, and every tensor of a small whole ViT and Swin, with no integer different.

On the slices that the project has, and on the full vectors where the machine has them.
"""

import numpy as np
import pytest

from firmware.quantiser.ivit_checkpoint import import_checkpoint
from sim.reference.addressing import patches
from sim.reference.architecture import parse_architecture
from sim.reference.arithmetic import OFFICIAL
from sim.reference.integer_vit import model_graph
from sim.reference.layernorm import ILayerNorm, integer_sqrt
from sim.reference.linear import matmul
from sim.reference.nonlinear import gelu_of
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.scales import channel_scales, quantise, quantise_weight
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax
from tests.vectors.golden import SOURCES, golden, golden_model
from tests.vectors.slices import digest

QUANTACT = (
    "acc32to16_per-ch",
    "acc32to8_per-ch",
    "attn8prpb8to8",
    "gelu16to8",
    "ln31to8_per-ch_signed",
    "residual_16p16to16",
    "residual_saturating",
    "ties_pow2_ratio",
)


VIT = "vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10"
SWIN = "swin:image=64,patch=4,dim=32,depths=2-2,heads=1-2,window=4,classes=10"
pytestmark = pytest.mark.parametrize("source", SOURCES)


@pytest.mark.parametrize("name", QUANTACT)
def test_rescale(source: str, name: str):
    z = golden(f"quantact_{name}", source)
    bits = int(z["bits"])
    for case in range(len(z["x"])):
        factor = Dyadic.from_ratio(z["s_in"][case], z["s_out"][case], 31)
        np.testing.assert_array_equal(factor.multiplier, z["m"][case])
        np.testing.assert_array_equal(factor.shift, z["e"][case])
        if "identity" in z:
            add = ResidualAdd(factor, Dyadic(z["m1"][case], z["e1"][case]), bits)
            found = add.apply(z["x"][case], z["identity"][case])
        else:
            found = Rescale(factor, bits).apply(z["x"][case])
        np.testing.assert_array_equal(found, z["y"][case])


def test_input_quantisation(source: str):
    z = golden("quantact_input", source)
    np.testing.assert_array_equal(quantise(z["x"], z["s8"][()], 8), z["y8"])
    np.testing.assert_array_equal(quantise(z["x"], z["s16"][()], 16), z["y16"])


@pytest.mark.parametrize(("name", "bits"), [("o16_n197", 16), ("o16_n64", 16), ("o8_n197", 8), ("o8_n49", 8)])
def test_shiftmax(source: str, name: str, bits: int):
    z = golden(f"softmax_{name}", source)
    for rows, scale, x0, y in zip(z["q"], z["scale"], z["x0"], z["y"], strict=True):
        exponential = ShiftExp.from_scale(scale, 15)
        assert exponential.step == -x0
        np.testing.assert_array_equal(Shiftmax(exponential, bits).apply(rows), y)


@pytest.mark.parametrize("name", ["gelu_c384", "gelu_c768"])
def test_shiftgelu(source: str, name: str):
    z = golden(name, source)
    for rows, scale, x0, y in zip(z["q"], z["scale"], z["x0"], z["y"], strict=True):
        gelu = gelu_of(OFFICIAL, scale)
        assert isinstance(gelu, ShiftGELU)
        assert gelu.step == -x0
        np.testing.assert_array_equal(gelu.apply(rows), y)


@pytest.mark.parametrize("name", ["layernorm_c96", "layernorm_c192", "layernorm_c768"])
def test_layernorm(source: str, name: str):
    z = golden(name, source)
    for rows, bias, std, y in zip(z["q"], z["bias_int"], z["std"], z["y"], strict=True):
        norm = ILayerNorm(bias)
        np.testing.assert_array_equal(integer_sqrt(norm.statistics(rows)[1]), std)
        np.testing.assert_array_equal(norm.apply(rows), y)


def test_linear(source: str):
    z = golden("linear_192_576", source)
    np.testing.assert_array_equal(channel_scales(z["w"]), z["w_scale"])
    np.testing.assert_array_equal(quantise_weight(z["w"], z["w_scale"]), z["w_int"])
    accumulator_scale = (z["w_scale"] * z["s_in"]).astype(np.float32)
    np.testing.assert_array_equal(quantise(z["b"], accumulator_scale, 32), z["b_int"])
    np.testing.assert_array_equal(matmul(z["q"], z["w_int"].T) + z["b_int"], z["acc"])


def test_convolution(source: str):
    z = golden("conv_16_192", source)
    rows = patches(z["q"][None], 16)[0]
    acc = matmul(rows, z["w_int"].reshape(len(z["w_int"]), -1).T) + z["b_int"]
    np.testing.assert_array_equal(acc.T.reshape(z["acc"].shape), z["acc"])


@pytest.mark.parametrize(("name", "arch", "count"), [("e2e_vit_small", VIT, 37), ("e2e_swin_small", SWIN, 80)])
def test_every_tensor_of_a_whole_model(source: str, name: str, arch: str, count: int):
    model, shape = golden_model(name, source), parse_architecture(arch)
    tensors = import_checkpoint(model.state, shape, name)
    images = quantise(model.images, np.float32(tensors["qact_input.act_scaling_factor"]), 8)
    found = model_graph(shape, tensors, OFFICIAL).run(images)
    assert model.tensors.keys() == model.digests.keys() and len(model.digests) == count
    for key, expected in model.tensors.items():  # they say where a tensor differs, the digest that none does
        np.testing.assert_array_equal(found[key].reshape(-1)[: len(expected)], expected, err_msg=key)
        assert digest(found[key]) == model.digests[key], f"{key} differs beyond its first {len(expected)} integers"
