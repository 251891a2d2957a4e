"""Checkpoints that cannot be held, each a sentence; doctored configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from firmware.checkpoints.checkpoint import open_checkpoint
from firmware.quantiser.random_model import random_weights
from sim.reference.errors import UserError
from tests.firmware.checkpoints.folders import PROCESSOR, SHAPE, hugging_face_names, write_folder

ARCH = "vit:image=16,patch=8,dim=32,depth=2,heads=2,classes=3"
Arrays = dict[str, np.ndarray]


@pytest.fixture
def weights(rng: np.random.Generator) -> Arrays:
    return random_weights(SHAPE, rng)


def drop(key: str) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.__delitem__(key)


def put(key: str, *size: int) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({key: np.zeros(size, np.float32)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("blocks.1.attn.qkv.bias"), "the weight 'blocks.1.attn.qkv.bias' is missing"),  # the other block has one
        (drop("cls_token"), "'cls_token' is missing; a model without one reads a mean: say pool=mean in ARCH"),
        (drop("head.bias"), "the weight 'head.bias' is missing"),
        (drop("patch_embed.proj.weight"), "the weight 'patch_embed.proj.weight' is missing"),
        (put("blocks.0.ls1.gamma", 31), r"'blocks.0.ls1.gamma' of shape \(31\) does not fit"),
        (put("blocks.0.mlp.w12.weight", 64, 32), "SwiGLU"),
        (put("blocks.0.mlp.fc1.weight", 256, 32), "SwiGLU"),
        (put("attn_pool.latent", 1, 1, 32), "'attn_pool.qkv.weight' of a pooling by attention must be there"),
        (put("blocks.0.attn.q_norm.weight", 16), "'blocks.0.attn.q_norm.weight' is no weight of this architecture"),
        (put("cls_token", 1, 1, 31), r"'cls_token' has shape \(1, 1, 31\), but \(1, tokens, 32\)"),
        (put("pos_embed", 5, 32), r"'pos_embed' has shape \(5, 32\), but \(1, 5, 32\)"),
    ],
)
def test_weights_that_do_not_fit(change: Callable[[Arrays], None], message: str, tmp_path: Path, weights: Arrays):
    change(weights)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=message):
        open_checkpoint(tmp_path / "w.safetensors", ARCH)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "resnet"}, "the model type 'resnet' is not known; one of vit, deit, dinov2"),
        ({"model_type": "siglip2_vision_model"}, "the model type 'siglip2_vision_model' is not known"),
        ({"hidden_act": "relu"}, "hidden_act is 'relu', but one of gelu, quick_gelu"),
        ({"use_swiglu_ffn": True}, "SwiGLU"),
        ({"num_attention_heads": "2"}, "'num_attention_heads' is \"2\", but a whole number is expected"),
        ({"num_attention_heads": 3}, "dim must be a multiple of heads"),
        ({"layer_norm_eps": -1}, "epsilon must be 0 to 1, not -1"),
    ],
)
def test_configurations_that_no_model_here_has(config: dict[str, Any], message: str, tmp_path: Path, weights: Arrays):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), config, PROCESSOR)
    with pytest.raises(UserError, match=message):
        open_checkpoint(folder, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_rescale": False}, "do_resize or do_rescale is false"),
        ({"rescale_factor": 0.0078}, "rescale_factor must be 1/255, not 0.0078"),
        ({"resample": 4}, r"resample is 4, but one of \[0, 1, 2, 3\]"),
        ({"size": {"shortest_edge": 16}}, "nothing cropped"),
        ({"size": {"height": 16, "width": 17}}, "the side of a square is expected"),
        ({"size": 10**9}, "the side of a square is expected"),
        ({"image_std": [0, 1, 1]}, "std must be above 0"),
        ({"image_mean": [0.5]}, "three numbers are expected"),
    ],
)
def test_pictures_that_cannot_be_prepared(changes: dict[str, Any], message: str, tmp_path: Path, weights: Arrays):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), processor=PROCESSOR | changes)
    with pytest.raises(UserError, match=message):
        open_checkpoint(folder, None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**7) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["height", "0", "size"]), inner),
    max_leaves=4,
)
KEYS = ["model_type", "hidden_act", "layer_norm_eps", "num_attention_heads", "image_size", "id2label", "vision_config"]
TIMM = ["architecture", "global_pool", "model_args", "pretrained_cfg", "input_size", "crop_pct", "mean", "num_classes"]
OTHERS = ["size", "crop_size", "do_center_crop", "resample", "image_mean", "rescale_factor", "image_processor_type"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_doctored_configurations_are_sentences(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    weights = hugging_face_names(random_weights(SHAPE, np.random.default_rng(0)))
    folder = write_folder(tmp_path_factory.mktemp("m") / "m", weights, processor=PROCESSOR)
    for name, keys in (("config.json", KEYS + TIMM), ("preprocessor_config.json", OTHERS)):
        values = json.loads((folder / name).read_text())
        if name == "config.json" and data.draw(st.booleans()):
            values = {"architecture": "vit_tiny_patch8_16", "pretrained_cfg": {"input_size": [3, 16, 16]}}
        values |= data.draw(st.dictionaries(st.sampled_from(keys), VALUES, max_size=2))
        (folder / name).write_text(json.dumps(values))
    try:
        found = open_checkpoint(folder, None)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.shape.image <= 1 << 20
