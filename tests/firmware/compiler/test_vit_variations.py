"""Variations of a ViT, compiled and run word by word, against the reference at every tensor that they store."""

import numpy as np
import pytest

from firmware.quantiser.random_model import random_model
from gateware.config import config
from sim.reference.architecture import parse_architecture
from sim.reference.integer_vit import IntegerVit
from tests.firmware.compiler.compiled_model import compiled_for, interpreted, random_image

BASE = "vit:image=32,patch=8,dim=48,depth=2,heads=2,classes=10"  # heads of 24 channels, and 8 that are zero
VARIATIONS = [
    "",
    ",registers=3",
    ",class_token=0,pool=mean",
    ",pool=mean,registers=1",
    ",class_token=0,pool=mean_norm",
    ",pool=mean_norm,registers=2",
    ",pre_norm=1,activation=quick_gelu",
    ",hidden=80",
]


@pytest.mark.parametrize("variation", VARIATIONS)
@pytest.mark.parametrize(("board", "arithmetic"), [("tiny", "lean"), ("tiny", "official"), ("arty_a7_35", "lean")])
def test_every_stored_tensor_is_exact(variation: str, board: str, arithmetic: str, rng: np.random.Generator):
    model = IntegerVit(random_model(parse_architecture(BASE + variation), arithmetic, rng))
    cfg = config(board, arithmetic)
    assert interpreted(compiled_for(model, cfg), cfg, model, random_image(model, rng)) == []


@pytest.mark.parametrize("pool", ["mean", "mean_norm"])
def test_a_mean_is_of_patches_alone(pool: str, rng: np.random.Generator):
    """Learnt tokens in front are left out; the integer sum, rescaled, is near the mean of the 16 patches."""
    model = IntegerVit(random_model(parse_architecture(f"{BASE},pool={pool},registers=2"), "lean", rng))
    source, target = ("qact2", "qact3") if pool == "mean" else ("blocks.1.qact4", "qact_pool")
    found = model.run(random_image(model, rng))
    np.testing.assert_array_equal(found["patch_sum"], found[source][:, 3:].sum(axis=1))
    scales = {name: float(model.model.tensors[f"{name}.act_scaling_factor"]) for name in (source, target)}
    mean = found[source][:, 3:].mean(axis=1) * scales[source]
    inside = np.abs(mean) < 126 * scales[target]
    assert inside.mean() > 0.5
    assert np.abs(found[target] * scales[target] - mean)[inside].max() <= 0.51 * scales[target]
