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
    ",class_token=0,pool=attention",
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


def test_padding_of_a_head_does_not_scale_its_scores(rng: np.random.Generator):
    """Scores are divided by the root of 24, the head's own channels, not of the 32 that it has here."""
    model = IntegerVit(random_model(parse_architecture(BASE), "official", rng))
    node = next(node for node in model.graph.nodes if node.name == "blocks.0.attn.qact_attn1")
    scales = [
        float(model.model.tensors[f"blocks.0.attn.{name}.act_scaling_factor"]) for name in ("qact1", "qact_attn1")
    ]
    factor = float(node.operation.factor.multiplier) / 2.0 ** float(node.operation.factor.shift)
    assert factor == pytest.approx(scales[0] ** 2 * 24**-0.5 / scales[1], rel=1e-5)
