"""Float checkpoints of every release of timm give the same weights; what does not fit is said in one sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from firmware.checkpoints.checkpoint import load_weights
from firmware.float_models.registry import float_model
from firmware.quantiser.random_model import random_weights
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from tests.firmware.quantiser.small_vit import write_weights

SWIN = parse_architecture("swin:image=32,patch=4,dim=16,depths=2-2-2,heads=1-2-2,window=4,classes=5")
DISTILLED = parse_architecture("vit:image=16,patch=8,dim=32,depth=1,heads=2,classes=5,distilled=1")
Arrays = dict[str, np.ndarray]


def newer(arrays: Arrays) -> Arrays:
    """The keys of timm's releases from 2023 on."""
    renamed = {}
    for name, array in arrays.items():
        for stage in (1, 0):
            name = name.replace(f"layers.{stage}.downsample", f"layers.{stage + 1}.downsample")
        renamed[name.replace("head.", "head.fc.")] = array
    return renamed


def older(arrays: Arrays) -> Arrays:
    """Those before, with what they save beside weights."""
    return arrays | {name: np.asarray(array) for name, array in SWIN.buffers().items()}


@pytest.mark.parametrize("names", [newer, older])
def test_both_layouts_of_a_swin(tmp_path: Path, rng: np.random.Generator, names: Callable[[Arrays], Arrays]):
    weights = random_weights(SWIN, rng)
    path = write_weights(tmp_path / "w.safetensors", names(weights))
    found = load_weights(path, SWIN)
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def two_heads(rng: np.random.Generator) -> tuple[Arrays, Arrays]:
    """A distilled DeiT as timm saves it, and its weights but for the heads."""
    weights = random_weights(DISTILLED, rng)
    del weights["head.weight"], weights["head.bias"]
    heads = {f"{head}.weight": rng.normal(size=(5, 32)).astype(np.float32) for head in ("head", "head_dist")}
    heads |= {f"{head}.bias": rng.normal(size=5).astype(np.float32) for head in ("head", "head_dist")}
    return weights | heads, weights


def test_the_logits_of_a_distilled_model_are_the_mean_of_both_heads(tmp_path: Path, rng: np.random.Generator):
    arrays, _ = two_heads(rng)
    model = float_model(DISTILLED, load_weights(write_weights(tmp_path / "w.npz", arrays), DISTILLED))
    seen: Arrays = {}
    logits = model.forward(rng.normal(size=(2, 3, 16, 16)).astype(np.float32), seen.__setitem__)
    tokens = seen["qact2"]
    assert tokens.shape == (2, 2, 32)
    both = [
        tokens[:, index] @ arrays[f"{head}.weight"].T + arrays[f"{head}.bias"]
        for index, head in enumerate(("head", "head_dist"))
    ]
    np.testing.assert_allclose(logits, (both[0] + both[1]) / 2, rtol=1e-5, atol=1e-5)


def put(key: str, value: np.ndarray) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({key: value})


@pytest.mark.parametrize(
    ("shape", "change", "message"),
    [
        (
            SWIN,
            lambda a: a.pop("layers.2.downsample.reduction.weight"),
            "'layers.1.downsample.reduction.weight' is",
        ),
        (
            SWIN,
            put("layers.1.downsample.reduction.bias", np.zeros(32, np.float32)),
            "is no weight of this architecture",
        ),
        (
            SWIN,
            put("layers.0.blocks.1.attn.relative_position_index", np.zeros((16, 16), np.int64)),
            "'layers.0.blocks.1.attn.relative_position_index' is not that of this architecture",
        ),
        (SWIN, put("layers.0.blocks.1.attn_mask", np.zeros((4, 16, 16), np.float32)), "attn_mask' is not that of"),
        (DISTILLED, lambda a: a.pop("head_dist.bias"), "'head_dist.bias' is missing"),
        (DISTILLED, lambda a: a.pop("dist_token"), "'dist_token' is missing"),
        (
            DISTILLED,
            put("pos_embed", np.zeros((1, 197, 32), np.float32)),
            "'pos_embed' has 197 positions, but this architecture has 6 tokens",
        ),
    ],
)
def test_what_does_not_fit(
    shape: ModelShape,
    change: Callable[[Arrays], None],
    message: str,
    tmp_path: Path,
    rng: np.random.Generator,
):
    arrays = newer(random_weights(SWIN, rng)) if shape is SWIN else two_heads(rng)[0]
    change(arrays)
    with pytest.raises(UserError) as caught:
        load_weights(write_weights(tmp_path / "w.safetensors", arrays), shape)
    assert message in str(caught.value) and "\n" not in str(caught.value)
