"""Folders of timm and open_clip, Swins of Hugging Face, and weights of what no model here has: each a sentence."""

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
from firmware.checkpoints.huggingface_names import joined
from firmware.quantiser.random_model import random_weights
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from tests.firmware.checkpoints.folders import SHAPE, hugging_face_names, write_folder
from tests.firmware.checkpoints.test_refused_checkpoints import VALUES

Arrays = dict[str, np.ndarray]
SIZE = {"input_size": [3, 16, 16]}


@pytest.fixture
def weights(rng: np.random.Generator) -> Arrays:
    return random_weights(SHAPE, rng)


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_checkpoint(folder, None)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def folder_of(path: Path, arrays: Arrays, name: str, config: dict[str, Any]) -> Path:
    path.mkdir()
    weights = "open_clip_model.safetensors" if name.startswith("open_clip") else "model.safetensors"
    save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, path / weights)
    (path / name).write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    ("config", "words"),
    [
        *(
            ({"architecture": name}, f"the architecture {name!r} is not known; timm's vit_, deit and swin_ models are")
            for name in ("resnet50", "vit_base_patch16_dinov3", "vit_relpos_base_patch16_224", "vit_base_r50_s16_224")
        ),
        ({"architecture": "vit_base_patch16_siglip_224"}, "does not tell the activation; put act_layer"),
        ({"model_args": {"qk_norm": True}}, "the model argument 'qk_norm' is not understood"),
        ({"model_args": {"act_layer": "relu"}}, "act_layer is 'relu', but gelu"),
        ({"global_pool": "max"}, "global_pool is 'max', but token, avg or map"),
        ({"pretrained_cfg": SIZE | {"crop_pct": 2.0}}, "crop_pct must be 0 to 1, not 2"),
        ({"pretrained_cfg": SIZE | {"crop_mode": "border"}}, "crop_mode is 'border', but center or squash"),
        ({"pretrained_cfg": SIZE | {"interpolation": "random"}}, "interpolation is 'random', but"),
        ({"pretrained_cfg": {"input_size": [3, 16, 8]}}, "the side of a square is expected"),
    ],
)
def test_folders_of_timm(config: dict[str, Any], words: str, tmp_path: Path, weights: Arrays):
    usual = {"architecture": "vit_tiny_patch8_16", "global_pool": "token", "pretrained_cfg": SIZE}
    assert words in refusal(folder_of(tmp_path / "m", weights, "config.json", usual | config))


@pytest.mark.parametrize(
    ("model", "processing", "words"),
    [
        ({"vision_cfg": {"timm_model_name": "vit_x"}}, {}, "the image tower is timm's 'vit_x'; take timm's own folder"),
        ({"vision_cfg": {"pool_type": "avg"}}, {}, "pools by 'avg' or attention, but only 'tok' is known"),
        ({"vision_cfg": {"attentional_pool": True}}, {}, "or attention, but only 'tok' is known"),
        ({"vision_cfg": {"layers": [3, 4, 6, 3]}}, {}, "the image tower is a ResNet; take one with a ViT"),
        ({"vision_cfg": {"width": 32, "head_width": 64}}, {}, "head_width is 64, but 1 to 32"),
        ({}, {"resize_mode": "longest"}, "resize_mode 'longest' with interpolation 'bicubic' is not known"),
    ],
)
def test_folders_of_open_clip(model: dict[str, Any], processing: dict[str, Any], words: str, tmp_path: Path):
    arrays = {"visual.conv1.weight": np.zeros((32, 3, 8, 8), np.float32)}
    config = {"model_cfg": model, "preprocess_cfg": {"size": 16} | processing}
    assert words in refusal(folder_of(tmp_path / "m", arrays, "open_clip_config.json", config))


def test_weights_of_open_clip(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    for arrays, words in (
        ({"visual.layer1.0.conv1.weight": (8, 8)}, "is a CLIP whose image tower is a ResNet"),
        ({"visual.class_embedding": (32,), "visual.proj": (32,)}, r"'proj' must be a matrix, not of shape \(32,\)"),
    ):
        save_file({key: np.zeros(size, np.float32) for key, size in arrays.items()}, path)
        with pytest.raises(UserError, match=words):
            open_checkpoint(path, "vit_tiny_patch16_224")


@pytest.mark.parametrize("config", [{"use_absolute_embeddings": True}, {"mlp_ratio": 3.0}])
def test_swins_of_hugging_face(config: dict[str, Any], tmp_path: Path, weights: Arrays):
    folder = write_folder(tmp_path / "m", hugging_face_names(weights), {"model_type": "swin", **config})
    assert "a Swin must have no absolute positions and an mlp_ratio of 4" in refusal(folder)


def put(name: str, *size: int) -> Callable[[Arrays], None]:
    return lambda arrays: arrays.update({name: np.ones(size, np.float32)})


def without_blocks(arrays: Arrays) -> None:
    for name in [name for name in arrays if name.startswith("blocks.")]:
        del arrays[name]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("patch_embed.proj.weight", 32, 1, 8, 8), "takes pictures of 1 colours, but red, green and blue"),
        (put("patch_embed.proj.weight", 32, 8, 8), "has shape (32, 8, 8), but 4 axes are expected"),
        (put("head.weight", 3, 64), "reads the class token and the mean of the patches side by side"),
        (without_blocks, "the weights of the first block are missing"),
        (put("attn_pool.latent", 1, 1, 32), "'attn_pool.qkv.weight' of a pooling by attention must be there"),
    ],
)
def test_what_weights_tell(change: Callable[[Arrays], None], words: str, tmp_path: Path, weights: Arrays):
    """Whose folder says nothing of it."""
    change(weights)
    config = {"architecture": "vit_tiny_patch8_16", "global_pool": "token", "pretrained_cfg": SIZE}
    assert words in refusal(folder_of(tmp_path / "m", weights, "config.json", config))


