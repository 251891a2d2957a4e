"""Folders as timm, transformers and open_clip write them, of random weights: the float model's results are theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from firmware.checkpoints import timm_config
from firmware.checkpoints.checkpoint import Checkpoint, open_checkpoint
from firmware.checkpoints.json_file import Json
from firmware.checkpoints.naming import timm_names
from firmware.float_models.registry import float_model
from sim.reference.architecture import NAMES
from sim.reference.preprocess import Preprocessing
from sim.reference.vit_shape import VitShape
from tests.firmware.training.libraries import forward, library, randomised, save_timm

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 4}
HALF = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 0.9, "interpolation": "bilinear"}
COMMON = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 32, "patch_size": 8}
MLP = {"intermediate_size": 96}


def check(checkpoint: Checkpoint, images: np.ndarray, expected: torch.Tensor) -> None:
    """Within 1e-4 of the largest result, which is well above that of a model that gives nothing."""
    found = float_model(checkpoint.shape, checkpoint.weights).forward(images)
    wanted = expected.numpy()
    assert found.shape == wanted.shape and np.abs(wanted).max() > 0.05 and wanted.std() > 0.02
    assert np.abs(found - wanted).max() < 1e-4 * max(1, np.abs(wanted).max())


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(2, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("vit_base_patch16_224", {}, {"pool": "token", "class_token": 1, "epsilon": 1e-6}),
        ("vit_base_patch16_224", {"global_pool": "avg"}, {"pool": "mean_norm"}),
        ("vit_base_patch16_224", {"global_pool": "avg", "fc_norm": False}, {"pool": "mean"}),
        ("vit_base_patch16_224", {"global_pool": "avg", "class_token": False}, {"class_token": 0}),
        ("vit_base_patch16_224", {"qkv_bias": False, "mlp_ratio": 1.5}, {"hidden": 96}),
        ("vit_base_patch16_224", {"num_heads": 2, "embed_dim": 48}, {"heads": 2, "padded_width": 32}),
        ("deit3_base_patch16_224", {}, {"class_token": 1}),  # LayerScale, no position of the class token
        ("vit_base_patch14_reg4_dinov2", {"num_classes": 0}, {"registers": 4, "classes": 64}),
        ("vit_base_patch16_siglip_224", {"act_layer": "gelu_tanh"}, {"pool": "attention", "activation": "gelu_tanh"}),
        ("vit_base_patch16_siglip_gap_224", {"act_layer": "gelu", "embed_dim": 48}, {"pool": "mean", "class_token": 0}),
        ("vit_base_patch16_siglip_224", {"act_layer": "gelu", "embed_dim": 48, "num_heads": 2}, {"padded_width": 32}),
        ("vit_base_patch32_clip_224", {}, {"pre_norm": 1, "epsilon": 1e-5}),
        ("vit_base_patch32_clip_quickgelu_224", {}, {"activation": "quick_gelu"}),
    ],
)
def test_a_folder_of_timm(name: str, arguments: dict[str, Any], expected: dict[str, Any], tmp_path: Path, images):
    timm = library("timm")
    arguments = {**SMALL, "num_classes": 7, **arguments}
    model = randomised(timm.create_model(name, **arguments))
    folder = save_timm(tmp_path / "m", model, name, model_args=arguments, pretrained_cfg=HALF)
    checkpoint = open_checkpoint(folder, None)
    assert isinstance(checkpoint.shape, VitShape)
    assert {key: getattr(checkpoint.shape, key) for key in expected} == expected
    check(checkpoint, images, forward(model, images))
    prepared = checkpoint.preprocessing
    assert (prepared.resize, prepared.crop, prepared.mean, prepared.interpolation) == (35, 32, (0.5,) * 3, "bilinear")


@pytest.mark.parametrize(("image", "window", "heads"), [(64, 8, (1, 2)), (48, 12, (1, 2)), (40, 5, (4, 4))])
def test_a_swin_of_timm(image: int, window: int, heads: tuple[int, int], tmp_path: Path, rng: np.random.Generator):
    timm = library("timm")
    more: dict[str, Any] = {
        "img_size": image,
        "patch_size": 4,
        "window_size": window,
        "embed_dim": 32,
        "num_classes": 5,
    }
    more |= {"depths": (2, 1), "num_heads": heads}
    model = randomised(timm.create_model("swin_tiny_patch4_window7_224", **more))
    folder = save_timm(tmp_path / "m", model, "swin_tiny_patch4_window7_224", model_args=more, pretrained_cfg=HALF)
    images = rng.normal(size=(1, 3, image, image)).astype(np.float32)
    check(open_checkpoint(folder, None), images, forward(model, images))


def hugging_face(kind: str, **more: Any) -> Any:
    """A random model of a class."""
    transformers = library("transformers")
    model = getattr(transformers, kind)
    return randomised(model(model.config_class(**{**COMMON, **more})))


@pytest.mark.parametrize(
    ("kind", "more", "read"),
    [
        ("ViTForImageClassification", MLP | {"num_labels": 5}, "logits"),
        ("ViTForImageClassification", {"num_labels": 5, "qkv_bias": False, "hidden_act": "gelu_new"}, "logits"),
        ("ViTModel", MLP, "token"),
        ("DeiTForImageClassification", MLP | {"num_labels": 5}, "logits"),
        ("DeiTForImageClassificationWithTeacher", MLP | {"num_labels": 5}, "logits"),
        ("Dinov2Model", {}, "token"),
        ("Dinov2WithRegistersModel", {"num_register_tokens": 3}, "token"),
        ("CLIPVisionModelWithProjection", MLP | {"projection_dim": 24}, "image_embeds"),
        ("CLIPVisionModel", MLP, "pooler_output"),
        ("SiglipVisionModel", MLP, "pooler_output"),
    ],
)
def test_a_folder_of_hugging_face(kind: str, more: dict[str, Any], read: str, tmp_path: Path, images):
    model = hugging_face(kind, **more)
    model.save_pretrained(tmp_path / "m")
    result = forward(model, images)
    expected = result.last_hidden_state[:, 0] if read == "token" else result[read]
    check(open_checkpoint(tmp_path / "m", None), images, expected)


@pytest.mark.parametrize("kind", ["SiglipModel", "SiglipForImageClassification"])
def test_the_image_tower_of_a_whole_siglip(kind: str, tmp_path: Path, images):
    transformers = library("transformers")
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    more = {} if kind == "SiglipModel" else {"num_labels": 5}
    config = transformers.SiglipConfig(vision_config=COMMON | MLP, text_config=text | {"vocab_size": 50}, **more)
    model = randomised(getattr(transformers, kind)(config))
    model.save_pretrained(tmp_path / "m")
    if kind == "SiglipModel":
        result = forward(model, images, "get_image_features")
        expected = getattr(result, "pooler_output", result)
    else:
        expected = forward(model, images).logits
    check(open_checkpoint(tmp_path / "m", None), images, expected)


def test_the_image_tower_of_a_whole_clip(tmp_path: Path, images):
    transformers = library("transformers")
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    words = {"vocab_size": 50, "bos_token_id": 48, "eos_token_id": 49}
    config = transformers.CLIPConfig(vision_config=COMMON | MLP, text_config=text | words, projection_dim=24)
    model = randomised(transformers.CLIPModel(config))
    model.save_pretrained(tmp_path / "m")
    result = forward(model, images, "get_image_features")
    check(open_checkpoint(tmp_path / "m", None), images, getattr(result, "pooler_output", result))


def test_a_swin_of_hugging_face(tmp_path: Path, images):
    transformers = library("transformers")
    sizes = {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 1], "num_heads": [1, 2]}
    config = transformers.SwinConfig(**sizes, window_size=4, num_labels=5)
    model = randomised(transformers.SwinForImageClassification(config))
    model.save_pretrained(tmp_path / "m")
    check(open_checkpoint(tmp_path / "m", None), images, forward(model, images).logits)


@pytest.mark.parametrize("side", [24, 48])
def test_dinov2_of_another_size(side: int, tmp_path: Path, rng: np.random.Generator):
    """The positions are made to fit what the image processor crops, as the library does it."""
    model = hugging_face("Dinov2Model")
    model.save_pretrained(tmp_path / "m")
    processor = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "resample": 3}
    processor["do_center_crop"] = True
    (tmp_path / "m" / "preprocessor_config.json").write_text(json.dumps(processor))
    images = rng.normal(size=(1, 3, side, side)).astype(np.float32)
    check(open_checkpoint(tmp_path / "m", None), images, forward(model, images).last_hidden_state[:, 0])


@pytest.mark.parametrize("quick", [True, False])
def test_a_folder_of_open_clip(quick: bool, tmp_path: Path, images):
    open_clip = library("open_clip.model")
    tower = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 16}
    text = {"context_length": 8, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    model = randomised(open_clip.CLIP(24, tower, text, quick_gelu=quick))
    (tmp_path / "m").mkdir()
    save_file(model.state_dict(), tmp_path / "m" / "open_clip_model.safetensors")
    about = {"model_cfg": {"embed_dim": 24, "quick_gelu": quick, "vision_cfg": tower, "text_cfg": text}}
    (tmp_path / "m" / "open_clip_config.json").write_text(json.dumps(about))
    check(open_checkpoint(tmp_path / "m", None), images, forward(model, images, "encode_image"))


@pytest.mark.parametrize(
    "name",
    [
        *("vit_tiny_patch16_224", "vit_small_patch32_384", "vit_base_patch8_224", "vit_base_patch16_gap_224"),
        *("vit_medium_patch16_gap_240", "vit_betwixt_patch16_reg4_gap_256", "vit_little_patch16_reg4_gap_256"),
        *("vit_base_patch16_clip_224", "vit_base_patch32_clip_quickgelu_224", "vit_small_patch14_reg4_dinov2"),
        *("deit_small_distilled_patch16_224", "deit3_medium_patch16_224"),
        *("swin_tiny_patch4_window7_224", "swin_base_patch4_window12_384"),
    ],
)
def test_a_name_and_weights_tell_what_timm_has(name: str):
    timm = library("timm")
    with torch.device("meta"):
        model = timm.create_model(name)
    arrays = {key: np.broadcast_to(np.float32(0), tuple(value.shape)) for key, value in model.state_dict().items()}
    size = {"input_size": list(model.pretrained_cfg["input_size"])}
    config = Json(Path("config.json"), {"architecture": name, "global_pool": model.global_pool, "pretrained_cfg": size})
    shape = timm_config.shape_of(config, timm_names(arrays, Path("w")), Path("w"))
    if name in NAMES:
        assert shape == NAMES[name]
    if not isinstance(shape, VitShape):
        return
    block = model.blocks[0]
    kinds = {"gelu": "GELU", "quick_gelu": "QuickGELU"}
    found = (block.attn.num_heads, block.norm1.eps, type(block.mlp.act).__name__)
    assert (shape.heads, shape.epsilon, kinds[shape.activation]) == found
    averaged = "mean" if "norm.weight" in arrays else "mean_norm"
    assert shape.pool == {"token": "token", "avg": averaged}[model.global_pool]


def test_names_prepare_pictures_as_timm_does():
    timm = library("timm")
    for name in NAMES:
        if not timm.is_model(name):
            continue
        for tag in timm.list_pretrained(f"{name}.*"):
            config = timm.models.get_pretrained_cfg(tag)
            image = config.input_size[1]
            if "sam" in tag or image != NAMES[name].image:
                continue
            ours = timm_config.named_preprocessing(tag, image) or Preprocessing.default(image)
            assert (ours.mean, ours.std) == (config.mean, config.std), tag
            if name.startswith("vit_"):
                assert ours.resize == int(image / config.crop_pct), tag
