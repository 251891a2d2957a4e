"""Hugging Face's `config.json` and `preprocessor_config.json`."""

from __future__ import annotations

import math
from pathlib import Path

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.json_file import Json
from firmware.checkpoints.traits import Told, swin_shape, vit_shape
from sim.reference.errors import UserError
from sim.reference.model_shape import MLP_RATIO, ModelShape
from sim.reference.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

__all__ = ["class_names", "preprocessing", "shape_of"]

EPSILONS = {
    "vit": 1e-12,
    "deit": 1e-12,
    "dinov2": 1e-6,
    "dinov2_with_registers": 1e-6,
    "clip_vision_model": 1e-5,
    "swin": 1e-5,
}
"""What each kind of model has where its configuration is silent; these are the kinds that are known."""
RESAMPLES = ("dinov2", "dinov2_with_registers")
"""Kinds whose library fits the positions to whatever image it is given."""
ACTIVATIONS = {"gelu": "gelu", "quick_gelu": "quick_gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
WHITE = 255


def shape_of(config: Json, arrays: Arrays, prepared: Preprocessing, path: Path) -> ModelShape:
    """The architecture of a folder.

    Parameters
    ----------
    config : of the model
    arrays : the weights, under timm's names
    prepared : the pictures that it takes
    path : of the weights

    Raises
    ------
    UserError : the kind of model is not known, or is one that no model here is
    """
    kind = config.get("model_type", str, "")
    if kind == "clip":
        kind, config = "clip_vision_model", config.inner("vision_config")
    if kind not in EPSILONS:
        raise UserError(
            f"{config.path}: the model type {kind!r} is not known; one of {', '.join(EPSILONS)} is expected."
        )
    name = config.get("hidden_act", str, "quick_gelu" if kind == "clip_vision_model" else "gelu")
    if name not in ACTIVATIONS:
        raise UserError(f"{config.path}: hidden_act is {name!r}, but one of {', '.join(ACTIVATIONS)} is expected.")
    if config.get("use_swiglu_ffn", bool, False):
        raise UserError(f"{config.path}: the model has a SwiGLU, which the machine does not have; take one with GELU.")
    epsilon = config.get("layer_norm_eps", float, EPSILONS[kind])
    if kind == "swin":
        if config.get("use_absolute_embeddings", bool, False) or config.get("mlp_ratio", float, 4.0) != MLP_RATIO:
            raise UserError(f"{config.path}: a Swin must have no absolute positions and an mlp_ratio of {MLP_RATIO}.")
        return swin_shape(arrays, config.side("image_size", 224), ACTIVATIONS[name], epsilon, path)
    heads = config.get("num_attention_heads", int, 12)
    image = prepared.crop if kind in RESAMPLES else None
    return vit_shape(arrays, Told(heads, False, ACTIVATIONS[name], epsilon, image), path)


def preprocessing(config: Json) -> Preprocessing:
    """What an image processor does.

    Raises
    ------
    UserError : something that `Preprocessing` cannot say
    """
    kind = config.get("image_processor_type", str, config.get("feature_extractor_type", str, ""))
    if not config.get("do_resize", bool, True) or not config.get("do_rescale", bool, True):
        raise UserError(f"{config.path}: pictures must be resized and rescaled, and do_resize or do_rescale is false.")
    if not math.isclose(config.get("rescale_factor", float, 1 / WHITE) * WHITE, 1, rel_tol=1e-4):
        raise UserError(f"{config.path}: rescale_factor must be 1/{WHITE}, not {config.values['rescale_factor']!r}.")
    resample = config.get("resample", int, 3 if "CLIP" in kind else 2)
    if resample not in RESAMPLING:
        raise UserError(f"{config.path}: resample is {resample}, but one of {sorted(RESAMPLING)} is expected.")
    mean, std = (0.0,) * 3, (1.0,) * 3
    if config.get("do_normalize", bool, True):
        mean, std = config.colours("image_mean", IMAGENET_MEAN), config.colours("image_std", IMAGENET_STD)
    size = config.values.get("size", 224)
    # Processors of CLIP take a number for the short side, the others for both.
    short = "CLIP" in kind and not isinstance(size, dict)
    if isinstance(size, dict) and "shortest_edge" in size:
        short, size = True, size["shortest_edge"]
    resize = Json(config.path, {"size": size}).side("size", 224)
    crops = config.get("do_center_crop", bool, "CLIP" in kind)
    if short and not crops:
        raise UserError(f"{config.path}: the short side is resized and nothing cropped, but a square is expected.")
    crop = config.side("crop_size", resize) if crops else resize
    return Preprocessing(resize, crop, mean, std, RESAMPLING[resample], squash=not short)


def class_names(config: Json, classes: int) -> tuple[str, ...]:
    """One a class, where the configuration names them otherwise than by number."""
    names = config.inner("id2label").values
    found = [names.get(str(index)) for index in range(classes)]
    if len(names) != classes or any(type(name) is not str or not name.isprintable() for name in found):
        return ()
    return () if found[0] == "LABEL_0" else tuple(map(str, found))
