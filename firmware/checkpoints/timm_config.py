"""timm's `config.json`, and what timm's names tell beside dimensions."""

from __future__ import annotations

import re
from pathlib import Path

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.json_file import Json
from firmware.checkpoints.open_clip_config import MEAN, STD
from firmware.checkpoints.traits import Told, swin_shape, vit_shape
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.preprocess import IMAGENET_MEAN, IMAGENET_STD, INTERPOLATIONS, Preprocessing

__all__ = ["class_names", "named_preprocessing", "preprocessing", "shape_of"]

KNOWN = re.compile(r"(vit|deit3?|swin)_[a-z0-9_]+")
OTHER_BLOCKS = re.compile(
    r"_(s?relpos|s3|pe|xp|pd?wee|dpwee|mci|r_s16|rope|radio|lingbot|dinov3|sapiens2|beit3|resnet\w+|r\d+|\d+x2)(_|$)"
)
"""Families under the same names whose blocks, or what is in front of them, are of another kind."""
HEADS = {"base_patch16_gap": 16, "so400m": 16, "huge": 16, "giant": 16, "giantopt": 16, "gigantic": 16}
"""Of sizes whose heads have not 64 channels."""
TOLD_BY_WEIGHTS = {
    *("class_token", "depth", "depths", "embed_dim", "fc_norm", "img_size", "init_values", "mlp_ratio"),
    *("no_embed_class", "num_classes", "patch_size", "pre_norm", "proj_bias", "qkv_bias", "reg_tokens"),
    *("strict_img_size", "window_size"),
}
"""Arguments of timm's models that the weights tell, or the picture's size."""
TRAINING = re.compile(r"drop|.*drop_rate|.*drop_path_rate|weight_init|pretrained.*|fix_init")
POOLS = {"token": False, "avg": True, "map": False}
HALF = (0.5, 0.5, 0.5)
TAGS = {
    "dino": (IMAGENET_MEAN, IMAGENET_STD, 0.9),
    "mae": (IMAGENET_MEAN, IMAGENET_STD, 0.9),
    "bamboo": (MEAN, STD, 1.0),
}
"""Mean, deviation and the share that is cropped at 224 pixels, by how a ViT's tag begins; others have 0.5 and 0.9."""


def shape_of(config: Json, arrays: Arrays, path: Path) -> ModelShape:
    """The architecture of a folder.

    Raises
    ------
    UserError : the architecture is none that is known, or an argument of it is not understood
    """
    name = config.get("architecture", str, "")
    if not KNOWN.fullmatch(name) or OTHER_BLOCKS.search(name):
        raise UserError(
            f"{config.path}: the architecture {name!r} is not known; timm's vit_, deit and swin_ models are."
        )
    arguments = config.inner("model_args")
    understood = {"num_heads", "global_pool", "act_layer", *TOLD_BY_WEIGHTS}
    for key in arguments.values:
        if key not in understood and not TRAINING.fullmatch(key):
            raise UserError(f"{config.path}: the model argument {key!r} is not understood.")
    image = Json(config.path, {"input_size": _input_size(config)}).side("input_size", 224)
    if "siglip" in name and "act_layer" not in arguments.values:
        raise UserError(
            f"{config.path}: the name {name!r} does not tell the activation; put act_layer, gelu or gelu_tanh, into "
            "model_args as timm has it."
        )
    activation = arguments.get("act_layer", str, "quick_gelu" if "quickgelu" in name else "gelu")
    if activation not in ("gelu", "gelu_tanh", "quick_gelu"):
        raise UserError(f"{config.path}: act_layer is {activation!r}, but gelu, gelu_tanh or quick_gelu is expected.")
    if name.startswith("swin"):
        return swin_shape(arrays, image, activation, 1e-5, path)
    gap = "avg" if "_gap_" in name else "token"
    pool = config.get("global_pool", str, arguments.get("global_pool", str, gap))
    if pool not in POOLS:
        raise UserError(f"{config.path}: global_pool is {pool!r}, but token, avg or map is expected.")
    size = next((heads for word, heads in HEADS.items() if f"_{word}_" in name), None)
    heads = arguments.get("num_heads", int, size or 0) or None
    return vit_shape(arrays, Told(heads, POOLS[pool], activation, 1e-5 if "clip" in name else 1e-6, image), path)


def preprocessing(config: Json) -> Preprocessing:
    """What timm does to a picture before it evaluates the model.

    Raises
    ------
    UserError : something that `Preprocessing` cannot say
    """
    how = _pretrained(config)
    side = Json(config.path, {"input_size": _input_size(config)}).side("input_size", 224)
    crop = how.get("crop_pct", float, 0.875)
    if not 0.01 <= crop <= 1:
        raise UserError(f"{config.path}: crop_pct must be 0 to 1, not {crop:g}.")
    mode = how.get("crop_mode", str, "center")
    if mode not in ("center", "squash"):
        raise UserError(f"{config.path}: crop_mode is {mode!r}, but center or squash is expected.")
    interpolation = how.get("interpolation", str, "bicubic")
    if interpolation not in INTERPOLATIONS:
        raise UserError(
            f"{config.path}: interpolation is {interpolation!r}, but {', '.join(INTERPOLATIONS)} are known."
        )
    mean, std = how.colours("mean", IMAGENET_MEAN), how.colours("std", IMAGENET_STD)
    return Preprocessing(int(side / crop), side, mean, std, interpolation, mode == "squash")


def class_names(config: Json, classes: int) -> tuple[str, ...]:
    """One a class, where the configuration has them."""
    labels = config.values.get("label_names", _pretrained(config).values.get("label_names"))
    if not isinstance(labels, list) or len(labels) != classes:
        return ()
    described = config.values.get("label_descriptions")
    names = [described.get(label, label) if isinstance(described, dict) else label for label in map(str, labels)]
    return tuple(names) if all(type(name) is str and name.isprintable() for name in names) else ()


def named_preprocessing(arch: str, image: int) -> Preprocessing | None:
    """What timm does for a model that is known by name; None where the name tells nothing."""
    name, _, tag = arch.partition(":")[0].partition(".")
    if not name.startswith("vit_"):
        return None
    mean, std, crop = next((values for start, values in TAGS.items() if tag.startswith(start)), (HALF, HALF, 0.9))
    return Preprocessing(int(image / crop) if image == 224 else image, image, mean, std)


def _pretrained(config: Json) -> Json:
    """How the model was trained; older files have it at the top."""
    return config.inner("pretrained_cfg") if "pretrained_cfg" in config.values else config


def _input_size(config: Json) -> object:
    arguments = config.inner("model_args")
    size = arguments.values.get("img_size", _pretrained(config).values.get("input_size", 224))
    return size[1:] if isinstance(size, list) and len(size) == 3 else size
