"""Every golden vector of the single operations, and every tensor of a small whole ViT, with no integer different."""

import numpy as np
import pytest

from firmware.quantiser.ivit_checkpoint import import_checkpoint, load_checkpoint
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
from tests.shared_data import shared_data

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


def vectors(name: str) -> dict[str, np.ndarray]:
    with np.load(shared_data("vectors", f"{name}.npz"), allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("name", QUANTACT)
def test_rescale(name: str):
    z = vectors(f"quantact_{name}")
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


def test_input_quantisation():
    z = vectors("quantact_input")
    np.testing.assert_array_equal(quantise(z["x"], z["s8"][()], 8), z["y8"])
    np.testing.assert_array_equal(quantise(z["x"], z["s16"][()], 16), z["y16"])


@pytest.mark.parametrize(("name", "bits"), [("o16_n197", 16), ("o16_n64", 16), ("o8_n197", 8), ("o8_n49", 8)])
def test_shiftmax(name: str, bits: int):
    z = vectors(f"softmax_{name}")
    for rows, scale, x0, y in zip(z["q"], z["scale"], z["x0"], z["y"], strict=True):
        exponential = ShiftExp.from_scale(scale, 15)
        assert exponential.step == -x0
        np.testing.assert_array_equal(Shiftmax(exponential, bits).apply(rows.astype(np.int64)), y)


@pytest.mark.parametrize("name", ["gelu_c384", "gelu_c768"])
def test_shiftgelu(name: str):
    z = vectors(name)
    for rows, scale, x0, y in zip(z["q"], z["scale"], z["x0"], z["y"], strict=True):
        gelu = gelu_of(OFFICIAL, scale)
        assert isinstance(gelu, ShiftGELU)
        assert gelu.step == -x0
        np.testing.assert_array_equal(gelu.apply(rows), y)


@pytest.mark.parametrize("name", ["layernorm_c96", "layernorm_c192", "layernorm_c768"])
def test_layernorm(name: str):
    z = vectors(name)
    for rows, bias, std, y in zip(z["q"], z["bias_int"], z["std"], z["y"], strict=True):
        norm = ILayerNorm(bias)
        np.testing.assert_array_equal(integer_sqrt(norm.statistics(rows)[1]), std)
        np.testing.assert_array_equal(norm.apply(rows), y)


def test_linear():
    z = vectors("linear_192_576")
    np.testing.assert_array_equal(channel_scales(z["w"]), z["w_scale"])
    np.testing.assert_array_equal(quantise_weight(z["w"], z["w_scale"]), z["w_int"])
    accumulator_scale = (z["w_scale"] * z["s_in"]).astype(np.float32)
    np.testing.assert_array_equal(quantise(z["b"], accumulator_scale, 32), z["b_int"])
    np.testing.assert_array_equal(matmul(z["q"].astype(np.int64), z["w_int"].astype(np.int64).T) + z["b_int"], z["acc"])


def test_convolution():
    z = vectors("conv_16_192")
    rows = patches(z["q"][None].astype(np.int64), 16)[0]
    acc = matmul(rows, z["w_int"].reshape(192, -1).astype(np.int64).T) + z["b_int"]
    np.testing.assert_array_equal(acc.T.reshape(z["acc"].shape), z["acc"])


@pytest.mark.parametrize("suffix", [".npz", ".pth.tar"])
def test_every_tensor_of_the_small_vit(suffix: str):
    if suffix == ".pth.tar":
        pytest.importorskip("torch", reason="the authors' own file format needs the training extra")
    golden = vectors("e2e_vit_small")
    shape = parse_architecture("vit:image=32,patch=8,dim=128,depth=2,heads=2,classes=10")
    path = shared_data("vectors", f"e2e_vit_small{suffix}")
    tensors = import_checkpoint(load_checkpoint(path), shape, str(path))
    images = quantise(golden["img"], np.float32(tensors["qact_input.act_scaling_factor"]), 8)
    found = model_graph(shape, tensors, OFFICIAL).run(images)
    names = [key.removeprefix("tr/") for key in golden if key.startswith("tr/")]
    assert len(names) == 37
    for name in names:
        np.testing.assert_array_equal(found[name], golden[f"tr/{name}"], err_msg=name)