def test_a_pooling_of_two_queries(tmp_path: Path, rng: np.random.Generator):
    shape = parse_architecture("vit:image=16,patch=8,dim=32,depth=2,heads=2,classes=3,class_token=0,pool=attention")
    arrays = random_weights(shape, rng) | {"attn_pool.latent": np.ones((1, 2, 32), np.float32)}
    config = {"architecture": "vit_tiny_patch8_16", "global_pool": "map", "pretrained_cfg": SIZE}
    words = "'attn_pool.latent' of a pooling by attention must be there and have the shape (1, 1, 32): one query"
    assert words in refusal(folder_of(tmp_path / "m", arrays, "config.json", config))


def test_positions_of_no_square(tmp_path: Path, weights: Arrays):
    """Hugging Face's models have the size of their positions."""
    weights["pos_embed"] = np.zeros((1, 7, 32), np.float32)
    folder = write_folder(tmp_path / "m", hugging_face_names(weights))
    assert "the positions are of no square picture; name the image size with --image" in refusal(folder)


def test_a_folder_without_a_processor_is_said(tmp_path: Path, weights: Arrays):
    found = open_checkpoint(write_folder(tmp_path / "m", hugging_face_names(weights)), None)
    assert any("There is no preprocessor_config.json: pictures are prepared as ImageNet's" in n for n in found.notes)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"b.attn.query.weight": (4, 4), "b.attn.key.weight": (4, 4)}, "'b.attn.value.weight' is missing beside"),
        ({f"b.attn.{part}.weight": (4, len(part)) for part in ("query", "key", "value")}, "must have one shape"),
        ({"b.attn.key.weight": (4, 4)}, "'b.attn.key.weight' is there without the others of Q, K and V"),
    ],
)
def test_parts_of_attention(arrays: dict[str, tuple[int, ...]], words: str):
    with pytest.raises(UserError, match=words):
        joined({name: np.zeros(size) for name, size in arrays.items()}, ("query", "key", "value"), Path("w"))


TOWER = [
    "width",
    "head_width",
    "layers",
    "image_size",
    "patch_size",
    "pool_type",
    "attentional_pool",
    "timm_model_name",
]
HOW = ["size", "mean", "std", "resize_mode", "interpolation"]


def open_clip_names() -> Arrays:
    """The image tower's weights under open_clip's names, one block of 32 channels."""
    sizes: dict[str, tuple[int, ...]] = {"conv1.weight": (32, 3, 8, 8), "class_embedding": (32,), "proj": (32, 6)}
    sizes |= {"positional_embedding": (5, 32), "transformer.resblocks.0.attn.in_proj_weight": (96, 32)}
    sizes |= {
        f"transformer.resblocks.0.{name}": size
        for name, size in (
            ("attn.in_proj_bias", (96,)),
            ("attn.out_proj.weight", (32, 32)),
            ("attn.out_proj.bias", (32,)),
            ("mlp.c_fc.weight", (128, 32)),
            ("mlp.c_fc.bias", (128,)),
            ("mlp.c_proj.weight", (32, 128)),
            ("mlp.c_proj.bias", (32,)),
        )
    }
    norms = ("ln_pre", "ln_post", "transformer.resblocks.0.ln_1", "transformer.resblocks.0.ln_2")
    sizes |= {f"{norm}.{part}": (32,) for norm in norms for part in ("weight", "bias")}
    return {f"visual.{name}": np.full(size, 0.1, np.float32) for name, size in sizes.items()}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_doctored_configurations_of_open_clip_are_sentences(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
):
    tower = {"image_size": 16, "layers": 1, "width": 32, "patch_size": 8, "head_width": 16}
    usual = {"embed_dim": 6, "vision_cfg": tower}
    path = folder_of(
        tmp_path_factory.mktemp("m") / "m", open_clip_names(), "open_clip_config.json", {"model_cfg": usual}
    )
    assert open_checkpoint(path, None).shape.classes == 6
    config: dict[str, Any] = {"preprocess_cfg": data.draw(st.dictionaries(st.sampled_from(HOW), VALUES, max_size=2))}
    config["model_cfg"] = usual | {"vision_cfg": tower | data.draw(st.dictionaries(st.sampled_from(TOWER), VALUES))}
    if data.draw(st.booleans()):
        config[data.draw(st.sampled_from(["model_cfg", "preprocess_cfg"]))] = data.draw(VALUES)
    (path / "open_clip_config.json").write_text(json.dumps(config))
    try:
        found = open_checkpoint(path, None)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert found.shape.classes == 6


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(index=VALUES | st.dictionaries(st.just("weight_map"), VALUES), name=st.text(max_size=8))
def test_a_doctored_index_of_shards_is_a_sentence(index: object, name: str, tmp_path_factory: pytest.TempPathFactory):
    weights = hugging_face_names(random_weights(SHAPE, np.random.default_rng(0)))
    folder = write_folder(tmp_path_factory.mktemp("m") / "m", weights)
    (folder / "model.safetensors").rename(folder / "part.safetensors")
    for content in (index, {"weight_map": {"a": "part.safetensors", "b": name}}):
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))
        with pytest.raises(UserError) as caught:
            open_checkpoint(folder, None)
        assert "\n" not in str(caught.value)
